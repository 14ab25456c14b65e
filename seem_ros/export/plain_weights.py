# SPDX-License-Identifier: Apache-2.0
"""A graph's stored weights as plain float constants, which quantisers want, and back to where a package keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

# What may lie between a stored weight and its reader: halves made whole, turns, parts and further axes.
_MAKING = ("Cast", "Transpose", "Slice", "Unsqueeze")


@dataclass(frozen=True, eq=False)
class Making:
    """One operator on the way from a stored weight to what a layer reads.

    Attributes:
        kind: of `_MAKING`.
        attributes: of the operator.
        constants: its inputs after the first.
    """

    kind: str
    attributes: tuple[ir.Attr, ...]
    constants: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class StoredWeight:
    """How a float constant is made of a stored one."""

    source: str
    steps: tuple[Making, ...] = ()


def with_plain_weights(model: ir.Model, path: Path) -> tuple[onnx.ModelProto, dict[str, StoredWeight]]:
    """The graph with every weight as one float constant, also written to `path`, and what each was made of."""
    graph, made = model.graph, {name: StoredWeight(name) for name in model.graph.initializers}
    for node in list(graph):
        given = list(node.inputs)
        if node.op_type not in _MAKING or not given or any(v is None or not v.is_initializer() for v in given):
            continue
        arrays = [value.const_value.numpy() for value in given]
        if arrays[0].dtype.kind != "f":
            continue
        step = Making(node.op_type, tuple(node.attributes.values()), tuple(arrays[1:]))
        (array,) = ReferenceEvaluator(ir.to_proto(node)).run(None, {v.name: a for v, a in zip(given, arrays)})
        out = node.outputs[0]
        tensor = ir.tensor(np.array(array, order="C"), name=out.name)
        constant = ir.Value(name=out.name, const_value=tensor, shape=ir.Shape(array.shape))
        constant.type = ir.TensorType(tensor.dtype)
        before = made[given[0].name]
        made[out.name] = StoredWeight(before.source, (*before.steps, step))
        out.replace_all_uses_with(constant)
        graph.remove(node, safe=True)
        graph.initializers[constant.name] = constant
    for name, value in list(graph.initializers.items()):
        if value.uses():
            value.const_value = ir.tensor(np.array(value.const_value.numpy(), order="C"), name=name)
        else:
            graph.initializers.pop(name)
    proto = ir.to_proto(model)
    onnx.save(proto, str(path))
    return proto, made


def with_stored_weights(model: ir.Model, stored: ir.Model, made: dict[str, StoredWeight]) -> None:
    """Undoes `with_plain_weights` in a graph whose constants kept their names."""
    graph = model.graph
    for name, value in list(graph.initializers.items()):
        origin = made.get(name)
        if origin is None or not isinstance(stored.graph.initializers[origin.source].const_value, ir.ExternalTensor):
            continue
        tensor = stored.graph.initializers[origin.source].const_value
        if not origin.steps:
            value.const_value = tensor
            continue
        source = graph.initializers.get(origin.source) or _constant(graph, origin.source, tensor)
        nodes: list[ir.Node] = []
        for i, step in enumerate(origin.steps):
            before = nodes[-1].outputs[0] if nodes else source
            extra = [
                _constant(graph, f"{name}_given_{i}_{j}", ir.tensor(array)) for j, array in enumerate(step.constants)
            ]
            nodes.append(ir.Node("", step.kind, [before, *extra], step.attributes))
        graph.initializers.pop(name)
        value.replace_all_uses_with(nodes[-1].outputs[0])
        for i, node in enumerate(nodes):
            node.name = f"{name}_made_{i}"
            node.outputs[0].name = name if node is nodes[-1] else f"{name}_half_{i}"
        graph.insert_before(graph[0], nodes)


def _constant(graph: ir.Graph, name: str, tensor: ir.TensorProtocol) -> ir.Value:
    value = ir.Value(name=name, const_value=tensor, shape=ir.Shape(tensor.shape))
    value.type = ir.TensorType(tensor.dtype)
    graph.initializers[name] = value
    return value
