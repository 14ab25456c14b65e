# SPDX-License-Identifier: Apache-2.0
"""Start weights with fewer full convolutions out of those with more, in closed form."""

from dataclasses import replace

import pytest
import torch

from seem_ros.errors import CheckpointError
from seem_ros.model.config import LITE, LITE_FULL, LITE_SLIM
from seem_ros.model.layers import SeparableConv
from seem_ros.model.seem import Seem
from seem_ros.runtime.checkpoint import lite_of
from seem_ros.training.batched.train import BatchedTrainConfig, start_model
from seem_ros.training.slimming.factorise import depthwise, factorised, tucker

ALL_CHANNELS = replace(LITE_SLIM, pixel_decoder=replace(LITE_SLIM.pixel_decoder, bottleneck=1))


@pytest.fixture(scope="module")
def full():
    """An untrained full model whose norms do something."""
    torch.manual_seed(0)
    model = Seem(LITE_FULL).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.running_var, 0.5), (module.bias, -0.5)):
                torch.nn.init.uniform_(tensor, low, low + 1)
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return model


def test_with_all_channels_the_bottlenecks_are_the_full_convolutions(full):
    slim = Seem(ALL_CHANNELS).eval()
    slim.load_state_dict(factorised(full.state_dict(), ALL_CHANNELS))
    pixels = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        given, wanted = slim.encode_image(pixels), full.encode_image(pixels)
    for name in ("mask_features", "fine_features"):
        torch.testing.assert_close(getattr(given, name), getattr(wanted, name), atol=2e-4, rtol=1e-3)
    for own, other in zip(given.sources, wanted.sources, strict=True):
        torch.testing.assert_close(own, other, atol=2e-4, rtol=1e-3)


def test_half_of_the_channels_fit_the_slim_model_and_cost_a_third(full):
    state = factorised(full.state_dict(), LITE_SLIM)
    Seem(LITE_SLIM).load_state_dict(state)
    assert (lite_of(full.state_dict()), lite_of(state)) == (LITE_FULL, LITE_SLIM)

    def weights(model):
        return sum(model.pixel_decoder.get_submodule(name).weight.numel() for name in ("layer_1", "fine_layer"))

    slim = sum(state[f"pixel_decoder.{name}.{i}.weight"].numel() for name in ("layer_1", "fine_layer") for i in (0, 1))
    assert slim < weights(full) / 3


def test_a_kernel_of_few_directions_is_kept_by_as_few():
    torch.manual_seed(0)
    core = torch.randn(3, 3, 3, 3)
    weight = torch.einsum("rsyx,or,si->oiyx", core, torch.randn(8, 3), torch.randn(3, 6))
    into, core, out = tucker(weight, 3)
    again = torch.einsum("or,rsyx,si->oiyx", out[..., 0, 0], core, into)
    torch.testing.assert_close(again, weight, atol=1e-4, rtol=1e-4)


def test_as_many_filters_as_outputs_are_any_convolution():
    torch.manual_seed(0)
    full = torch.nn.Conv2d(5, 7, 3, padding=1)
    filters, mixture = depthwise(full.weight.detach(), 7)  # seven outputs: no kernel has more directions
    slim = SeparableConv(5, 7, 7)
    for own, kernel in zip(slim.spread.filters, filters, strict=True):
        own.weight.data = kernel
    slim.mix.weight.data, slim.mix.bias.data = mixture[:, :, None, None], full.bias.data
    x = torch.randn(1, 5, 9, 11)
    torch.testing.assert_close(slim(x), full(x), atol=1e-5, rtol=1e-4)


def test_only_what_is_not_factorised_yet_is_changed(full):
    lite = factorised(full.state_dict(), LITE)
    Seem(LITE).load_state_dict(lite)
    assert lite_of(lite) == LITE
    untouched = [key for key in lite if not key.startswith("decoder.refiner.")]
    assert all(torch.equal(lite[key], full.state_dict()[key]) for key in untouched)
    slim, at_once = factorised(lite, LITE_SLIM), factorised(full.state_dict(), LITE_SLIM)
    assert slim.keys() == at_once.keys() and all(torch.equal(slim[key], at_once[key]) for key in slim)


def test_weights_with_too_few_full_convolutions_and_of_other_models_are_refused(full):
    with pytest.raises(CheckpointError, match="lite_slim have fewer full convolutions than lite"):
        factorised(factorised(full.state_dict(), LITE_SLIM), LITE)
    with pytest.raises(CheckpointError, match="only weights of the built-in model"):
        factorised({"backbone.conv_stem.weight": torch.zeros(1)}, LITE)


def test_a_training_factorises_what_it_starts_from_and_refuses_the_other_way_round(full, tmp_path):
    torch.save(full.state_dict(), tmp_path / "full.pt")
    for is_slim, architecture in ((False, LITE), (True, LITE_SLIM)):
        model = start_model(BatchedTrainConfig(init=str(tmp_path / "full.pt"), slim=is_slim))
        assert model.config == architecture
        own, wanted = model.state_dict(), factorised(full.state_dict(), architecture)
        assert all(torch.equal(own[key], wanted[key]) for key in wanted)
    torch.save(wanted, tmp_path / "slim.pt")
    with pytest.raises(CheckpointError, match="lite_slim have fewer full convolutions than lite"):
        start_model(BatchedTrainConfig(init=str(tmp_path / "slim.pt")))
