# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.number_of_clicks import (
    ClickSession,
    SimulatedClick,
    click_summary,
    next_click,
    number_of_clicks,
)


def square(top, left, side, shape=(20, 30)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


EMPTY = np.zeros((20, 30), bool)


def test_the_first_click_is_the_centre_of_the_object():
    assert next_click(EMPTY, square(4, 10, 5)) == SimulatedClick(12, 6, True)


def test_the_next_click_removes_the_larger_of_two_errors():
    # 7x7 wrongly taken against 3x3 missed: a negative click in the centre of the former.
    truth = square(2, 2, 3)
    assert next_click(square(10, 20, 7), truth) == SimulatedClick(23, 13, False)


def test_the_picture_edge_counts_as_a_border():
    # An object filling rows 0..4 of the left edge: the centre of its 5x5, not a pixel on the edge.
    assert next_click(EMPTY, square(0, 0, 5)) == SimulatedClick(2, 2, True)


def test_the_deepest_region_wins_not_the_one_with_most_pixels():
    truth = np.zeros((20, 30), bool)
    truth[0, :] = True  # 30 px, but one thin line
    truth[10:15, 10:15] = True  # 25 px
    assert next_click(EMPTY, truth) == SimulatedClick(12, 12, True)


def test_void_is_never_an_error():
    truth, void = square(4, 10, 5), square(4, 10, 5)
    assert next_click(EMPTY, truth, void) is None


def test_a_pixel_is_not_clicked_twice():
    clicked = np.zeros((20, 30), bool)
    clicked[6, 12] = True
    click = next_click(EMPTY, square(4, 10, 5), clicked=clicked)
    assert (click.x, click.y) != (12, 6) and click.positive


def test_a_perfect_mask_leaves_nothing_to_click():
    assert next_click(square(4, 10, 5), square(4, 10, 5)) is None


def test_number_of_clicks_counts_from_one_and_caps():
    assert number_of_clicks([0.5, 0.86, 0.9], 0.85) == 2
    assert number_of_clicks([0.5, 0.85], 0.85) == 2  # reached exactly
    assert number_of_clicks([0.5, 0.6], 0.85) == 20
    assert number_of_clicks([0.5, 0.6, 0.7, 0.95], 0.9, max_clicks=3) == 3


def test_summary_of_three_worked_objects():
    summary = click_summary([[0.95], [0.5, 0.88, 0.91], [0.2] * 20])
    assert summary["1-IoU"] == pytest.approx((0.95 + 0.5 + 0.2) / 3)
    assert summary["NoC@85"] == pytest.approx((1 + 2 + 20) / 3)
    assert summary["NoC@90"] == pytest.approx((1 + 3 + 20) / 3)
    assert summary["5-NoC@90"] == pytest.approx((1 + 3 + 5) / 3)
    assert summary["10-NoC@90"] == pytest.approx((1 + 3 + 10) / 3)
    assert summary["never@90"] == pytest.approx(1 / 3)


def test_a_session_walks_from_first_click_to_perfect():
    truth = square(4, 10, 5)
    session = ClickSession(truth)
    assert session.next() == SimulatedClick(12, 6, True)
    assert session.next() is None  # the newest click is not answered yet
    assert session.update(square(4, 10, 4)) == pytest.approx(16 / 25)
    click = session.next()
    assert click.positive and truth[click.y, click.x] and not square(4, 10, 4)[click.y, click.x]
    assert session.update(truth) == 1.0
    assert session.next() is None
    assert session.iou_after(1) == pytest.approx(0.64) and session.iou_after(3) == 1.0


def test_a_session_stops_after_its_clicks():
    session = ClickSession(square(4, 10, 5), max_clicks=2)
    for _ in range(2):
        assert session.next() is not None
        session.update(EMPTY)
    assert session.next() is None


def test_a_session_on_nothing_is_refused():
    with pytest.raises(DataError, match="empty"):
        ClickSession(EMPTY)


def test_clicks_equal_the_plain_whole_picture_computation():
    rng = np.random.default_rng(3)
    for _ in range(20):
        noise = cv2.GaussianBlur(rng.random((2, 40, 50)).astype(np.float32).transpose(1, 2, 0), (0, 0), 3)
        truth, ours = noise[..., 0] > 0.5, noise[..., 1] > 0.5
        depths = [
            cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 0)[1:-1, 1:-1]
            for region in (truth & ~ours, ours & ~truth)
        ]
        click = next_click(ours, truth)
        assert click.positive == (depths[0].max() > depths[1].max())
        assert depths[0 if click.positive else 1][click.y, click.x] == max(depths[0].max(), depths[1].max())
