# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from seem_ros.datasets.coco_panoptic import CocoPanoptic
from seem_ros.errors import DataError


def tree(disk, segments, ids=None, size=(6, 8)):
    values = np.zeros((6, 8), np.int64)
    values[:, :3], values[:, 3:6] = 70000, 300
    disk.picture("val2017/000001.jpg", size)
    disk.ids("annotations/panoptic_val2017/000001.png", values if ids is None else ids)
    content = {
        "images": [{"id": 1, "file_name": "000001.jpg", "height": 6, "width": 8}],
        "categories": [{"id": 1, "name": "person", "isthing": 1}, {"id": 92, "name": "banner", "isthing": 0}],
        "annotations": [{"image_id": 1, "file_name": "000001.png", "segments_info": segments}],
    }
    (disk.folder / "annotations" / "panoptic_val2017.json").write_text(json.dumps(content))


GOOD = [{"id": 70000, "category_id": 92, "iscrowd": 0}, {"id": 300, "category_id": 1, "iscrowd": 1}]


def test_the_published_tree_gives_ids_classes_and_crowds(disk):
    tree(disk, GOOD)
    data = CocoPanoptic.from_folder(disk.folder)
    (sample,) = data
    assert data.class_names == ("person", "banner") and data.is_thing == (True, False)
    assert (sample.ids == 70000).sum() == 18 and (sample.ids == 0).sum() == 12
    assert [(s.segment_id, s.class_index, s.is_crowd) for s in sample.segments] == [(70000, 1, False), (300, 0, True)]


def test_an_unknown_category_is_refused(disk):
    tree(disk, [GOOD[0], {"id": 300, "category_id": 7}])
    with pytest.raises(DataError, match=r"unknown category 7"):
        CocoPanoptic.from_folder(disk.folder).read(0)


def test_ids_that_are_not_listed_are_refused(disk):
    tree(disk, GOOD[:1])
    with pytest.raises(DataError, match=r"differ: \[300\]"):
        CocoPanoptic.from_folder(disk.folder).read(0)


def test_pictures_of_different_sizes_are_refused(disk):
    tree(disk, GOOD, size=(5, 8))
    with pytest.raises(DataError, match=r"8x5.*8x6"):
        CocoPanoptic.from_folder(disk.folder).read(0)


def test_a_missing_part_of_the_tree_is_named(disk):
    with pytest.raises(DataError, match=r"panoptic_val2017.json"):
        CocoPanoptic.from_folder(disk.folder)
    tree(disk, GOOD)
    with pytest.raises(DataError, match=r"panoptic_test2017.json"):
        CocoPanoptic.from_folder(disk.folder, "test2017")


def test_annotations_that_are_not_json_are_refused(disk):
    tree(disk, GOOD)
    (disk.folder / "annotations" / "panoptic_val2017.json").write_text("{")
    with pytest.raises(DataError, match=r"is not JSON"):
        CocoPanoptic.from_folder(disk.folder)
