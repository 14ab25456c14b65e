# SPDX-License-Identifier: Apache-2.0
"""Graphs of official architectures: TensorRT-RTX compiles all of them; SAM ViT's hold no antialiased Resize."""

import numpy as np
import onnx_ir
import onnxruntime
import pytest
import torch
from narrow_models import narrow_model

from seem_ros.export.graphs import ImageGraph
from seem_ros.export.package_writer import write_package
from seem_ros.export.precision import lower_precision
from seem_ros.runtime.spec import ModelSpec
from seem_ros.runtime.tensorrt.plan_builder import BuildJob, build_plan

pytestmark = pytest.mark.long
VARIANTS = {"focalt_v0": ((64, 96), 4), "samvitb_v1": ((1024, 1024), 1)}
TARGETS = "SM86,SM89,SM120"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Packages of narrow models in fp32 and fp16, by variant; every one once."""
    made = {}

    def get(variant):
        if variant not in made:
            (size, count), model = VARIANTS[variant], narrow_model(variant)
            spec = ModelSpec.of_config(model.config, size, max_points=8, max_references=8, prompt_buckets=(count,))
            made[variant] = write_package(
                model, spec, tmp_path_factory.mktemp("official") / variant, "fp16", half_weights=False
            )
        return made[variant]

    return get


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_graph_compiles(exported, variant, precision):
    pytest.importorskip("tensorrt_rtx")
    package = exported(variant)
    files = package.graphs[precision]
    for name in files.files():
        own = "fp32" if name == files.text_encoder else precision
        assert len(build_plan(BuildJob("tensorrt_rtx", package.path(name), own, TARGETS))) > 1e4


def test_sam_vits_image_graph_compiles_in_bf16_too(exported):
    pytest.importorskip("tensorrt_rtx")
    whole = exported("samvitb_v1").path(exported("samvitb_v1").graphs["fp32"].image_encoder)
    model = onnx_ir.load(whole)
    assert lower_precision(model, "bf16") > 50
    lowered = whole.with_name("lowered.onnx")
    onnx_ir.save(model, lowered)
    assert len(build_plan(BuildJob("tensorrt_rtx", lowered, "bf16", TARGETS))) > 1e4


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_sam_vit_resizes_no_constant_and_antialiases_nothing(exported, precision):
    package = exported("samvitb_v1")
    graph = onnx_ir.load(package.path(package.graphs[precision].image_encoder)).graph
    resizes = [node for node in graph if node.op_type == "Resize"]
    assert len(resizes) == 1  # the pixel decoder's step from stride 8 to 4
    for node in resizes:
        assert not node.attributes["antialias"].as_int()
        assert node.inputs[0].producer() is not None


def test_sam_vits_image_graph_answers_like_torch(exported):
    package = exported("samvitb_v1")
    image = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), dtype=np.uint8)
    content_hw = np.array([1024, 1000], np.int32)
    with torch.no_grad():
        wanted = ImageGraph(narrow_model("samvitb_v1"))(torch.from_numpy(image), torch.from_numpy(content_hw))
    session = onnxruntime.InferenceSession(package.path(package.graphs["fp32"].image_encoder))
    found = session.run(None, {"image": image, "content_hw": content_hw})
    assert len(found) == len(wanted)
    for output, ours, torchs in zip(session.get_outputs(), found, wanted):
        np.testing.assert_allclose(ours, torchs.numpy(), atol=2e-3, rtol=1e-3, err_msg=output.name)
