# SPDX-License-Identifier: Apache-2.0
"""What crosses the runtime's interface is checked."""

from dataclasses import replace

import numpy as np
import pytest

from seem_ros.errors import FrameError, ModelError, PromptError
from seem_ros.runtime.batches import DecodeBatch, PromptBatch
from seem_ros.runtime.spec import ModelSpec, VocabularyEntry

SPEC = ModelSpec(
    name="small",
    rules="joint",
    input_hw=(64, 96),
    size_divisor=32,
    mask_stride=2,
    token_dim=8,
    embedding_dim=6,
    mask_dim=4,
    text_length=5,
    max_points=10,
    max_references=3,
    memory_slots=2,
    object_queries=7,
    vocabulary=(VocabularyEntry("mug"), VocabularyEntry("table", False)),
    known_words=("mug",),
)


def test_an_empty_batch_has_the_models_sizes():
    batch = PromptBatch.empty(SPEC, 3)
    assert len(batch) == 3
    assert batch.points_xy.shape == (3, 10, 2) and batch.reference_tokens.shape == (3, 3, 3, 8)
    assert batch.previous_mask.shape == (3, 16, 24) and batch.text_tokens.shape == (3, 5, 8)
    assert len(PromptBatch.empty(SPEC, 0)) == 0 and len(DecodeBatch.empty(SPEC)) == 0


def test_rows_can_be_selected_padded_and_put_together():
    batch = PromptBatch.empty(SPEC, 3)
    batch.prior_kind[:] = (1, 2, 3)
    assert batch.select([2, 0]).prior_kind.tolist() == [3, 1]
    assert batch.select([]).prior_kind.tolist() == []
    assert batch.pad_to(5).prior_kind.tolist() == [1, 2, 3, 0, 0]
    assert len(PromptBatch.concatenate([batch, batch.select([1])])) == 4


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("points_xy", np.zeros((2, 10, 2), np.float64), "float32 array, got float64"),
        ("points_label", np.zeros((2, 9), np.int8), "9 entries on axis P, must be 10"),
        ("points_label", np.full((2, 10), 3, np.int8), "padding"),
        ("select_by", np.array([0, 5], np.int8), "0..2"),
        ("text_tokens", np.full((2, 5, 8), np.nan, np.float32), "not finite"),
        ("has_text", [True, False], "got list"),
    ],
)
def test_a_wrong_array_is_refused_by_name(field, value, words):
    with pytest.raises(PromptError, match=field) as caught:
        replace(PromptBatch.empty(SPEC, 2), **{field: value})
    assert words in str(caught.value)


def test_a_point_that_is_not_finite_is_refused_only_where_it_counts():
    batch = PromptBatch.empty(SPEC, 1)
    points = batch.points_xy.copy()
    points[0, 4] = np.nan
    replace(batch, points_xy=points)
    label = batch.points_label.copy()
    label[0, 4] = 1
    with pytest.raises(PromptError, match="not finite"):
        replace(batch, points_xy=points, points_label=label)


def test_too_many_points_are_thinned_evenly_and_each_sign_keeps_its_share():
    batch = PromptBatch.empty(SPEC, 1, points=40)
    batch.points_label[0, :30], batch.points_label[0, 30:] = 1, -1
    batch.points_xy[0, :, 0] = np.arange(40)
    thin = batch.with_slots(points=8, references=3)
    assert (thin.points_label[0] == 1).sum() == 6 and (thin.points_label[0] == -1).sum() == 2
    assert thin.points_xy[0, 0, 0] == 0 and thin.points_xy[0, 5, 0] == 29 and thin.points_xy[0, 7, 0] == 39


def test_one_sign_never_vanishes_when_points_are_thinned():
    batch = PromptBatch.empty(SPEC, 1, points=40)
    batch.points_label[0] = 1
    batch.points_label[0, 7] = -1
    assert (batch.with_slots(4, 3).points_label[0] == -1).sum() == 1


def test_padding_between_points_is_moved_to_the_end():
    batch = PromptBatch.empty(SPEC, 1, points=4)
    batch.points_label[0, 3] = 1
    batch.points_xy[0, 3] = 0.5
    assert batch.with_slots(10, 3).points_label[0].tolist() == [1] + [0] * 9


def test_prompts_for_another_model_are_refused():
    with pytest.raises(PromptError, match=r"text_tokens.*small needs 8"):
        PromptBatch.empty(replace(SPEC, token_dim=16), 1).check_fits(SPEC)


def test_a_spec_survives_being_written_and_read():
    assert ModelSpec.from_mapping(SPEC.to_mapping()) == SPEC


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("input_hw", (65, 96), "height must be a multiple of 32"),
        ("rules", "v9", "rules must be one of"),
        ("prompt_buckets", (4, 1), "ascending"),
        ("mask_stride", 3, "mask_stride"),
        ("max_points", 0, "max_points"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(field, value, words):
    with pytest.raises(ModelError, match=words):
        replace(SPEC, **{field: value})


def test_an_unknown_field_of_a_spec_is_named():
    with pytest.raises(ModelError, match="colour"):
        ModelSpec.from_mapping(SPEC.to_mapping() | {"colour": 1})


def test_pictures_of_a_wrong_kind_are_refused(open_backend):
    backend = open_backend("onnxruntime")
    height, width = backend.spec.input_hw
    for picture, words in (
        (np.zeros((height, width, 3), np.float32), "uint8"),
        (np.zeros((height, width), np.uint8), "shape"),
        (np.zeros((3, height, width), np.uint8).transpose(1, 2, 0), "contiguous"),
        (None, "NoneType"),
    ):
        with pytest.raises(FrameError, match=words):
            backend.encode_image(picture)
    with pytest.raises(FrameError, match="content_hw"):
        backend.encode_image(np.zeros((height, width, 3), np.uint8), (height + 1, width))
