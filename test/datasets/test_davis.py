# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from seem_ros.datasets.davis import DavisVideos
from seem_ros.datasets.tabletop_names import names_of_clip
from seem_ros.errors import DataError


def columns(*spans):
    values = np.zeros((6, 8), np.uint8)
    for left, right, value in spans:
        values[:, left:right] = value
    return values


def tree(disk, frames=("00000", "00001"), values=None, indexed=True, resolution="480p/"):
    for frame in frames:
        disk.picture(f"JPEGImages/{resolution}bear/{frame}.jpg")
        write = disk.indexed if indexed else disk.grey
        write(f"Annotations/{resolution}bear/{frame}.png", columns((0, 2, 1), (2, 4, 2)) if values is None else values)


def test_indexed_annotations_give_ids_and_void(disk):
    tree(disk, values=columns((0, 2, 1), (2, 3, 255), (3, 6, 2)))
    (sequence,) = DavisVideos(disk.folder)
    frame = sequence.read(0)
    assert sequence.name == "bear" and len(sequence) == 2
    assert np.unique(frame.labels).tolist() == [0, 1, 2] and frame.void.sum() == 6


def test_grey_annotations_of_2016_mark_the_object_with_255(disk):
    tree(disk, values=columns((0, 2, 255)), indexed=False)
    frame = DavisVideos(disk.folder).sequences[0].read(0)
    assert (frame.labels == 1).sum() == 12 and not frame.void.any()


def test_an_indexed_annotation_with_only_255_is_void_and_not_an_object(disk):
    tree(disk, values=columns((0, 2, 255)))
    frame = DavisVideos(disk.folder).sequences[0].read(0)
    assert not frame.labels.any() and frame.void.sum() == 12


def test_the_resolution_folder_may_be_missing(disk):
    tree(disk, resolution="")
    assert len(DavisVideos(disk.folder)) == 1


def test_two_resolutions_must_be_chosen_between(disk):
    tree(disk)
    tree(disk, resolution="1080p/")
    with pytest.raises(DataError, match=r"choose a resolution"):
        DavisVideos(disk.folder)
    assert len(DavisVideos(disk.folder, resolution="1080p")) == 1


def test_a_frame_without_its_annotation_is_refused(disk):
    tree(disk)
    disk.picture("JPEGImages/480p/bear/00002.jpg")
    with pytest.raises(DataError, match=r"00002 has no annotation"):
        DavisVideos(disk.folder)


def test_a_listed_sequence_that_is_missing_is_refused(disk):
    tree(disk)
    (disk.folder / "ImageSets" / "2017").mkdir(parents=True)
    (disk.folder / "ImageSets" / "2017" / "val.txt").write_text("bear\nswan\n")
    with pytest.raises(DataError, match=r"swan"):
        DavisVideos(disk.folder, split="2017/val")


def test_a_folder_of_images_and_masks_is_one_sequence(disk):
    disk.picture("images/frame_0.jpg")
    disk.indexed("masks/frame_0.png", columns((0, 2, 1)))
    (sequence,) = DavisVideos(disk.folder)
    assert sequence.read(0).labels.max() == 1


def test_frames_and_masks_of_different_sizes_are_refused(disk):
    tree(disk)
    disk.picture("JPEGImages/480p/bear/00001.jpg", (7, 8))
    with pytest.raises(DataError, match=r"8x7.*8x6"):
        DavisVideos(disk.folder).sequences[0].read(1)


def test_a_tree_without_sequences_is_refused(disk):
    (disk.folder / "JPEGImages").mkdir()
    (disk.folder / "Annotations").mkdir()
    with pytest.raises(DataError, match=r"no sequence"):
        DavisVideos(disk.folder)


def test_recorded_tabletop_clips_bring_names_and_davis_itself_none(disk):
    assert names_of_clip(disk.folder, "bear") == {}
    truth = disk.folder / "Truth" / "bear"
    truth.mkdir(parents=True)
    (truth / "truth.json").write_text(
        '{"instances": [{"id": 1, "name": "red mug", "isthing": true}, {"id": 2, "name": "table", "isthing": false}]}'
    )
    assert names_of_clip(disk.folder, "bear") == {1: "red mug"}
    (truth / "truth.json").write_text('{"instances": [{"id": 1}]}')
    with pytest.raises(DataError, match="missing name, isthing"):
        names_of_clip(disk.folder, "bear")
