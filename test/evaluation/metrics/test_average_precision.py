# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.average_precision import InstancePrecision, ScoredInstance


def block(top, left, height, width):
    mask = np.zeros((40, 40), bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_perfect_instances_score_one():
    ap = InstancePrecision(["mug"])
    ap.add([ScoredInstance(block(0, 0, 10, 10), 0, 0.9)], [ScoredInstance(block(0, 0, 10, 10), 0)], (40, 40))
    assert ap.summary()["AP"] == pytest.approx(1.0)


def test_an_iou_of_070_is_right_at_five_of_ten_thresholds():
    # 10x7 of 10x10: IoU 0.70, reached at .50 .55 .60 .65 .70.
    ap = InstancePrecision(["mug"])
    ap.add([ScoredInstance(block(0, 0, 10, 7), 0, 0.9)], [ScoredInstance(block(0, 0, 10, 10), 0)], (40, 40))
    assert ap.summary()["AP"] == pytest.approx(0.5)
    assert ap.summary()["AP50"] == pytest.approx(1.0)
    assert ap.summary()["AP75"] == 0.0


def test_a_confident_invention_above_the_right_answer_halves_the_precision():
    ap = InstancePrecision(["mug"])
    ap.add(
        [ScoredInstance(block(20, 20, 5, 5), 0, 0.9), ScoredInstance(block(0, 0, 10, 10), 0, 0.8)],
        [ScoredInstance(block(0, 0, 10, 10), 0)],
        (40, 40),
    )
    assert ap.summary()["AP"] == pytest.approx(0.5)


def test_no_prediction_scores_zero_and_no_truth_nan():
    ap = InstancePrecision(["mug"])
    assert np.isnan(ap.summary()["AP"])
    ap.add([], [ScoredInstance(block(0, 0, 10, 10), 0)], (40, 40))
    assert ap.summary()["AP"] == 0.0


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(DataError):
        InstancePrecision(["mug"]).add([], [ScoredInstance(np.ones((3, 3), bool), 0)], (40, 40))


def test_an_unknown_class_is_refused():
    with pytest.raises(DataError, match="class 1"):
        InstancePrecision(["mug"]).add([ScoredInstance(block(0, 0, 2, 2), 1)], [], (40, 40))
