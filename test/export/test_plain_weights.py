# SPDX-License-Identifier: Apache-2.0
"""Stored weights as plain constants for a quantiser, and back."""

import shutil

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from seem_ros.export.plain_weights import with_plain_weights, with_stored_weights
from seem_ros.runtime.package import open_package
from seem_ros.runtime.parity_gate import drawn_scene


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The built-in one, copied: onnx reads no weights that other tests have linked."""
    return open_package(shutil.copytree(open_package("builtin").folder, tmp_path_factory.mktemp("copy") / "lite"))


@pytest.fixture(scope="module")
def plain(package, tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "float.onnx"
    return with_plain_weights(ir.load(package.path(package.graphs["fp32"].image_encoder)), path)


def test_every_convolution_and_linear_layer_reads_one_constant_parts_of_weights_too(plain):
    graph, made = plain
    constants = {value.name for value in graph.graph.initializer}
    reads = [node.input[1] for node in graph.graph.node if node.op_type in ("Conv", "Gemm")]
    assert [name for name in reads if name not in constants] == []
    assert any(step.kind == "Slice" for name in reads for step in made[name].steps)  # keys and values


def test_weights_go_back_to_where_they_are_stored_and_the_answers_are_the_same(package, plain, tmp_path):
    encoder = package.path(package.graphs["fp32"].image_encoder)
    model = ir.from_proto(plain[0])
    shutil.copy(package.path(package.weights), tmp_path)
    with_stored_weights(model, ir.load(encoder), plain[1])
    ir.save(model, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").stat().st_size < 1.2 * encoder.stat().st_size
    feeds = {
        "image": drawn_scene(*package.spec.input_hw),
        "content_hw": np.array(package.spec.input_hw, np.int32),
    }
    wanted, given = (
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, feeds)
        for path in (encoder, tmp_path / "again.onnx")
    )
    for one, other in zip(wanted, given, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
