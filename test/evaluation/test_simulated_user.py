# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.number_of_clicks import SimulatedClick
from seem_ros.evaluation.simulated_user import as_click, true_box, true_scribble
from seem_ros.perception.prompting.rasterize import draw_regions
from seem_ros.perception.structures.letterbox import fit
from seem_ros.perception.structures.prompts import Box


def ring():
    mask = np.zeros((60, 80), np.uint8)
    cv2.circle(mask, (40, 30), 18, 1, thickness=7)
    return mask.astype(bool)


def test_the_box_is_tight():
    mask = np.zeros((10, 20), bool)
    mask[2:5, 7:11] = True
    assert true_box(mask).boxes == (Box(7.0, 2.0, 11.0, 5.0),)


def test_a_scribble_stays_in_the_object_even_in_a_ring():
    mask = ring()
    drawn, _ = draw_regions(true_scribble(mask).shapes, fit(mask.shape, mask.shape))
    assert drawn.sum() > 60  # more than a dot
    assert (drawn & ~mask).sum() <= 0.02 * drawn.sum()


def test_a_scribble_runs_along_the_long_axis():
    mask = np.zeros((20, 60), bool)
    mask[5:15, 5:55] = True
    points = true_scribble(mask).scribbles[0].points_xy
    assert np.ptp(points[:, 0]) > 35 and points[:, 0].min() >= 5 and points[:, 0].max() < 55


def test_a_single_pixel_can_be_scribbled_on():
    mask = np.zeros((5, 5), bool)
    mask[2, 3] = True
    scribble = true_scribble(mask).scribbles[0]
    assert scribble.points_xy.tolist() == [[3.5, 2.5]] and scribble.width_px == 1.0


def test_a_click_is_put_at_the_centre_of_its_pixel():
    click = as_click(SimulatedClick(4, 7, positive=False))
    assert (click.x, click.y, click.negative) == (4.5, 7.5, True)


def test_nothing_cannot_be_boxed_or_scribbled_on():
    for draw in (true_box, true_scribble):
        with pytest.raises(DataError):
            draw(np.zeros((4, 4), bool))
