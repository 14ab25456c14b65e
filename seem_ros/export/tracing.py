# SPDX-License-Identifier: Apache-2.0
"""A module to an ONNX graph that every runtime reads."""

from __future__ import annotations

import logging
import warnings

import onnx_ir as ir
import torch
from onnx_ir.passes import common
from onnxscript import optimizer
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules.common import fuse_pad_into_conv_rule

from seem_ros.errors import ModelError
from seem_ros.export.graphs import Traceable

OPSET = 20  # 19 is the lowest with LayerNormalization fit for fp16; TensorRT 10.0 reads up to 20
_FORBIDDEN = {"GridSample", "NonZero", "If", "Loop", "Scan"}


def trace(traced: Traceable) -> ir.Model:
    """One graph, static shapes, checked for operators that runtimes get wrong.

    Raises:
        ModelError: It holds such an operator, or is not whole.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            traced.module,
            tuple(traced.inputs.values()),
            input_names=list(traced.inputs),
            output_names=list(traced.outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            optimize=False,
        )
    model = program.model
    _tidy(model)
    taken = {v.name for v in (*model.graph.inputs, *model.graph.outputs)}
    for value in (output for node in model.graph for output in node.outputs):
        if value.name in taken and not value.is_graph_output():  # the exporter does not look for such clashes
            value.name = f"{value.name}_inner"
    found = sorted({node.op_type for node in model.graph} & _FORBIDDEN)
    if found:
        raise ModelError(f"the graph holds {found}, which some runtimes compute wrongly or cannot compile")
    dynamic = [v.name for v in (*model.graph.inputs, *model.graph.outputs) if not v.shape.is_static()]
    if dynamic:
        raise ModelError(f"the graph's shapes must be static, these are not: {dynamic}")
    check_whole(model)
    return model


def _tidy(model: ir.Model) -> None:
    """Constants folded, padding made part of convolutions, what is double or unused taken out.

    The exporter's own optimiser matches many more patterns. They take longer than all the rest together, runtimes have
    their own, and one of them loses constants (onnxscript 0.7.2).
    """
    common.InlinePass()(model)
    optimizer.fold_constants(model, onnx_shape_inference=False)
    RewritePass([fuse_pad_into_conv_rule])(model)
    for tidy in (
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
        common.RemoveUnusedOpsetsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
        common.ShapeInferencePass(),  # the exporter leaves some products without a type
    ):
        tidy(model)


def check_whole(model: ir.Model) -> None:
    """Sees that every node reads what is there; nobody else does before a runtime refuses the graph.

    Raises:
        ModelError: A node reads what nothing makes.
    """
    known = {value.name for value in model.graph.inputs} | set(model.graph.initializers)
    for node in model.graph:
        missing = sorted({v.name or "" for v in node.inputs if v is not None} - known)
        if missing:
            raise ModelError(f"the graph is not whole: {node.op_type} reads {missing[0]}, which nothing makes")
        known.update(value.name for value in node.outputs)
