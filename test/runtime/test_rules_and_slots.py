# SPDX-License-Identifier: Apache-2.0
"""One decoder graph serves all attention rules, and small graphs give the same answers as padded ones."""

from dataclasses import fields, replace

import numpy as np
import pytest
from narrow_models import narrow_model

from seem_ros.export.package_writer import write_package
from seem_ros.runtime.backends.graph_backend import GraphBackend
from seem_ros.runtime.backends.onnxruntime_backend import open_onnxruntime
from seem_ros.runtime.backends.torch_backend import TorchBackend
from seem_ros.runtime.parity_gate import answer, read_gate_inputs
from seem_ros.runtime.spec import ModelSpec


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The package of the narrow model, exported under v0."""
    model = narrow_model("focalt_v0")
    spec = ModelSpec.of_config(
        model.config, (64, 96), max_points=40, max_references=40, prompt_buckets=(4,), small_slots=8
    )
    return write_package(model, spec, tmp_path_factory.mktemp("rules") / "narrow", "fp32", half_weights=False)


@pytest.mark.parametrize("rules", ["v0", "v1", "demo"])
def test_one_graph_gives_torchs_answers_under_all_rules(exported, rules):
    inputs = read_gate_inputs(exported.path(exported.gate))
    model = narrow_model("focalt_v0").with_rules(rules)
    with TorchBackend(model, replace(exported.spec, rules=rules), device="cpu") as backend:
        wanted = answer(backend, inputs).decoded
    package = replace(exported, spec=replace(exported.spec, rules=rules))
    with open_onnxruntime(package) as backend:
        found = answer(backend, inputs).decoded
    assert found.selected.tolist() == wanted.selected.tolist()
    for name in ("mask_logits", "score", "embedding", "sampled_tokens", "sampled_embedding", "appearance_tokens"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=2e-3, rtol=1e-3, err_msg=name)


def test_the_rules_matter(exported):
    inputs = read_gate_inputs(exported.path(exported.gate))
    logits = []
    for rules in ("v0", "v1", "demo"):
        with open_onnxruntime(replace(exported, spec=replace(exported.spec, rules=rules))) as backend:
            logits.append(answer(backend, inputs).decoded.mask_logits)
    assert np.abs(logits[0] - logits[1]).max() > 0.01 and np.abs(logits[0] - logits[2]).max() > 0.01


def test_prompts_with_little_in_them_take_the_small_graph_and_get_the_same_answers(exported):
    inputs = read_gate_inputs(exported.path(exported.gate))
    prompts = inputs.prompts.select([0, 1, 3])
    padded = replace(exported, graphs={"fp32": replace(exported.graphs["fp32"], small_decoders={})})
    answers = {}
    for name, package in (("small", exported), ("padded", padded)):
        with open_onnxruntime(package) as backend:
            answers[name] = backend.decode(backend.encode_image(inputs.rgb, inputs.content_hw), prompts)
            used = [file for file in backend._sessions if file.startswith("decoder")]
        assert used == ["decoder_4_small.onnx" if name == "small" else "decoder_4.onnx"]
    for f in fields(answers["small"]):
        a, b = (getattr(answers[name], f.name) for name in ("small", "padded"))
        np.testing.assert_allclose(a, b, atol=1e-3, rtol=1e-3, err_msg=f.name)


@pytest.mark.parametrize("change", ["text", "points", "references"])
def test_prompts_that_need_more_take_the_padded_graph(exported, change):
    inputs = read_gate_inputs(exported.path(exported.gate))
    with open_onnxruntime(exported) as backend:
        prompts = inputs.prompts.select([0]).with_slots(40, 40)
        assert isinstance(backend, GraphBackend) and backend._fits_small(prompts)
        if change == "text":
            prompts.text_valid[0, 0] = True
        elif change == "points":
            prompts.points_label[0, :9] = 1
        else:
            prompts.reference_valid[0, :9] = True
        assert not backend._fits_small(prompts)
