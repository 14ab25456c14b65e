# SPDX-License-Identifier: Apache-2.0
"""The query decoder's rules, each where a reader of the specification could get it wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from model_cases import HW, prompts, select
from torch.nn import functional as F

from seem_ros.errors import ModelError, PromptError
from seem_ros.model.layers import Attention
from seem_ros.model.query_decoder.attention_rules import RULES, V1_QUERIES, v1_memory_owner, v1_query_indices
from seem_ros.model.query_decoder.point_sampling import sample_points
from seem_ros.model.query_decoder.row_pruning import needed_rows
from seem_ros.model.query_decoder.tensors import ImageTensors, OfficialCall
from seem_ros.model.seem import Seem

pytestmark = pytest.mark.usefixtures("_inference")


@pytest.fixture
def _inference():
    with torch.inference_mode():
        yield


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("rules", ["v0", "v1", "demo"])
def test_adding_removing_or_reordering_prompts_leaves_the_other_masks_unchanged(small, image, rules):
    model = small.with_rules(rules)
    batch = prompts(4)
    batch.text_valid[:, 1] = batch.has_text[:, 1] = True
    batch.select_by[:, 1] = 2
    batch.reference_valid[:, 2] = True
    batch.previous_mask[:, 3], batch.has_previous[:, 3] = torch.randn(HW[0] // 4, HW[1] // 4), True
    everything = model.decode(image, batch)
    for rows in ([2], [3, 1], [3, 2, 1, 0]):
        some = model.decode(image, select(batch, rows))
        close(some.mask_logits, everything.mask_logits[:, rows])
        assert torch.equal(some.selected, everything.selected[:, rows])


def test_the_order_of_points_does_not_matter(small, image):
    batch = prompts(1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    turned = replace(batch, points_xy=batch.points_xy[:, :, order], points_label=batch.points_label[:, :, order])
    close(small.decode(image, turned).mask_logits, small.decode(image, batch).mask_logits)


def test_padding_is_never_read(small, image):
    batch = prompts(1)
    dirty = prompts(1)
    dirty.points_xy[:, :, 5] = 0.123
    dirty.text_tokens += 9.0
    dirty.reference_tokens -= 9.0
    dirty.previous_mask += 5.0
    close(small.decode(image, dirty).mask_logits, small.decode(image, batch).mask_logits)


def test_a_click_on_the_top_left_pixel_counts(small, image):
    batch = prompts(1)
    batch.points_label.zero_()
    nothing = small.decode(image, batch)
    batch.points_xy[:, :, 0], batch.points_label[:, :, 0] = 0.0, 1
    assert not torch.allclose(small.decode(image, batch).mask_logits, nothing.mask_logits)


def test_negative_points_change_the_answer_through_their_own_indicator(small, image):
    batch = prompts(1)
    flipped = replace(batch, points_label=-batch.points_label)
    a, _ = small.decoder.sample(image, batch.points_xy, batch.points_label)
    b, _ = small.decoder.sample(image, batch.points_xy, flipped.points_label)
    sign = small.decoder.pn_indicator.weight
    close(a[:, :, :4] - b[:, :, :4], (sign[0] - sign[1]).expand_as(a[:, :, :4]))


def test_a_pixel_lands_where_align_corners_true_puts_it_after_division_by_the_size():
    features = torch.arange(5.0)[None, :, None, None].expand(1, 5, 7, 1)
    at_row_3_of_10 = torch.tensor([[[0.0, 3 / 10]]])
    close(sample_points(features, at_row_3_of_10), torch.tensor([[[3 / 10 * (5 - 1)]]]))


def test_prompt_tokens_are_read_with_the_level_embedding_but_without_the_position(small, image):
    batch = prompts(1)
    tokens, _ = small.decoder.sample(image, batch.points_xy, batch.points_label)
    grid = batch.points_xy[0] * 2 - 1
    for level in range(3):
        source = image.sources[level].permute(0, 3, 1, 2)
        read = F.grid_sample(source, grid[None], align_corners=True)[0, :, 0].T @ small.decoder.mask_sptial_embed[level]
        close(tokens[0, 0, :4, level], read[:4] + small.decoder.pn_indicator.weight[0])


@pytest.mark.parametrize(("rules", "value"), [("v0", 0.0), ("demo", 0.0), ("v1", -1.0)])
def test_the_mean_of_no_points_is_zero_but_minus_one_in_v1(small, image, rules, value):
    batch = prompts(1)
    _, mean = small.with_rules(rules).decoder.sample(image, batch.points_xy, torch.zeros_like(batch.points_label))
    assert torch.equal(mean, torch.full_like(mean, value))


def test_the_winner_is_the_query_with_the_highest_mean_logit_under_the_prompt(small, image):
    batch = prompts(2)
    answer = small.decode(image, batch)
    masks = small.decoder.coarse_masks(answer.states[-1], image)
    for p in range(2):
        read = sample_points(masks[0, p].permute(1, 2, 0)[None], batch.points_xy[:, p])[0, :4].mean(0)
        assert int(answer.selected[0, p]) == int(read.argmax())
        close(answer.score[0, p], read.max())
        close(answer.mask_logits[0, p], masks[0, p, read.argmax()])


def test_a_prompt_is_selected_by_its_point_its_reference_or_its_text_as_asked(small, image):
    batch = prompts(1)
    batch.text_valid[:], batch.has_text[:], batch.reference_valid[:] = True, True, True
    state = small.decode(image, batch).states[-1]
    batch.select_by[:] = 1
    by_reference = small.decode(image, batch).selected
    assert int(by_reference) == int((state.mask_embedding[0, 0] @ batch.reference_embedding[0, 0]).argmax())
    batch.select_by[:] = 2
    embeddings = state.hidden[0, 0] @ small.decoder.class_embed
    by_text = F.cosine_similarity(embeddings, batch.text_embedding[0], dim=-1)
    assert int(small.decode(image, batch).selected) == int(by_text.argmax())


def test_object_queries_are_the_same_whatever_was_asked_before(small, image):
    before = small.decode_objects(image)[-1].hidden
    small.decode(image, prompts(3))
    assert torch.equal(small.decode_objects(image)[-1].hidden, before)


def test_a_previous_mask_changes_the_answer_in_v0_and_v1_and_nothing_in_demo(small, image):
    with_memory = prompts(1)
    with_memory.previous_mask[:] = torch.linspace(-3, 3, HW[1] // 4)
    with_memory.has_previous[:] = True
    for rules in ("v0", "v1", "demo"):
        model = small.with_rules(rules)
        same = torch.allclose(model.decode(image, with_memory).mask_logits, model.decode(image, prompts(1)).mask_logits)
        assert same == (rules == "demo"), rules


def test_an_empty_previous_mask_lets_memory_see_everything_instead_of_nothing(small, image):
    empty, full = prompts(1), prompts(1)
    empty.previous_mask[:], full.previous_mask[:] = -4.0, 4.0
    empty.has_previous[:] = full.has_previous[:] = True
    close(small.decode(image, empty).mask_logits, small.decode(image, full).mask_logits)


def test_memory_slots_read_the_image_inside_the_previous_mask_resized_to_each_level(small, image):
    previous = torch.full((1, 1, HW[0] // 4, HW[1] // 4), -1.0)
    previous[..., :8, :8] = 1.0
    for level, hidden in enumerate(small.decoder._memory_masks(previous, image)):
        h, w = image.level_masks[level].shape[-2:]
        logits = F.interpolate(previous, size=(h, w), mode="bilinear", align_corners=False)
        assert torch.equal(hidden[0, 0], (logits < 0).flatten())


def test_a_row_with_every_key_blocked_gives_the_output_bias_and_not_nan():
    attention = Attention(8, 2)
    torch.nn.init.normal_(attention.out_proj.bias)
    x = torch.randn(1, 3, 8)
    blocked = torch.tensor([[[True] * 3, [False] * 3, [False, True, True]]])
    out = attention(x, attention.keys(x), attention.values(x), blocked)
    close(out[0, 0], attention.out_proj.bias)
    assert out.isfinite().all()


def test_attention_equals_torchs_own():
    ours, theirs = Attention(16, 4), torch.nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    q, k, v = (torch.randn(2, n, 16) for n in (3, 5, 5))
    blocked = torch.rand(2, 3, 5) > 0.6
    blocked[..., 0] = False
    want, _ = theirs(q, k, v, attn_mask=blocked.repeat_interleave(4, 0))
    close(ours(q, ours.keys(k), ours.values(v), blocked), want)


def test_a_query_whose_mask_is_empty_at_a_level_reads_the_whole_level(small, image):
    dark = replace(image, level_masks=[torch.zeros_like(m) for m in image.level_masks])
    states = small.decode_objects(dark)  # zero logits are not below zero: nothing is blocked
    darker = replace(
        image,
        level_masks=[m * 0 - 1e3 * small.decoder.mask_embed(torch.zeros(32))[:, None, None] for m in image.level_masks],
    )
    assert states[-1].hidden.isfinite().all() and small.decode_objects(darker)[-1].hidden.isfinite().all()


def test_v1_gives_three_queries_to_visual_prompts_and_all_of_them_to_texts(small, image):
    model = small.with_rules("v1")
    batch = prompts(6)
    assert set(model.decode(image, batch).selected.flatten().tolist()) <= set(V1_QUERIES)
    batch.text_valid[:, 1:], batch.has_text[:, 1:], batch.select_by[:, 1:] = True, True, 2
    valid = needed_rows(model.config.decoder, batch, True, OfficialCall()).valid
    assert valid[0, 0].nonzero().flatten().tolist() == sorted(V1_QUERIES)
    assert valid[0, 1:].all()


def test_an_official_v1_call_is_reproduced_by_naming_its_draws(small, image):
    model = small.with_rules("v1")
    three = OfficialCall(query_indices=torch.tensor([list(V1_QUERIES)]))
    joint = model.decode(image, prompts(1), three)
    own = model.decode(image, prompts(1))
    close(joint.mask_logits, own.mask_logits)
    assert V1_QUERIES[int(joint.selected)] == int(own.selected)


def test_the_fixed_v1_draw_is_the_documented_one():
    assert v1_query_indices(2) == [[17, 46, 75], [3, 32, 61]]
    drawn = [i for row in v1_query_indices(33) for i in row]
    assert len(set(drawn)) == 99
    assert v1_memory_owner(3) == [0] * 11 + [1] * 11 + [2] * 10
    assert v1_memory_owner(1) == [0] * 32


def test_demo_text_equals_v0_grounding_and_demo_stroke_equals_v0_round_one(small, image):
    batch = prompts(2)
    batch.text_valid[:, 1], batch.has_text[:, 1], batch.select_by[:, 1] = True, True, 2
    batch.points_label[:, 1] = 0
    v0, demo = small.decode(image, batch), small.with_rules("demo").decode(image, batch)
    close(v0.mask_logits, demo.mask_logits)
    assert torch.equal(v0.selected, demo.selected)


def test_audio_is_a_group_of_its_own_that_the_text_cannot_read(small, image):
    model = small.with_rules("demo")
    batch = prompts(1)
    batch.text_valid[:], batch.has_text[:] = True, True
    speech = torch.randn(1, 1, 2, 32, generator=torch.Generator().manual_seed(3))
    heard = OfficialCall(audio_tokens=speech, audio_valid=torch.ones(1, 1, 2, dtype=torch.bool))
    together = replace(
        batch, text_tokens=torch.cat((batch.text_tokens, speech), 2), text_valid=torch.ones(1, 1, 7, dtype=torch.bool)
    )
    apart = model.decode(image, batch, heard).mask_logits
    assert not torch.allclose(apart, model.decode(image, batch).mask_logits)
    assert not torch.allclose(apart, model.decode(image, together).mask_logits)


def test_the_rules_table_is_the_specifications():
    prompted = {
        "query": {"query", "text", "memory", "spatial", "visual"},
        "text": {"query", "text"},
        "memory": {"memory"},
        "spatial": {"spatial"},
        "visual": {"visual"},
        "audio": set(),
    }
    demo = {
        "query": {"query", "text", "spatial", "visual", "audio"},
        "text": {"query", "text"},
        "memory": set(),
        "audio": {"query", "audio"},
        "spatial": {"spatial"},
        "visual": {"visual"},
    }
    for name, want in (("v0", prompted), ("v1", prompted), ("demo", demo)):
        assert {row: set(keys) for row, keys in RULES[name].items()} == want, name


def test_rules_share_weights_and_unknown_ones_are_refused(small):
    other = small.with_rules("demo")
    assert other.decoder.query_feat.weight.data_ptr() == small.decoder.query_feat.weight.data_ptr()
    with pytest.raises(ModelError, match="v0, v1, demo"):
        small.with_rules("v2")


def test_a_picture_that_is_not_padded_to_the_divisor_is_refused(small):
    for hw in ((64, 100), (0, 32), (1, 1)):
        with pytest.raises(ModelError, match="multiples of 32"):
            small.encode_image(torch.zeros(1, 3, *hw))


@pytest.mark.parametrize(
    "pixels",
    [
        torch.zeros(3, 64, 64),
        torch.zeros(1, 1, 64, 64),
        torch.zeros(1, 4, 64, 64),
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
    ],
    ids=["3d", "grey", "RGBA", "uint8"],
)
def test_what_is_no_batch_of_normalised_rgb_pictures_is_refused(small, pixels):
    with pytest.raises(ModelError, match="floating point"):
        small.encode_image(pixels)


def test_a_picture_that_is_not_contiguous_is_encoded_like_its_copy(small, pixels):
    turned = pixels.transpose(2, 3)[..., :64]
    close(small.encode_image(turned).level_masks[0], small.encode_image(turned.contiguous()).level_masks[0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_point_that_is_not_in_the_picture_is_refused_and_padding_may_be_outside(small, image, value):
    batch = prompts(2)
    batch.points_xy[0, 1, 5] = 9.0
    small.decode(image, batch)
    batch.points_xy[0, 1, 0, 1] = value
    with pytest.raises(PromptError, match="within 0 and 1"):
        small.decode(image, batch)


def test_nan_in_a_previous_mask_and_unknown_labels_are_refused(small, image):
    batch = prompts(1)
    batch.previous_mask[:], batch.has_previous[:] = float("nan"), True
    with pytest.raises(PromptError, match="previous_mask holds NaN"):
        small.decode(image, batch)
    batch = prompts(1)
    batch.select_by[:] = 7
    with pytest.raises(PromptError, match="select_by must be within 0 and 2"):
        small.decode(image, batch)
    with pytest.raises(PromptError, match="images x prompts"):
        small.decode(image, replace(batch, has_text=batch.has_text[:, :0]))


def test_features_of_a_batch_are_those_of_each_picture(small: Seem, pixels: torch.Tensor):
    other = pixels.flip(-1)
    both = small.encode_image(torch.cat((pixels, other)))
    one: ImageTensors = small.encode_image(other)
    close(both.level_masks[2][1:], one.level_masks[2])
    close(both.keys[4][1:], one.keys[4])
