# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from seem_ros.datasets.pictures import read_labels, read_rgb
from seem_ros.datasets.ycb import YcbFrames
from seem_ros.errors import DataError


def tree(disk, names, values=(0, 8)):
    disk.picture("real_0/color/000001.png")
    picture = np.zeros((6, 8), np.uint8)
    picture[:, :4] = values[1]
    disk.grey("real_0/label/000001.png", picture)
    frames = [{"set": "real_0", "frame": "000001", "labels": names}]
    (disk.folder / "index.json").write_text(json.dumps({"frames": frames}))


def test_labels_carry_names_as_words(disk):
    tree(disk, {"8": "009_gelatin_box"})
    (sample,) = YcbFrames(disk.folder)
    assert sample.names == {8: "gelatin box"} and sample.mask(8).sum() == 24
    assert len(YcbFrames(disk.folder).sequences()) == 1


def test_a_label_without_a_name_is_refused(disk):
    tree(disk, {"14": "025_mug"})
    with pytest.raises(DataError, match=r"without a name.*\[8\]"):
        YcbFrames(disk.folder).read(0)


def test_indexed_pictures_give_indices_and_not_colours(disk):
    disk.indexed("a.png", np.array([[0, 3], [255, 7]]))
    values, indexed = read_labels(disk.folder / "a.png")
    assert indexed and values.tolist() == [[0, 3], [255, 7]]


def test_colour_masks_with_equal_channels_are_grey(disk):
    disk.picture("a.png")
    assert (read_labels(disk.folder / "a.png")[0] == 90).all()


def test_truly_coloured_masks_are_refused(disk):
    disk.ids("a.png", np.full((4, 4), 70000))
    with pytest.raises(DataError, match=r"colour picture"):
        read_labels(disk.folder / "a.png")


def test_files_that_are_no_pictures_are_named(disk):
    (disk.folder / "a.png").write_text("hello")
    for read in (read_rgb, read_labels):
        with pytest.raises(DataError, match=r"a\.png cannot be read"):
            read(disk.folder / "a.png")
        with pytest.raises(DataError, match=r"b\.png does not exist"):
            read(disk.folder / "b.png")
