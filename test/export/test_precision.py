# SPDX-License-Identifier: Apache-2.0
"""What computes in half in a lowered graph, and what must not."""

from collections import OrderedDict

import onnx_ir as ir
import pytest
import torch

from seem_ros.errors import ModelError
from seem_ros.export.graphs import Traceable
from seem_ros.export.precision import lower_precision
from seem_ros.export.tracing import trace


class _Layers(torch.nn.Module):
    """A linear layer, which the exporter splits in two, and a norm."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = torch.nn.Linear(4, 6), torch.nn.LayerNorm(6)

    def forward(self, x):
        return self.norm(self.linear(x))


def layers():
    return trace(Traceable(_Layers(), OrderedDict(x=torch.zeros(1, 3, 4)), ("y",)))


@pytest.mark.parametrize(("precision", "low"), [("fp16", ir.DataType.FLOAT16), ("bf16", ir.DataType.BFLOAT16)])
def test_a_linear_layer_computes_in_half_and_a_norm_does_not(precision, low):
    model = layers()
    assert lower_precision(model, precision) == 2
    types = {node.op_type: node.inputs[0].dtype for node in model.graph}
    assert types["MatMul"] == types["Add"] == low
    assert types["LayerNormalization"] == ir.DataType.FLOAT
    assert model.graph.outputs[0].dtype == ir.DataType.FLOAT


def test_a_graph_with_a_value_of_unknown_type_is_refused():
    model = layers()
    next(node for node in model.graph if node.op_type == "MatMul").outputs[0].type = None
    with pytest.raises(ModelError, match="1 have none: MatMul"):
        lower_precision(model, "fp16")


def test_only_halves_are_lower():
    with pytest.raises(ModelError, match="got 'int8'"):
        lower_precision(layers(), "int8")
