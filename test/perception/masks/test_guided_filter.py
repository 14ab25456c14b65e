# SPDX-License-Identifier: Apache-2.0
"""Mask borders follow the picture's edges."""

import cv2
import numpy as np
import pytest

from seem_ros.perception.masks.guided_filter import enlarge_along_edges
from seem_ros.perception.masks.upsample import enlarge
from seem_ros.perception.structures.letterbox import fit

NET, STRIDE = (96, 128), 2


def square(size_hw, box):
    """A red square on a blue ground and where it is; box in parts of the picture."""
    height, width = size_hw
    rgb = np.full((height, width, 3), (40, 60, 190), np.uint8)
    y0, y1, x0, x1 = (round(v * n) for v, n in zip(box, (height, height, width, width)))
    truth = np.zeros(size_hw, bool)
    truth[y0:y1, x0:x1] = True
    rgb[truth] = (200, 40, 30)
    return cv2.add(rgb, np.random.default_rng(0).integers(0, 6, rgb.shape, np.uint8)), truth


def rounded(truth, geometry):
    """What a coarse network makes of it: blurred, half a cell off."""
    height, width = geometry.network_hw
    small = np.zeros((height, width), np.float32)
    ch, cw = geometry.content_hw
    small[:ch, :cw] = cv2.resize(truth.astype(np.float32), (cw, ch), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(np.roll(small, (2, -2), (0, 1)), (0, 0), 3)
    return 12 * (cv2.resize(small, (width // STRIDE, height // STRIDE), interpolation=cv2.INTER_AREA) - 0.5)


def as_mask(patch, size_hw):
    mask = np.zeros(size_hw, bool)
    mask[patch.window] = patch.logits > 0
    return mask


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("size_hw", [(96, 128), (480, 640), (90, 128), (1080, 1920), (77, 101), (50, 61)])
def test_a_rounded_mask_gets_the_outline_of_what_it_covers(size_hw):
    rgb, truth = square(size_hw, (0.3, 0.6, 0.35, 0.6))
    geometry = fit(size_hw, NET)
    logits = rounded(truth, geometry)
    plain = iou(as_mask(enlarge(logits, geometry, STRIDE), size_hw), truth)
    better = iou(as_mask(enlarge_along_edges(logits, geometry, STRIDE, geometry.shrink(rgb), rgb, 12), size_hw), truth)
    assert plain < 0.85 and better > 0.95


def test_an_object_at_the_pictures_corner_keeps_its_place():
    rgb, truth = square((480, 640), (0.7, 1.0, 0.75, 1.0))
    geometry = fit((480, 640), NET)
    patch = enlarge_along_edges(rounded(truth, geometry), geometry, STRIDE, geometry.shrink(rgb), rgb, 12)
    assert iou(as_mask(patch, (480, 640)), truth) > 0.95


def test_a_picture_without_edges_leaves_the_mask_nearly_as_it_is():
    grey = np.full((240, 320, 3), 127, np.uint8)
    geometry = fit((240, 320), NET)
    _, truth = square((240, 320), (0.3, 0.7, 0.3, 0.7))
    logits = rounded(truth, geometry)
    plain = as_mask(enlarge(logits, geometry, STRIDE), (240, 320))
    same = as_mask(enlarge_along_edges(logits, geometry, STRIDE, geometry.shrink(grey), grey, 12), (240, 320))
    assert iou(plain, same) > 0.9


def test_an_empty_mask_has_no_patch():
    geometry = fit((240, 320), NET)
    rgb = np.zeros((240, 320, 3), np.uint8)
    empty = np.full((48, 64), -3, np.float32)
    assert enlarge_along_edges(empty, geometry, STRIDE, geometry.shrink(rgb), rgb, 12) is None


def test_a_border_moves_no_further_than_it_may():
    rgb, _ = square((96, 128), (0.1, 0.9, 0.1, 0.9))
    geometry, rows, columns = fit((96, 128), NET), *np.mgrid[:48, :64]
    disc = (8 - np.hypot(rows - 24, columns - 32)).astype(np.float32)
    grown = as_mask(enlarge_along_edges(disc, geometry, STRIDE, rgb, rgb, 6), (96, 128))
    plain = as_mask(enlarge(disc, geometry, STRIDE), (96, 128)).astype(np.uint8)
    assert not (grown & (cv2.dilate(plain, np.ones((27, 27), np.uint8)) == 0)).any()
