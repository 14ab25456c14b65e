# SPDX-License-Identifier: Apache-2.0
"""Graphs as they leave the exporter."""

from collections import OrderedDict

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from seem_ros.errors import ModelError
from seem_ros.export.graphs import Traceable
from seem_ros.export.tracing import check_whole, trace


class _SameClampTwice(torch.nn.Module):
    """The exporter's own optimiser loses a bound of the second one."""

    def forward(self, x):
        flat = x.reshape(-1, 2)
        first, second = (flat.clamp(0, 1) * flat.new_tensor([size, size]) for size in (3, 5))
        return torch.cat((first.floor(), second.floor()))


def test_a_graph_that_says_the_same_thing_twice_is_whole_and_answers_like_the_module():
    x = torch.rand(1, 4, 2) * 3 - 1
    model = trace(Traceable(_SameClampTwice(), OrderedDict(x=x), ("y",)))
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    (given,) = session.run(None, {"x": x.numpy()})
    np.testing.assert_array_equal(given, _SameClampTwice()(x).numpy())


def test_a_graph_that_reads_what_nothing_makes_is_refused():
    model = trace(Traceable(torch.nn.ReLU(), OrderedDict(x=torch.zeros(1, 2)), ("y",)))
    (node,) = list(model.graph)
    node.replace_input_with(0, ir.Value(name="lost"))
    with pytest.raises(ModelError, match="reads lost, which nothing makes"):
        check_whole(model)


def test_uneven_padding_is_part_of_the_convolution():
    padded = torch.nn.Sequential(torch.nn.ZeroPad2d((0, 1, 0, 1)), torch.nn.Conv2d(3, 4, 3, stride=2))
    model = trace(Traceable(padded, OrderedDict(x=torch.zeros(1, 3, 8, 8)), ("y",)))
    (node,) = list(model.graph)
    assert node.op_type == "Conv" and list(node.attributes["pads"].value) == [0, 0, 1, 1]


def test_every_value_has_a_type_also_what_the_exporter_left_without_one():
    model = trace(Traceable(torch.nn.Linear(4, 6), OrderedDict(x=torch.zeros(1, 3, 4)), ("y",)))
    assert "MatMul" in [node.op_type for node in model.graph]
    assert [node.op_type for node in model.graph if any(o.dtype is None for o in node.outputs)] == []
