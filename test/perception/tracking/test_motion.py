# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from seem_ros.perception.tracking.association import make_place
from seem_ros.perception.tracking.motion import PictureMotion


@pytest.fixture(scope="module")
def ground():
    """A large picture with things of many sizes to see in it."""
    noise = np.random.default_rng(4).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    coarse = cv2.resize(noise[:30, :40], (320, 240), interpolation=cv2.INTER_CUBIC)
    return cv2.addWeighted(coarse, 0.7, cv2.GaussianBlur(noise, (5, 5), 0), 0.3, 0)


def view(ground, x, y):
    """What a camera that looks at (x, y) sees, uint8 [72, 96, 3]."""
    return np.ascontiguousarray(ground[y : y + 72, x : x + 96])


def square(x, y, side=14):
    logits = np.full((72, 96), -6, np.float32)
    logits[y : y + side, x : x + side] = 6
    return logits


def place_of(logits, picture):
    fine = cv2.resize(logits, (192, 144), interpolation=cv2.INTER_NEAREST)
    return make_place(fine, logits, picture, (480, 640))


def overlap(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


@pytest.mark.parametrize("step", [(3, 1), (-6, 4), (14, -9), (-20, 0)])
def test_a_place_moves_with_what_it_was_on_however_quickly_the_camera_turns(ground, step):
    before, now = view(ground, 100, 80), view(ground, 100 + step[0], 80 + step[1])
    moved = PictureMotion(now).moved(place_of(square(40, 30), before))
    assert overlap(moved.mask, square(40 - step[0], 30 - step[1]) > 0) > 0.8
    assert np.abs(moved.centre - (47 - step[0], 37 - step[1])).max() < 1


def test_a_place_stays_before_a_camera_that_stands_still_whatever_moves_in_front_of_it(ground):
    """Flow at the rim of an arm would take the mask along."""
    before = view(ground, 100, 80)
    now = before.copy()
    before[:60, 36:46], now[:60, 30:40] = (20, 20, 25), (20, 20, 25)
    place = place_of(square(40, 30), before)
    assert PictureMotion(now).moved(place) is place


def test_nothing_moves_in_a_picture_that_stays_but_for_the_cameras_noise(ground):
    before = view(ground, 100, 80)
    noise = np.random.default_rng(1).normal(0, 1.5, before.shape)
    place = place_of(square(40, 30), before)
    assert PictureMotion(np.clip(before + noise, 0, 255).astype(np.uint8)).moved(place) is place


def test_a_place_stays_in_a_picture_of_another_shape(ground):
    place = place_of(square(40, 30), view(ground, 100, 80))
    assert PictureMotion(ground[:96, :72]).moved(place) is place


def test_the_picture_of_a_place_stays_the_one_that_it_was_seen_in(ground):
    before = view(ground, 100, 80)
    moved = PictureMotion(view(ground, 104, 80)).moved(place_of(square(40, 30), before))
    assert moved.picture is before and moved.geometry_key == (480, 640)
