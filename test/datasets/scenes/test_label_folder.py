# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures with label images: read right, and refused with the file's name where something is wrong."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from seem_ros.datasets.scenes.label_folder import LabelFolder
from seem_ros.errors import DataError


def test_a_still_is_given_twice_with_names_groups_and_ignored_pixels(labels):
    clip = LabelFolder(labels).draw(0, np.random.default_rng(0))
    assert clip.still and [thing.shape for thing in clip.things] == ["mug", "box"]
    assert (clip.ids[0] == clip.ids[1]).all() and (clip.ids[0, :4] == 255).all()
    assert clip.ids[0, 40, 25] == 1 and clip.ids[0, 40, 90] == 2
    assert clip.groups[0].name == "toy" and clip.groups[0].ids == {1, 2}


def test_only_a_class_that_is_labelled_throughout_is_called_absent(labels, change_index):
    clip = LabelFolder(labels).draw(0, np.random.default_rng(0))
    assert not clip.absent("mug") and not clip.absent("unicorn") and not clip.absent("toy")
    change_index(lambda index: index["items"][0]["objects"].pop())
    cv2.imwrite(str(labels / "masks/0.png"), np.where(cv2.imread(str(labels / "masks/0.png"), 0) == 2, 0, 1))
    change_index(lambda index: index["items"][0].pop("groups"))
    clip = LabelFolder(labels).draw(0, np.random.default_rng(0))
    assert clip.absent("box")
    change_index(lambda index: index.update(exhaustive_for_its_classes=False))
    assert not LabelFolder(labels).draw(0, np.random.default_rng(0)).absent("box")


def test_frames_of_a_sequence_come_in_pairs_that_keep_identities(tmp_path, write_labels):
    source = LabelFolder(write_labels(tmp_path / "video", frames=5))
    clip = source.draw(2, np.random.default_rng(1))
    assert not clip.still and (clip.rgb[0] != clip.rgb[1]).any()
    colours = [{tuple(clip.rgb[frame][clip.ids[frame] == thing.id][0]) for frame in range(2)} for thing in clip.things]
    assert all(len(seen) == 1 for seen in colours)


def test_pictures_of_more_weight_are_drawn_more_often(labels, change_index):
    change_index(lambda index: index["items"][1].update(weight=4))
    assert LabelFolder(labels).weights.tolist() == [1, 4]


def _drop(path):
    path.unlink()


def _rewrite(value):
    return lambda path: cv2.imwrite(str(path), value)


@pytest.mark.parametrize(
    ("file", "break_it", "said"),
    [
        ("images/1.png", _drop, "images/1.png does not exist"),
        ("masks/1.png", _drop, "masks/1.png does not exist"),
        ("masks/1.png", lambda path: path.write_bytes(b"no picture"), "masks/1.png cannot be read"),
        ("masks/1.png", _rewrite(np.zeros((50, 50), np.uint8)), "its mask .*masks/1.png is 50x50"),
        (
            "masks/1.png",
            _rewrite(np.full((96, 128), 7, np.uint8)),
            "masks/1.png holds the value 7, of which there is no",
        ),
        ("masks/1.png", _rewrite(np.ones((96, 128), np.uint8)), "masks/1.png has no pixel of object 2"),
        ("index.json", lambda path: path.write_text("{"), "index.json is not JSON"),
        ("index.json", _drop, "index.json does not exist"),
    ],
)
def test_a_bad_file_is_named_in_one_line(labels, file, break_it, said):
    break_it(labels / file)
    with pytest.raises(DataError, match=said) as error:
        LabelFolder(labels).check()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda index: index["classes"].update(spoon=3), "class 'spoon' has no picture"),
        (lambda index: index["items"][0].update(width=200), "images/0.png is 128x96, but .* says 200x96"),
        (lambda index: index["items"][0].pop("mask"), "item 0: missing mask"),
        (lambda index: index["items"][0]["objects"][0].update(id=2), "recorded twice"),
        (lambda index: index["items"][0]["objects"][0].update(id=255), "id is 1..254, got 255"),
        (lambda index: index["items"][0]["groups"][0].update(ids=[9]), "group 'toy' names ids without a record"),
        (lambda index: index["items"].clear(), "has no picture"),
    ],
)
def test_an_index_that_cannot_be_true_is_refused(change_index, edit, said):
    with pytest.raises(DataError, match=said):
        LabelFolder(change_index(edit))


def test_an_unknown_split_is_refused_and_an_empty_one_named(labels):
    with pytest.raises(DataError, match="train, val or all"):
        LabelFolder(labels, "test")
    with pytest.raises(DataError, match="no picture of the split 'val'"):
        LabelFolder(labels, "val")
    assert json.loads((labels / "index.json").read_text())
