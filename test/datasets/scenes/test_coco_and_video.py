# SPDX-License-Identifier: Apache-2.0
"""COCO instances and DAVIS folders as scenes to train on."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from seem_ros.datasets.scenes.coco_instances import CocoInstances
from seem_ros.datasets.scenes.video_folder import VideoFolder
from seem_ros.errors import DataError

HEIGHT_PX, WIDTH_PX = 96, 128


def _square(left: int, side: int = 20) -> list[list[float]]:
    return [[left, 20, left + side, 20, left + side, 20 + side, left, 20 + side]]


@pytest.fixture
def coco(tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((HEIGHT_PX, WIDTH_PX, 3), 40 * number, np.uint8))
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": HEIGHT_PX, "width": WIDTH_PX} for n in range(3)],
        "categories": [{"id": 5, "name": "mug"}, {"id": 6, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 5, "segmentation": _square(10)},
            {"id": 2, "image_id": 0, "category_id": 6, "segmentation": _square(5, 60)},
            {"id": 3, "image_id": 0, "category_id": 6, "segmentation": _square(90), "iscrowd": 1},
            {"id": 4, "image_id": 1, "category_id": 5, "segmentation": _square(10), "track_id": 7},
            {"id": 5, "image_id": 1, "category_id": 5, "segmentation": _square(60), "track_id": 8},
            {"id": 6, "image_id": 2, "category_id": 5, "segmentation": _square(14), "track_id": 8},
            {"id": 7, "image_id": 2, "category_id": 5, "segmentation": _square(64), "track_id": 7},
        ],
    }
    for number in (1, 2):
        content["images"][number] |= {"sequence": "clip", "frame": number}

    def write(edit=lambda content: None):
        edit(content)
        (tmp_path / "instances.json").write_text(json.dumps(content))
        return CocoInstances(tmp_path / "instances.json", tmp_path, exhaustive=True)

    return write


def test_the_smaller_object_is_in_front_and_crowds_are_ignored(coco):
    clip = coco().draw(0, np.random.default_rng(0))
    named = {thing.shape: thing.id for thing in clip.things}
    assert clip.ids[0, 25, 15] == named["mug"] and clip.ids[0, 70, 20] == named["person"]
    assert clip.ids[0, 25, 95] == 255 and clip.absent("person") is False


def test_tracks_join_the_frames_of_a_sequence(coco):
    source = coco()
    clip = source.draw(1, np.random.default_rng(0))
    assert not clip.still
    crossed = {int(clip.ids[0, 30, 65]), int(clip.ids[1, 30, 20])}
    assert crossed == {int(clip.ids[0, 30, 65])} and clip.ids[0, 30, 12] == clip.ids[1, 30, 70]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda c: c["images"][1].update(width=64), "1.png is 128x96, but .*instances.json says 64x96"),
        (lambda c: c["images"][1].update(file_name="no.png"), "no.png does not exist"),
        (lambda c: c["annotations"][0].update(category_id=9), "annotation 1 belongs to the image 0 and the category 9"),
        (lambda c: c["annotations"].clear(), "every class is without pictures"),
        (lambda c: c["annotations"][0].update(segmentation=[]), "annotation 1 has no polygon"),
        (lambda c: c.pop("categories"), "missing categories"),
    ],
)
def test_what_does_not_fit_is_named(coco, edit, said):
    with pytest.raises(DataError, match=said):
        coco(edit).check()


def test_a_video_gives_near_frames_of_one_sequence_with_its_names(tmp_path):
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / part / "walk").mkdir(parents=True)
    for frame in range(30):
        labels = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
        labels[10:40, 10 + frame : 40 + frame], labels[0] = 2, 255
        cv2.imwrite(
            str(tmp_path / f"JPEGImages/walk/{frame:05d}.jpg"), np.full((HEIGHT_PX, WIDTH_PX, 3), frame, np.uint8)
        )
        cv2.imwrite(str(tmp_path / f"Annotations/walk/{frame:05d}.png"), labels)
    source = VideoFolder(tmp_path, names={"walk": {2: "dog"}})
    clip = source.draw(15, np.random.default_rng(0))
    lefts = [int(np.nonzero(clip.ids[frame] == 2)[1].min()) for frame in range(2)]
    assert lefts[0] == 25 and 0 < abs(lefts[1] - 25) <= 12
    assert clip.things[0].shape == "dog" and (clip.ids[:, 0] == 255).all() and len(source) == 30
