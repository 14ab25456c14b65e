# SPDX-License-Identifier: Apache-2.0
"""Every shortcut of the model against the straightforward formulation: the same numbers up to rounding."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from model_cases import HW, prompts
from torch import nn
from torch.nn import functional as F

from seem_ros.model.mask_features import folded_masks, folded_means, resized_features
from seem_ros.model.sampling import sample_points

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import straightforward


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=3e-5, rtol=1e-4)


@pytest.fixture(params=[1, 3], ids=["1x1", "3x3"])
def convolution(request: pytest.FixtureRequest) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(6, 5, request.param, padding=request.param // 2).requires_grad_(False)


@pytest.fixture
def source() -> torch.Tensor:
    return torch.randn(2, 6, 16, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_mask_features_resized_without_making_them_equal_the_resized_ones_borders_included(convolution, source, factor):
    want = F.interpolate(convolution(source), scale_factor=1 / factor, mode="bilinear", align_corners=False)
    (ours,) = resized_features(source, convolution, (factor,))
    close(ours, want)


def test_masks_by_a_folded_kernel_equal_masks_of_mask_features_borders_included(convolution, source):
    embedding = torch.randn(2, 3, 4, 5)
    want = torch.einsum("npqc,nchw->npqhw", embedding, convolution(source))
    close(folded_masks(embedding, source, convolution), want)


def test_prompt_means_of_folded_features_equal_means_of_read_features_borders_included(convolution, source):
    points = torch.rand(2, 3, 7, 2)
    points[:, :, 0], points[:, :, 1] = 0.0, 1.0
    share = torch.rand(2, 3, 7)
    read = sample_points(convolution(source).permute(0, 2, 3, 1), points.flatten(1, 2)).unflatten(1, (3, 7))
    close(folded_means(source, convolution, points, share), (read * share[..., None]).sum(2))


def test_a_prompt_without_points_has_the_mean_of_nothing(convolution, source):
    empty = folded_means(source, convolution, torch.zeros(2, 1, 0, 2), torch.zeros(2, 1, 0))
    assert torch.equal(empty, torch.zeros(2, 1, 5))


@torch.inference_mode()
def test_folding_changes_no_answer(small, pixels):
    folded, plain = small.encode_image(pixels, fold=True), small.encode_image(pixels, fold=False)
    assert folded.mask_features is None and plain.mask_source is None
    a, b = small.decode(folded, prompts(3)), small.decode(plain, prompts(3))
    close(a.mask_logits, b.mask_logits)
    close(a.sampled_embedding, b.sampled_embedding)
    assert torch.equal(a.selected, b.selected)


@torch.inference_mode()
@pytest.mark.parametrize("what", ["click", "text", "memory", "all"])
def test_the_decoder_equals_the_straightforward_one_for(small, pixels, what):
    batch = prompts(2)
    if what in ("text", "all"):
        batch.text_valid[..., :3], batch.has_text[:] = True, True
    if what == "text":
        batch.points_label[:], batch.select_by[:] = 0, 2
    if what in ("memory", "all"):
        generator = torch.Generator().manual_seed(5)
        batch.previous_mask[:] = torch.randn(batch.previous_mask.shape, generator=generator)
        batch.has_previous[:] = True
    ours = small.decode(small.encode_image(pixels), batch)
    image = straightforward.encode_image(small, pixels)
    for p in range(2):
        masks, chosen, mean = straightforward.decode(small, image, batch, p)
        assert int(ours.selected[0, p]) == chosen
        close(ours.mask_logits[0, p], masks[chosen])
        if what != "text":
            close(ours.sampled_embedding[0, p], mean)


@torch.inference_mode()
def test_keys_and_values_are_computed_once_and_serve_every_call(small, pixels, monkeypatch):
    image = small.encode_image(pixels)
    made = []
    for block in small.decoder.transformer_cross_attention_layers:
        monkeypatch.setattr(block.multihead_attn, "keys", made.append)
        monkeypatch.setattr(block.multihead_attn, "values", made.append)
    small.decode(image, prompts(2))
    small.decode(image, prompts(1))
    small.decode_objects(image)
    assert not made


@torch.inference_mode()
def test_a_text_cut_after_its_last_token_has_the_same_features_as_with_all_its_padding(small):
    ids = torch.full((2, 77), 49407)
    ids[:, 0], ids[0, 1:4], ids[1, 1:7] = 49406, torch.tensor([320, 736, 3115]), torch.arange(500, 506)
    tokens, pooled = small.encode_text(ids)
    few, same = small.encode_text(ids[:, :8])
    close(few, tokens[:, :8])
    close(same, pooled)


def test_the_small_model_is_a_fair_case(small, pixels):
    """Masks must have both signs and a prompt must have alternatives, or equality above would prove little."""
    with torch.inference_mode():
        image = small.encode_image(pixels)
        masks = small.decoder.coarse_masks(small.decode_objects(image)[-1], image)[0, 0]
    positive = (masks > 0).float().mean((1, 2))
    assert ((positive > 0.02) & (positive < 0.98)).float().mean() > 0.5
    assert masks.argmax(0).unique().numel() > 5
    assert masks.shape[-2:] == (HW[0] // 4, HW[1] // 4)
