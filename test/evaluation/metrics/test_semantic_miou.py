# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.semantic_miou import SemanticScores

CLASSES = ["table", "wall", "mug"]


def test_worked_confusion_of_two_classes():
    scores = SemanticScores(CLASSES)
    scores.add(np.array([[0, 0, 1, 1]]), np.array([[0, 0, 0, 1]]))
    # table: 2 hit of union 3; wall: 1 hit of union 2; mug never occurs in the truth and is left out.
    assert scores.ious()[:2] == pytest.approx([2 / 3, 1 / 2])
    assert np.isnan(scores.ious()[2])
    assert scores.summary()["mIoU"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores.summary()["pixel_accuracy"] == pytest.approx(3 / 4)


def test_true_void_is_not_counted_at_all():
    scores = SemanticScores(CLASSES)
    scores.add(np.array([[0, 1]]), np.array([[0, 255]]))
    assert scores.summary()["mIoU"] == 1.0


def test_pixels_left_unlabelled_are_missed_for_their_class_only():
    scores = SemanticScores(CLASSES)
    scores.add(np.array([[0, 255, 1]]), np.array([[0, 0, 1]]))
    assert scores.ious()[:2] == pytest.approx([1 / 2, 1.0])


def test_a_label_outside_the_class_list_is_refused():
    with pytest.raises(DataError, match="predicted label 3"):
        SemanticScores(CLASSES).add(np.array([[3]]), np.array([[0]]))


def test_several_pictures_are_pooled_by_pixels():
    scores = SemanticScores(CLASSES)
    scores.add(np.array([[0]]), np.array([[0]]))
    scores.add(np.array([[1, 1, 1]]), np.array([[0, 0, 0]]))
    assert scores.ious()[0] == pytest.approx(1 / 4)
