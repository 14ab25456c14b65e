# SPDX-License-Identifier: Apache-2.0
"""What is written to disk, read back by the readers of the published layouts."""

import json

import cv2
import numpy as np
import pytest

from seem_ros.datasets.davis import DavisVideos
from seem_ros.errors import DataError
from seem_ros.sim.clip_writer import ClipWriter, davis_palette, depth_to_mm, write_list
from seem_ros.sim.ground_truth import RenderedFrame, TrueInstance


def _frame(index: int) -> RenderedFrame:
    ids = np.full((48, 64), 3, np.uint8)
    ids[10:30, 10 + index : 30 + index] = 1
    ids[0:3, 0:3] = 2
    instances = (
        TrueInstance.thing(1, "mug", "red", None, "plain"),
        TrueInstance.thing(2, "ball", "blue", "small", "plain"),
        TrueInstance.stuff(3, "table"),
    )
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[ids == 1] = (200, 10, 10)
    return RenderedFrame(
        index,
        index * 66_666_667,
        rgb,
        ids,
        np.full((48, 64), 0.5, np.float32),
        np.eye(3),
        np.eye(4),
        {1: np.eye(4), 2: np.eye(4)},
        instances,
    )


def _write(root, **options):
    writer = ClipWriter(root, "clip", 15.0, **options)
    for index in range(3):
        writer.add(_frame(index))
    truth = json.loads(writer.close(seed=4).read_text())
    write_list(root, ["clip"])
    return truth


def test_a_clip_that_is_recorded_again_holds_no_frame_of_before(tmp_path):
    _write(tmp_path)
    writer = ClipWriter(tmp_path, "clip", 15.0)
    writer.add(_frame(0))
    writer.close()
    assert [path.name for path in (tmp_path / "JPEGImages" / "clip").iterdir()] == ["00000.jpg"]
    assert [path.name for path in (tmp_path / "Truth" / "clip" / "ids").iterdir()] == ["00000.png"]


def test_a_clip_reads_back_as_davis_video_with_objects_that_were_visible_at_first(tmp_path):
    _write(tmp_path)
    (video,) = list(DavisVideos(tmp_path))
    frames = list(video)
    assert len(frames) == 3 and video.name == "clip"
    assert np.array_equal(frames[2].labels == 1, _frame(2).mask(1))
    assert set(np.unique(frames[0].labels)) == {0, 1}  # the ball shows 9 pixels only, the table is no object
    assert abs(int(frames[0].rgb[20, 20, 0]) - 200) < 12


def test_the_truth_names_everything_and_counts_pixels(tmp_path):
    truth = _write(tmp_path)
    assert [item["name"] for item in truth["instances"]] == ["red mug", "blue ball", "table"]
    assert truth["annotated_ids"] == [1] and truth["seed"] == 4
    assert truth["frames"][1]["visible_px"] == {"1": 400, "2": 9, "3": 48 * 64 - 409}


def test_ids_and_depth_are_lossless(tmp_path):
    _write(tmp_path, video=False)
    folder = tmp_path / "Truth" / "clip"
    depth = cv2.imread(str(folder / "depth" / "00001.png"), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and np.all(depth == 500)
    from PIL import Image

    assert np.array_equal(np.array(Image.open(folder / "ids" / "00001.png")), _frame(1).ids)


def test_the_video_has_every_frame(tmp_path):
    _write(tmp_path)
    video = cv2.VideoCapture(str(tmp_path / "clip.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 3


def test_depth_that_millimetres_cannot_hold_is_written_as_unknown():
    metres = np.array([[0.0, 0.0004, 1.2346, 65.535, 65.6, np.inf, np.nan, -1]], np.float32)
    assert depth_to_mm(metres).tolist() == [[0, 0, 1235, 65535, 0, 0, 0, 0]]


def test_the_palette_is_the_one_of_pascal_and_davis():
    assert davis_palette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]


def test_a_folder_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file cannot be made or written"):
        ClipWriter(tmp_path / "file", "clip", 15.0)


def test_a_disk_that_fills_up_is_reported(tmp_path):
    writer = ClipWriter(tmp_path, "clip", 15.0, video=False)
    (tmp_path / "JPEGImages" / "clip" / "00000.jpg").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"00000\.jpg cannot be written: No space left"):
        writer.add(_frame(0))


def test_a_clip_without_frames_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no frames"):
        ClipWriter(tmp_path, "clip", 15.0).close()


def test_asking_a_frame_for_an_unknown_id_is_refused_and_names_are_found():
    frame = _frame(0)
    assert [item.id for item in frame.find("small blue ball")] == [2] and frame.find("green ring") == []
    with pytest.raises(DataError, match="no instance 9"):
        frame.mask(9)
