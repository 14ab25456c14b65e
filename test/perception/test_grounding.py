# SPDX-License-Identifier: Apache-2.0
"""A text alone is answered by the object that is most like it."""

import numpy as np
import pytest

from seem_ros.perception.grounding import grounded, text_alone
from seem_ros.runtime.interface import PRIOR_CLICK, ObjectBatch, PromptBatch

CURVE = {"text_slope": 10.0, "text_middle": 0.5}


@pytest.fixture
def objects():
    """A square in the upper left that means the first axis, one in the lower right that means the second."""
    masks = np.full((2, 48, 64), -5.0, np.float32)
    masks[0, 4:16, 4:16] = masks[1, 30:42, 44:56] = 5.0
    embeddings = np.array([[3.0, 0, 0, 0], [0, 2.0, 0, 0]], np.float32)
    return ObjectBatch(masks, embeddings, np.full((2, 4), np.nan, np.float32))


@pytest.fixture
def batch(backend):
    """Texts for the second object, for the first, and for neither."""
    made = PromptBatch.empty(backend.spec, 3)
    made.has_text[:] = True
    made.text_embedding[:] = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]
    return made


def test_a_text_becomes_a_click_on_the_object_most_like_it(batch, objects):
    pointed, _ = grounded(batch, objects, CURVE)
    for row, (x, y) in enumerate(((50, 36), (10, 10))):
        there = pointed.points_label[row] > 0
        assert there.any() and pointed.prior_kind[row] == PRIOR_CLICK
        assert np.allclose(pointed.points_xy[row][there].mean(0), (x / 64, y / 48), atol=0.08)


def test_presence_follows_the_likeness(batch, objects):
    _, presence = grounded(batch, objects, CURVE)
    assert presence[0] > 0.9 and presence[1] > 0.9 and presence[2] < 0.1


def test_what_is_pointed_at_or_remembered_or_shown_is_left_as_it_was(batch, objects):
    batch.points_label[0, 0] = 1
    batch.has_previous[1] = True
    batch.reference_valid[2, 0] = True
    assert not text_alone(batch).any()
    pointed, presence = grounded(batch, objects, CURVE)
    assert np.isnan(presence).all() and np.array_equal(pointed.points_label, batch.points_label)


def test_the_question_itself_is_not_changed(batch, objects):
    grounded(batch, objects, CURVE)
    assert not batch.points_label.any() and not batch.prior_kind.any()


def test_an_object_without_a_mask_is_not_clicked_on(batch, objects):
    objects.mask_logits[:] = -5.0
    assert not grounded(batch, objects, CURVE)[0].points_label.any()
