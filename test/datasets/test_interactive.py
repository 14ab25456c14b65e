# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from seem_ros.datasets.interactive import InteractiveFolder
from seem_ros.errors import DataError


def columns(*spans):
    values = np.zeros((6, 8), np.uint8)
    for left, right, value in spans:
        values[:, left:right] = value
    return values


def test_grabcut_marks_void_with_128_and_the_object_with_255(disk):
    disk.picture("data_GT/a.jpg")
    disk.grey("boundary_GT/a.bmp", columns((0, 3, 255), (3, 4, 128)))
    (sample,) = InteractiveFolder(disk.folder)
    (one,) = sample.objects
    assert one.mask.sum() == 18 and one.void.sum() == 6 and sample.rgb.shape == (6, 8, 3)


def test_voc_marks_void_with_255_and_objects_with_their_numbers(disk):
    disk.picture("JPEGImages/a.jpg")
    disk.picture("JPEGImages/without_mask.jpg")
    disk.indexed("SegmentationObject/a.png", columns((0, 2, 1), (2, 3, 255), (3, 6, 2)))
    (sample,) = InteractiveFolder(disk.folder)
    assert [(o.name, int(o.mask.sum()), int(o.void.sum())) for o in sample.objects] == [("a:1", 12, 6), ("a:2", 18, 6)]


def test_davis_interactive_takes_anything_above_zero(disk):
    disk.picture("img/a.jpg")
    disk.grey("gt/a.png", columns((0, 2, 38), (2, 3, 255)))
    (sample,) = InteractiveFolder(disk.folder)
    assert sample.objects[0].mask.sum() == 18 and not sample.objects[0].void.any()


def test_berkeley_masks_with_a_number_are_objects_of_one_picture(disk):
    disk.picture("images/a.jpg")
    disk.grey("masks/a#1.png", columns((0, 2, 255)))
    disk.grey("masks/a#2.png", columns((4, 8, 255)))
    (sample,) = InteractiveFolder(disk.folder)
    assert [int(o.mask.sum()) for o in sample.objects] == [12, 24]


def test_a_value_the_convention_does_not_know_is_refused(disk):
    disk.picture("images/a.jpg")
    disk.grey("masks/a.png", columns((0, 2, 255), (2, 4, 7)))
    with pytest.raises(DataError, match=r"\[0, 7, 255\].*instances"):
        InteractiveFolder(disk.folder).read(0)


def test_a_mask_of_another_size_names_both_files(disk):
    disk.picture("images/a.jpg", (6, 9))
    disk.grey("masks/a.png", columns((0, 2, 255)))
    with pytest.raises(DataError, match=r"a\.jpg is 9x6 but its mask .*a\.png is 8x6"):
        InteractiveFolder(disk.folder).read(0)


def test_an_empty_folder_is_refused(disk):
    (disk.folder / "images").mkdir()
    (disk.folder / "masks").mkdir()
    with pytest.raises(DataError, match=r"holds no picture"):
        InteractiveFolder(disk.folder)


def test_a_picture_without_a_mask_is_refused_and_not_skipped(disk):
    disk.picture("images/a.jpg")
    disk.picture("images/b.jpg")
    disk.grey("masks/a.png", columns((0, 2, 255)))
    with pytest.raises(DataError, match=r"1 pictures have no mask.*b"):
        InteractiveFolder(disk.folder)


def test_a_mask_without_a_picture_is_refused(disk):
    disk.picture("images/a.jpg")
    disk.grey("masks/a.png", columns((0, 2, 255)))
    disk.grey("masks/c.png", columns((0, 2, 255)))
    with pytest.raises(DataError, match=r"1 masks have no picture.*c"):
        InteractiveFolder(disk.folder)


def test_a_mask_without_an_object_is_refused(disk):
    disk.picture("images/a.jpg")
    disk.grey("masks/a.png", columns())
    with pytest.raises(DataError, match=r"marks no object"):
        InteractiveFolder(disk.folder).read(0)


def test_an_unknown_layout_lists_the_known_ones(disk):
    with pytest.raises(DataError, match=r"JPEGImages \+ SegmentationObject"):
        InteractiveFolder(disk.folder)


def test_a_split_naming_a_picture_without_a_mask_is_refused(disk):
    disk.picture("JPEGImages/a.jpg")
    disk.picture("JPEGImages/b.jpg")
    disk.grey("SegmentationObject/a.png", columns((0, 2, 1)))
    (disk.folder / "ImageSets" / "Segmentation").mkdir(parents=True)
    (disk.folder / "ImageSets" / "Segmentation" / "val.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"1 pictures of the split 'val' have no mask, first: b"):
        InteractiveFolder(disk.folder, split="val")
