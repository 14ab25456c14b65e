# SPDX-License-Identifier: Apache-2.0
"""A graph's stored weights as plain float constants, which quantisers want, and back to where a package keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir


@dataclass(frozen=True)
class StoredWeight:
    """How a float constant is made of a stored one: by casts and turns."""

    source: str
    steps: tuple[tuple[str, Any], ...] = ()


def with_plain_weights(model: ir.Model, path: Path) -> tuple[onnx.ModelProto, dict[str, StoredWeight]]:
    """The graph with every weight as one float constant, also written to `path`, and what each was made of."""
    graph, made = model.graph, {name: StoredWeight(name) for name in model.graph.initializers}
    for node in list(graph):
        source = node.inputs[0] if node.inputs else None
        if node.op_type not in ("Cast", "Transpose") or source is None or not source.is_initializer():
            continue
        key = "to" if node.op_type == "Cast" else "perm"
        value = node.attributes[key].value
        array = source.const_value.numpy()
        array = array.astype(ir.DataType(value).numpy()) if key == "to" else array.transpose(value)
        out = node.outputs[0]
        tensor = ir.tensor(np.array(array, order="C"), name=out.name)
        constant = ir.Value(name=out.name, const_value=tensor, shape=ir.Shape(array.shape))
        constant.type = ir.TensorType(tensor.dtype)
        made[out.name] = StoredWeight(made[source.name].source, (*made[source.name].steps, (node.op_type, value)))
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
        source = graph.initializers.get(origin.source)
        if source is None:
            source = ir.Value(name=origin.source, const_value=tensor, shape=tensor.shape)
            source.type = ir.TensorType(tensor.dtype)
            graph.initializers[source.name] = source
        nodes: list[ir.Node] = []
        for kind, setting in origin.steps:
            before = nodes[-1].outputs[0] if nodes else source
            nodes.append(ir.node(kind, [before], {"to" if kind == "Cast" else "perm": setting}))
        graph.initializers.pop(name)
        value.replace_all_uses_with(nodes[-1].outputs[0])
        for i, node in enumerate(nodes):
            node.name = f"{name}_made_{i}"
            node.outputs[0].name = name if node is nodes[-1] else f"{name}_half_{i}"
        graph.insert_before(graph[0], nodes)
