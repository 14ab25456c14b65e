# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from seem_ros.perception.masks.upsample import Patch, drop_strays, enlarge, mask_scores, paint
from seem_ros.perception.structures.letterbox import fit

NET = (240, 320)


def _whole(logits, geometry, stride):
    """The bilinear enlargement of the whole content, written out: pixel centres aligned, the last cell repeated."""

    def matrix(size, content):
        cells = -(-content // stride)
        place = np.clip((np.arange(size) + 0.5) * content / size / stride - 0.5, 0, cells - 1)
        low = np.floor(place).astype(int)
        out = np.zeros((size, cells))
        np.add.at(out, (np.arange(size), low), 1 - (place - low))
        np.add.at(out, (np.arange(size), np.minimum(low + 1, cells - 1)), place - low)
        return out

    rows, columns = (matrix(s, c) for s, c in zip(geometry.source_hw, geometry.content_hw, strict=True))
    return rows @ logits[: rows.shape[1], : columns.shape[1]] @ columns.T


@pytest.mark.parametrize(
    "size", [(240, 320), (480, 640), (1080, 1920), (333, 517), (100, 77), (1, 1), (7, 2000), (2000, 7), (181, 240)]
)
@pytest.mark.parametrize("stride", [2, 4])
def test_enlarging_only_the_box_gives_the_same_mask_as_enlarging_everything(size, stride):
    geometry = fit(size, NET)
    rng = np.random.default_rng(stride)
    logits = cv2.GaussianBlur(rng.normal(size=(NET[0] // stride, NET[1] // stride)).astype(np.float32), (0, 0), 4) * 9
    logits[:, : 160 // stride] -= 3
    whole = _whole(logits, geometry, stride)
    patch = enlarge(logits, geometry, stride)
    mask = np.zeros(size, bool)
    if patch is not None:
        mask[patch.window] = patch.logits > 0
    assert (mask != (whole > 0))[np.abs(whole) > 1e-4].sum() == 0


def test_a_mask_in_the_padding_alone_is_no_mask():
    logits = np.full((120, 160), -1, np.float32)
    logits[95:] = 5
    assert enlarge(logits, fit((1080, 1920), NET), 2) is None
    assert enlarge(np.full((120, 160), -1, np.float32), fit(NET, NET), 2) is None


def test_a_pixel_goes_to_the_better_score_times_probability():
    first = Patch(0, 0, np.full((4, 6), 2.0, np.float32))
    second = Patch(4, 2, np.full((4, 6), 2.0, np.float32))
    labels, extents = paint([first, second], [0.5, 0.9], [7, 9], (10, 12))
    assert (labels[2:4, 4:6] == 9).all() and extents[0].area_px == 20 and extents[1].area_px == 24
    labels, _ = paint([first, second], [0.9, 0.5], [7, 9], (10, 12))
    assert (labels[2:4, 4:6] == 7).all()
    assert labels.dtype == np.uint8
    assert paint([first], [1], [300], (10, 12), wide=True)[0].max() == 300


def test_measures_are_those_of_the_pixels_that_were_kept():
    logits = np.full((5, 5), -1, np.float32)
    logits[1:3, 2:5] = 1
    labels, (extent, nothing) = paint([Patch(10, 20, logits), None], [1, 1], [1, 2], (40, 40))
    assert extent.box_xyxy_px == (12, 21, 15, 23) and extent.area_px == 6 == (labels == 1).sum()
    assert extent.centroid_xy_px == pytest.approx((13.0, 21.5))
    assert nothing is None


def test_a_mask_that_lost_all_its_pixels_has_no_extent():
    patch = Patch(0, 0, np.full((3, 3), 1.0, np.float32))
    _, extents = paint([patch, patch], [0.2, 0.9], [1, 2], (3, 3))
    assert extents[0] is None and extents[1].area_px == 9


def test_specks_are_left_out_and_large_parts_stay():
    fine = np.full((3, 24, 32), -4, np.float32)
    fine[0, 2:14, 2:14] = 3  # the object
    fine[0, 20:22, 28:30] = 3  # a speck
    fine[1, 2:14, 2:14] = fine[1, 2:14, 20:26] = 3  # an object behind an arm: two large parts
    before = fine.copy()
    coarse = fine.reshape(3, 12, 2, 16, 2).mean((2, 4))
    kept, memory = drop_strays(fine, coarse, [None] * 3, 0.05)
    assert (fine == before).all(), "the inputs are not written to"
    assert (kept[0] > 0).sum() == 144 and (memory[0] > 0).sum() == 36 and kept[0, 20, 28] == -3
    assert (kept[1:] == fine[1:]).all() and (memory[1:] == coarse[1:]).all()
    assert drop_strays(fine, coarse, [None] * 3, 0.0)[0] is fine


def test_parts_that_do_not_touch_where_the_prompt_points_are_left_out():
    fine = np.full((1, 24, 32), -4, np.float32)
    fine[0, 2:14, 2:14] = fine[0, 2:14, 20:26] = 3
    coarse = fine.reshape(1, 12, 2, 16, 2).mean((2, 4))
    anchor = np.zeros((24, 32), np.uint8)
    anchor[5, 22] = 2
    kept, memory = drop_strays(fine, coarse, [anchor], 0.05)
    assert (kept[0] > 0).sum() == 72 and (kept[0, 2:14, 20:26] > 0).all() and (memory[0] > 0).sum() == 18
    anchor[5, 3] = 2
    assert (drop_strays(fine, coarse, [anchor], 0.05)[0] == fine).all()
    anchor[:] = 0
    anchor[2:14, 4:21] = 1
    kept, _ = drop_strays(fine, coarse, [anchor], 0.05)
    assert (kept[0, 2:14, 2:14] > 0).all() and not (kept[0, :, 20:] > 0).any(), "the last mask only brushes the other"
    anchor[:] = 0
    anchor[20, 5] = 2
    assert (drop_strays(fine, coarse, [anchor], 0.05)[0] == fine).all(), "it points at nothing: all parts count"


def test_the_mask_score_is_the_mean_probability_inside():
    logits = np.float32([[[0.0, -3.0], [np.log(3), np.log(3)]], [[-1, -1], [-1, -1]]])
    assert mask_scores(logits) == pytest.approx([0.75, 0.0])
