# SPDX-License-Identifier: Apache-2.0
"""Every shortcut of the model against the straightforward formulation: the same numbers up to rounding."""

from __future__ import annotations

import pytest
import straightforward
import torch
from model_cases import HW, prompts, select
from torch import nn
from torch.nn import functional as F

from seem_ros.model.backbones import focalnet
from seem_ros.model.layers import Attention, eager
from seem_ros.model.pixel_decoder.fpn import ConvNorm
from seem_ros.model.pixel_decoder.fused_lateral import convolved_sum, worthwhile
from seem_ros.model.query_decoder.mask_features import folded_masks, folded_means, resized_features
from seem_ros.model.query_decoder.point_sampling import sample_points


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
def test_a_pyramid_step_without_its_large_maps_equals_the_step_borders_included():
    torch.manual_seed(0)
    adapter, layer = ConvNorm(20, 64, 1, "gn", relu=False), ConvNorm(64, 64, 3, "gn", relu=True)
    adapter.norm.weight.normal_(1, 0.3), adapter.norm.bias.normal_(0, 2)
    lateral, top = torch.randn(1, 20, 12, 18) * 3 + torch.randn(20, 1, 1), torch.randn(1, 64, 6, 9)
    want = layer(adapter(lateral) + F.interpolate(top, scale_factor=2, mode="nearest"))
    assert worthwhile(lateral, adapter, layer)
    close(layer.finish(convolved_sum(lateral, top, adapter, layer)), want)
    nhwc = torch.channels_last
    ours = convolved_sum(lateral.to(memory_format=nhwc), top.to(memory_format=nhwc), adapter, layer)
    close(layer.finish(ours), want)


def test_a_pyramid_step_is_not_rewritten_where_that_saves_nothing_or_is_not_the_same():
    wide, narrow = ConvNorm(40, 64, 1, "gn", relu=False), ConvNorm(20, 64, 1, "bn", relu=False)
    layer = ConvNorm(64, 64, 3, "gn", relu=True)
    assert not worthwhile(torch.zeros(1, 40, 4, 4), wide, layer)  # 40 + 64 * 4 / 9 channels for 64
    assert not worthwhile(torch.zeros(1, 20, 4, 4), narrow, layer)  # a batch norm has its own statistics
    assert not worthwhile(torch.zeros(2, 20, 4, 4), ConvNorm(20, 64, 1, "gn", relu=False), layer)


@torch.inference_mode()
def test_an_mlp_that_takes_some_rows_at_a_time_equals_one_that_takes_all(monkeypatch):
    mlp, x = focalnet.Mlp(6), torch.randn(2, 5, 7, 6)
    want = mlp.fc2(F.gelu(mlp.fc1(x)))
    monkeypatch.setattr(focalnet, "ROWS", 11)
    close(mlp(x), want)


@torch.inference_mode()
def test_reading_a_picture_without_ever_holding_all_scores_equals_writing_attention_out():
    attention = Attention(16, 4)
    query, picture, blocked = torch.randn(1, 9, 16), torch.randn(1, 40, 16), torch.rand(1, 9, 40) > 0.3
    blocked[:, 0] = False
    keys, values = attention.keys(picture), attention.values(picture)
    close(attention(query, keys, values, blocked, sighted=True), attention(query, keys, values, blocked))


@pytest.mark.parametrize("rules", ["v0", "v1", "demo"])
@pytest.mark.parametrize("what", ["click", "text", "mixed"])
def test_rows_and_columns_that_no_prompt_needs_are_left_out_and_change_no_answer_in(small, pixels, rules, what):
    """Nothing is left out while gradients are on: whatever is traced or trained has all rows and columns."""
    model, batch = small.with_rules(rules), prompts(3, points=9)
    if what in ("text", "mixed"):
        batch.text_valid[:, :2, 1:3], batch.has_text[:, :2], batch.select_by[:, :2] = True, True, 2
    if what == "text":
        batch = select(batch, [0, 1])
        batch.points_label[:] = 0
    with torch.enable_grad():
        assert not eager()
        want = model.decode(model.encode_image(pixels), batch)
    with torch.inference_mode():
        assert eager()
        got = model.decode(model.encode_image(pixels), batch)
    used = batch.points_label != 0
    for name in ("mask_logits", "score", "embedding", "sampled_embedding", "appearance_tokens"):
        close(getattr(got, name), getattr(want, name))
    assert torch.equal(got.selected, want.selected)
    assert got.sampled_tokens.shape == want.sampled_tokens.shape
    close(got.sampled_tokens[used], want.sampled_tokens[used])
    rows = got.states[-1].hidden.shape[2]
    assert rows == (3 if rules == "v1" and what == "click" else 101)


@torch.inference_mode()
def test_leaving_out_unused_memory_slots_changes_nothing(small, pixels, monkeypatch):
    image, batch = small.encode_image(pixels), prompts(2)
    asked = []
    original = small.decoder._memory_masks
    monkeypatch.setattr(small.decoder, "_memory_masks", lambda *a: asked.append(1) or original(*a))
    without = small.decode(image, batch)
    assert not asked
    one = select(batch, [0, 1])
    one.has_previous[:, 1] = True
    one.previous_mask[:] = without.memory_mask
    beside = small.decode(image, one)
    assert asked
    close(beside.mask_logits[:, 0], without.mask_logits[:, 0])
    assert not torch.allclose(beside.mask_logits[:, 1], without.mask_logits[:, 1], atol=1e-3)


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
