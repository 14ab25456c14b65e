# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from seem_ros.datasets.refcoco import RefCoco
from seem_ros.errors import DataError

REFS = [
    {
        "ref_id": 1,
        "ann_id": 11,
        "image_id": 1,
        "split": "val",
        "sentences": [{"sent": "left one"}, {"sent": "the man"}],
    },
    {"ref_id": 2, "ann_id": 12, "image_id": 1, "split": "val", "sentences": [{"sent": "right strip"}]},
    {"ref_id": 3, "ann_id": 12, "image_id": 1, "split": "testA", "sentences": [{"sent": "it"}]},
]


def tree(disk, refs=REFS, name="refs(unc).json", size=(6, 8)):
    disk.picture("train2014/000001.jpg", size)
    instances = {
        "images": [{"id": 1, "file_name": "000001.jpg", "height": 6, "width": 8}],
        "annotations": [
            {"id": 11, "image_id": 1, "segmentation": [[0, 0, 4, 0, 4, 6, 0, 6]]},
            {"id": 12, "image_id": 1, "segmentation": {"size": [6, 8], "counts": [36, 12]}},
        ],
    }
    (disk.folder / "instances.json").write_text(json.dumps(instances))
    if name:
        (disk.folder / name).write_text(json.dumps(refs))


def test_phrases_are_grouped_by_picture_with_their_masks(disk):
    tree(disk)
    (sample,) = RefCoco(disk.folder, disk.folder / "train2014")
    sizes = [(p.text, int(p.mask.sum())) for p in sample.phrases]
    assert sizes == [("left one", 24), ("the man", 24), ("right strip", 12)]
    assert sample.phrases[0].mask[:, :4].all() and sample.phrases[2].mask[:, 6:].all()


def test_a_pickle_is_never_opened_and_the_way_to_convert_it_is_told(disk):
    tree(disk, name="")
    (disk.folder / "refs(unc).p").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(DataError, match=r"never opened here.*convert it once"):
        RefCoco(disk.folder, disk.folder / "train2014")


def test_an_empty_split_lists_what_there_is(disk):
    tree(disk)
    with pytest.raises(DataError, match=r"'testB'; it has testA, val"):
        RefCoco(disk.folder, disk.folder / "train2014", "testB")


def test_a_phrase_for_an_unknown_annotation_is_refused(disk):
    tree(disk, [{"ann_id": 99, "image_id": 1, "split": "val", "sentences": []}])
    with pytest.raises(DataError, match=r"annotation 99"):
        RefCoco(disk.folder, disk.folder / "train2014")


def test_a_picture_of_another_size_is_refused(disk):
    tree(disk, size=(6, 9))
    with pytest.raises(DataError, match=r"9x6.*8x6"):
        RefCoco(disk.folder, disk.folder / "train2014").read(0)


def test_several_phrase_lists_must_be_chosen_between(disk):
    tree(disk)
    tree(disk, name="refs(google).json")
    with pytest.raises(DataError, match=r"google.*unc"):
        RefCoco(disk.folder, disk.folder / "train2014")
    assert len(RefCoco(disk.folder, disk.folder / "train2014", by="unc")) == 1
