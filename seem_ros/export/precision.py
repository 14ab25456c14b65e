# SPDX-License-Identifier: Apache-2.0
"""Lower precision written into the graph: TensorRT 11 knows no precision flags, so the types must be in the ONNX.

Convolutions and products with weights compute in half; what only moves or adds such results stays in half; everything
fragile (norms, softmax, reductions, attention scores, mask sums, similarity, heads, positions) stays in float32.
"""

from __future__ import annotations

import onnx_ir as ir

from seem_ros.errors import ModelError

_HEAVY = {"Conv", "ConvTranspose", "MatMul", "Gemm"}
_FOLLOWS = {
    "Relu",
    "Gelu",
    "Add",
    "Mul",
    "Reshape",
    "Transpose",
    "Slice",
    "Concat",
    "Unsqueeze",
    "Squeeze",
    "Expand",
    "Split",
    "MaxPool",
    "Resize",
    "Flatten",
    "Pad",
    "Identity",
    "Gather",
}
_FRAGILE_WEIGHTS = (
    "class_embed",
    "mask_embed",
    "box_embed",
    "presence_embed",
    "fine_embed",
    "decoder_norm",
    ".prior.",
    "lang_proj",
)
_LAYOUT = ("Cast", "Transpose", "Reshape", "Slice", "Identity")
_NEVER = {"fp16": frozenset(), "bf16": frozenset({"ConvTranspose"})}  # TensorRT-RTX 1.7.1 has no such kernel
_TYPES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}


def lower_precision(model: ir.Model, precision: str) -> int:
    """Rewrites a float32 graph in place; inputs and outputs keep their types.

    Args:
        model: Graph whose values carry types, weights already attached.
        precision: ``fp16`` or ``bf16``.

    Returns:
        How many nodes compute in half.

    Raises:
        ModelError: Another precision is asked for, or a value has no type.
    """
    if precision not in _TYPES:
        raise ModelError(f"a graph can be lowered to {sorted(_TYPES)}, got {precision!r}")
    untyped = [node.op_type for node in model.graph if any(o.dtype is None for o in node.outputs)]
    if untyped:
        raise ModelError(f"a graph is lowered by its values' types, and {len(untyped)} have none: {untyped[0]}")
    low, graph, lowered = _TYPES[precision], model.graph, 0
    halves: dict[ir.Value, ir.Value] = {}  # float32 value -> the same in half

    def half(value: ir.Value, before: ir.Node) -> ir.Value:
        if value not in halves:
            cast = _cast(value, low, f"{value.name}_{precision}")
            producer = value.producer()
            if producer is None:
                graph.insert_before(graph[0], cast)
            else:
                graph.insert_after(producer, cast)
            halves[value] = cast.outputs[0]
        return halves[value]

    for node in list(graph):
        source = node.inputs[0] if node.inputs else None
        if node.op_type == "Cast" and source is not None and source.dtype == low and source.is_initializer():
            halves[node.outputs[0]] = source  # a weight stored in half needs no way through float32
        if node.op_type in _NEVER[precision] or not _may_be_low(node, halves):
            continue
        if any(o.dtype != ir.DataType.FLOAT for o in node.outputs):
            continue
        for i, value in enumerate(node.inputs):
            if value is not None and value.dtype == ir.DataType.FLOAT:
                node.replace_input_with(i, half(value, node))
        for output in node.outputs:
            output.type = ir.TensorType(low)
            cast = _cast(output, ir.DataType.FLOAT, f"{output.name}_fp32")
            back = cast.outputs[0]
            output.replace_all_uses_with(back, replace_graph_outputs=True)
            cast.replace_input_with(0, output)
            graph.insert_after(node, cast)
            if back.is_graph_output():  # the caller knows it by name
                back.name, output.name = output.name, back.name
            halves[back] = output
        lowered += 1
    _drop_unused(graph)
    return lowered


def _may_be_low(node: ir.Node, halves: dict[ir.Value, ir.Value]) -> bool:
    floats = [v for v in node.inputs if v is not None and v.dtype == ir.DataType.FLOAT]
    if node.op_type in _HEAVY:
        weights = [name for v in node.inputs[1:] if v is not None and (name := _weight_name(v))]
        return bool(weights) and not any(part in name for name in weights for part in _FRAGILE_WEIGHTS)
    moving = [v for v in floats if not _weight_name(v)]
    return node.op_type in _FOLLOWS and bool(moving) and all(v in halves for v in moving)


def _weight_name(value: ir.Value) -> str:
    """Name of the constant that a value is made of by casts and layout alone, or nothing."""
    while value.producer() is not None and value.producer().op_type in _LAYOUT:
        value = value.producer().inputs[0]
    constant = value.is_initializer() or (value.producer() is not None and value.producer().op_type == "Constant")
    return (value.name or "constant") if constant else ""


def _cast(value: ir.Value, kind: ir.DataType, name: str) -> ir.Node:
    cast = ir.node("Cast", [value], {"to": kind.value}, name=f"{name}_cast")
    cast.outputs[0].name, cast.outputs[0].shape, cast.outputs[0].type = name, value.shape, ir.TensorType(kind)
    return cast


def _drop_unused(graph: ir.Graph) -> None:
    for node in reversed(list(graph)):
        if not any(o.uses() or o.is_graph_output() for o in node.outputs):
            graph.remove(node, safe=True)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            graph.initializers.pop(name)
