# SPDX-License-Identifier: Apache-2.0
"""The graphs of the built-in model as they ship."""

import shutil
from dataclasses import fields

import numpy as np
import onnx
import onnxruntime
import pytest

from seem_ros.model.codes import PriorKind
from seem_ros.model.query_decoder.attention_rules import rule_values
from seem_ros.runtime.backends.onnxruntime_backend import open_onnxruntime
from seem_ros.runtime.batches import PromptBatch
from seem_ros.runtime.package import open_package
from seem_ros.runtime.parity_gate import drawn_scene

# float32 has full numbers down to 2 ** -126; what is lower is denormal, and CPUs take a hundred cycles for each.
LOWEST_EXPONENT = -126 * np.log(2)


@pytest.fixture(scope="module")
def exponents(tmp_path_factory):
    """What enters the decoder's exponentials for a click with a previous mask; of softmaxes less their rows' tops."""
    package = open_package("builtin")
    with open_onnxruntime(package, threads=1) as backend:
        features = backend.encode_image(drawn_scene(*package.spec.input_hw)).tensors
        batch = PromptBatch.empty(package.spec, 1)
        batch.points_xy[0, 0], batch.points_label[0, 0] = (0.3, 0.4), 1
        batch.prior_box[0], batch.prior_kind[0] = (0.3, 0.4, 0.1, 0.1), PriorKind.CLICK
        batch.has_previous[:] = True
        batch.previous_mask[:, 30:40, 30:40] = 5
    graph = onnx.load(package.path(package.graphs["fp32"].decoders[1]), load_external_data=False)
    softmaxes, exponentials = (
        [node.input[0] for node in graph.graph.node if node.op_type == kind] for kind in ("Softmax", "Exp")
    )
    for name in {*softmaxes, *exponentials}:
        graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    path = tmp_path_factory.mktemp("graph") / "decoder.onnx"
    path.write_bytes(graph.SerializeToString())
    shutil.copy(package.path(package.weights), path.parent)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    known = {field.name: getattr(batch, field.name) for field in fields(batch)} | features
    known |= rule_values(package.spec.rules, package.spec.object_queries, official=True)
    kinds = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(bool)": bool}
    feeds = {one.name: np.asarray(known[one.name], kinds[one.type]) for one in session.get_inputs()}
    found = dict(zip((*softmaxes, *exponentials), session.run([*softmaxes, *exponentials], feeds), strict=True))
    return {name: value - value.max(-1, keepdims=True) * (name in softmaxes) for name, value in found.items()}


def test_no_exponential_of_the_decoder_makes_denormal_numbers_with_which_cpus_are_slow(exponents):
    lowest = {name: float(value.min()) for name, value in exponents.items()}
    assert len(lowest) > 8
    assert {name: low for name, low in lowest.items() if low < LOWEST_EXPONENT} == {}
