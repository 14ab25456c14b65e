# SPDX-License-Identifier: Apache-2.0
"""The clips that come with the package, and damaged copies of them."""

import shutil

import cv2
import numpy as np
import pytest

from seem_ros.datasets.recorded_clip import RecordedClip, find_clip
from seem_ros.errors import DataError


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(find_clip("tabletop"), tmp_path / "clip")


def test_depth_and_the_cameras_place_put_what_stands_still_on_one_spot():
    clip = RecordedClip(find_clip("tabletop"))
    spots = []
    for index in (0, 90, 179):  # the camera moves by 16 cm
        shot = clip.read(index)
        rows, columns = np.nonzero(shot.ids == 1)  # the red mug
        depth_m = shot.depth_m[rows, columns].astype(float)
        rays = np.stack([*clip.intrinsics.rays(columns, rows), np.ones(len(rows))])
        points = shot.world_from_camera[:3, :3] @ (rays * depth_m) + shot.world_from_camera[:3, 3:]
        spots.append((points.min(axis=1) + points.max(axis=1)) / 2)
    # its origin is 3 cm beside the table's, at its foot; its far side is hidden
    np.testing.assert_allclose(spots, np.tile((0.03, 0.0, 0.05), (3, 1)), atol=0.02)
    assert np.ptp(spots, axis=0).max() < 0.01


def test_a_real_clip_has_neither_depth_nor_places():
    shot = RecordedClip(find_clip("campus")).read(0)
    assert shot.depth_m is None and shot.world_from_camera is None


@pytest.mark.parametrize("damage", ["missing", "eight bits", "other size"])
def test_damaged_depth_is_named_by_its_frame(copy, damage):
    path = copy / "Truth" / "demo" / "depth" / "00003.png"
    depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    path.unlink()
    if damage != "missing":
        cv2.imwrite(str(path), depth.astype(np.uint8) if damage == "eight bits" else depth[:100])
    clip = RecordedClip(copy)
    assert clip.read(2).depth_m is not None
    with pytest.raises(DataError, match="00003"):
        clip.read(3)
