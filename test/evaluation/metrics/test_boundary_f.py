# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.boundary_f import boundary_f, contour, score_track, track_summary


def square(top, left, side, shape=(30, 40)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


EMPTY = np.zeros((30, 40), bool)


def test_the_contour_of_one_pixel_is_the_pixel_and_its_upper_left_neighbours():
    mask = np.zeros((3, 3), bool)
    mask[1, 1] = True
    assert contour(mask).tolist() == [[True, True, False], [True, True, False], [False, False, False]]


def test_an_object_filling_the_picture_has_no_contour():
    assert not contour(np.ones((4, 5), bool)).any()


def test_equal_masks_score_one():
    assert boundary_f(square(5, 5, 10), square(5, 5, 10)) == 1.0


def test_a_shift_within_the_tolerance_is_forgiven_and_beyond_it_is_not():
    # The diagonal of 30x40 is 50: 0.008 of it is 0.4, so one pixel of tolerance.
    assert boundary_f(square(5, 6, 10), square(5, 5, 10)) == 1.0
    assert boundary_f(square(5, 9, 10), square(5, 5, 10)) < 0.75


def test_worked_precision_and_recall_of_half_a_contour():
    # Two vertical edges at columns 9 and 29; ours has only the first: precision 1, recall 1/2, F 2/3.
    truth, ours = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    truth[:, 10:30] = True
    ours[:, 10:] = True
    assert boundary_f(ours, truth) == pytest.approx(2 / 3)


def test_an_empty_answer_to_nothing_is_right_and_to_something_wrong():
    assert boundary_f(EMPTY, EMPTY) == 1.0
    assert boundary_f(EMPTY, square(5, 5, 10)) == 0.0
    assert boundary_f(square(5, 5, 10), EMPTY) == 0.0


def test_void_is_background_in_both():
    assert boundary_f(square(20, 20, 5) | square(5, 5, 5), square(5, 5, 5), void=square(19, 19, 8)) == 1.0


def test_a_track_leaves_out_first_and_last_frame():
    a, b = square(5, 5, 10), square(5, 20, 10)
    scores = score_track([b, a, b, b], [a, a, a, a])
    assert scores.j == (1.0, 0.0)
    assert scores.j_mean == 0.5 and scores.j_recall == 0.5
    assert score_track([b, a, b, b], [a, a, a, a], skip_last=False).j == (1.0, 0.0, 0.0)


def test_a_hidden_object_counts_as_right_only_if_nothing_is_claimed():
    a = square(5, 5, 10)
    assert score_track([a, EMPTY, a, a], [a, EMPTY, EMPTY, a]).j == (1.0, 0.0)


def test_decay_is_first_quarter_minus_last():
    a, b = square(5, 5, 10), EMPTY
    scores = score_track([a] * 5 + [b] * 5, [a] * 10)  # scored: 4 right, 4 wrong
    assert scores.j_decay == 1.0


def test_the_headline_is_the_mean_of_j_and_f():
    a = square(5, 5, 10)
    summary = track_summary([score_track([a] * 3, [a] * 3), score_track([EMPTY] * 3, [a] * 3)])
    assert summary["J&F"] == 0.5 and summary["n"] == 2


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(DataError, match="3 predicted and 4 true"):
        score_track([EMPTY] * 3, [EMPTY] * 4)


def test_a_clip_too_short_to_score_is_refused():
    with pytest.raises(DataError, match="nothing to score"):
        score_track([EMPTY] * 2, [EMPTY] * 2)


def test_f_equals_distances_between_contour_pixels_computed_one_by_one():
    rng = np.random.default_rng(5)
    for _ in range(5):
        masks = [cv2.GaussianBlur(rng.random((40, 50)).astype(np.float32), (0, 0), 3) > 0.5 for _ in range(2)]
        ours, theirs = (np.argwhere(contour(mask)) for mask in masks)
        apart = np.hypot(*(ours[:, None] - theirs[None]).transpose(2, 0, 1))
        precision, recall = (apart.min(1) <= 2).mean(), (apart.min(0) <= 2).mean()
        assert boundary_f(*masks, tolerance=2) == pytest.approx(2 * precision * recall / (precision + recall))
