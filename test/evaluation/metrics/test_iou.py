# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.iou import MaskScores, iou, overlap


def mask(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


def test_iou_of_two_shifted_bars_is_two_of_four():
    # ###. against .### : 2 common pixels, 4 in the union.
    assert iou(mask("###."), mask(".###")) == pytest.approx(0.5)


def test_void_pixels_count_for_neither_mask():
    # The right pixel of the prediction is void: 2 common, 3 in the union.
    assert overlap(mask(".###"), mask("###."), mask("...#")).iou == pytest.approx(2 / 3)


def test_two_empty_masks_agree():
    assert iou(mask("...."), mask("....")) == 1.0


def test_an_empty_answer_to_something_scores_zero():
    assert iou(mask("...."), mask("##..")) == 0.0


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(DataError, match=r"\(1, 4\).*\(1, 3\)"):
        iou(mask("####"), mask("###"))


def test_cumulative_iou_weighs_pixels_and_mean_iou_weighs_answers():
    scores = MaskScores()
    scores.add(mask("########.."), mask("########.."))  # 8/8
    scores.add(mask("#........."), mask("##........"))  # 1/2
    scores.add(mask(".........#"), mask("##........"))  # 0/3
    assert scores.cumulative_iou == pytest.approx(9 / 13)
    assert scores.mean_iou == pytest.approx((1 + 0.5 + 0) / 3)
    # 0.5 itself counts as reached.
    assert scores.summary()["AP50"] == pytest.approx(2 / 3)
    assert scores.precision_at(0.9) == pytest.approx(1 / 3)


def test_an_empty_truth_is_refused_and_not_counted_as_perfect():
    with pytest.raises(DataError, match="PresenceScores"):
        MaskScores().add(mask("...."), mask("...."))


def test_a_truth_wholly_under_void_is_refused():
    with pytest.raises(DataError):
        MaskScores().add(mask("#..."), mask("#..."), mask("#..."))


def test_no_answers_give_nan_and_not_zero():
    assert np.isnan(MaskScores().mean_iou) and np.isnan(MaskScores().cumulative_iou)
