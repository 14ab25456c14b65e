# SPDX-License-Identifier: Apache-2.0
"""Sets of labels on disk: what other programs read, what a stopped run leaves, what is refused."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
import yaml

from seem_ros.datasets.scenes.coco_instances import CocoInstances
from seem_ros.datasets.scenes.label_folder import LabelFolder
from seem_ros.errors import DataError
from seem_ros.labelling import label_set
from seem_ros.labelling.correction import Correction
from seem_ros.labelling.label_set import CORRECTED_WEIGHT, LabelSet, rank
from seem_ros.labelling.labelling import expand, label_all, label_source
from seem_ros.labelling.teacher import LabelConfig
from seem_ros.labelling.yolo import export_yolo
from seem_ros.tools.correct import main as correct

CONFIG = LabelConfig(("red", "blue", "green"), every=4, least_px=20)


def test_the_set_trains_and_evaluates_as_it_is_and_frames_are_pairs(labelled):
    labels, files = labelled
    source = LabelFolder(labels.folder, None)
    source.check()
    assert len(source) == len(files) == 6 and source.names == {"red", "blue"}
    assert len(LabelFolder(labels.folder, "val")) == 1
    clip = source.draw(0, np.random.default_rng(0))
    assert not clip.still
    for thing in clip.things:
        colours = [tuple(clip.rgb[frame][clip.ids[frame] == thing.id].mean(0) > 128) for frame in range(2)]
        assert colours[0] == colours[1]


def test_the_coco_file_loads_in_pycocotools_with_tracks(labelled):
    from pycocotools.coco import COCO

    labels, _ = labelled
    coco = COCO(str(labels.folder / "instances.json"))
    assert len(coco.imgs) == 6 and len(coco.anns) == 12 and {c["name"] for c in coco.cats.values()} == {"red", "blue"}
    tracks = {}
    for one in coco.anns.values():
        assert coco.annToMask(one).sum() == one["area"]
        tracks.setdefault(one["category_id"], set()).add(one["track_id"])
    assert [len(found) for found in tracks.values()] == [1, 1]
    CocoInstances(labels.folder / "instances.json", labels.folder).check()


def test_what_was_dropped_and_which_picture_is_doubtful_is_listed(tmp_path, film, teacher):
    labels = LabelSet(tmp_path / "labels", {"model": "colour"})
    label_source(teacher, CONFIG, labels, str(film(tmp_path / "film", flash=8)), progress=False)
    assert labels.merge()["dropped"] == 1
    (row,) = csv.DictReader((labels.folder / "dropped.csv").read_text().splitlines())
    assert row["name"] == "green" and row["frame"] == "008" and "one key frame" in row["reason"]
    first = next(csv.DictReader((labels.folder / "doubts.csv").read_text().splitlines()))
    assert first["file"].endswith("008.jpg") and "one key frame" in first["why"]
    gone = cv2.imread(str(labels.folder / first["file"].replace("images", "dropped").replace(".jpg", ".png")), 0)
    assert (gone == 1).sum() > 100
    assert cv2.imread(str(next(labels.folder.glob("sources/*/sheet.jpg")))).shape[1] == 1600


def test_a_broken_file_among_others_is_named_and_the_rest_goes_on(tmp_path, film, teacher):
    good, other = film(tmp_path / "a"), film(tmp_path / "c")
    broken = tmp_path / "b.mcap"
    broken.write_bytes(b"no bag")
    labels = LabelSet(tmp_path / "labels", {"model": "colour"})
    sources = expand([str(good), str(broken), str(other)])
    told = list(label_all(sources, labels, lambda one: label_source(teacher, CONFIG, labels, one, progress=False)))
    assert [bool(one.error) for one in told] == [False, True, False] and "b.mcap cannot be read as a bag" in told[
        1
    ].error
    assert labels.merge()["sources"] == 2 and len(list(labels.folder.glob("sources/*"))) == 2


def test_a_run_that_was_stopped_leaves_nothing_half_and_goes_on(tmp_path, film, teacher, monkeypatch):
    labels = LabelSet(tmp_path / "labels", {"model": "colour"})
    sources = [str(film(tmp_path / name)) for name in "ab"]

    def stopped(source):
        if source == sources[1]:
            write = label_set.write_picture

            def late(path, picture):
                if path.name == "008.jpg":
                    raise KeyboardInterrupt
                write(path, picture)

            monkeypatch.setattr(label_set, "write_picture", late)
        return label_source(teacher, CONFIG, labels, source, progress=False)

    with pytest.raises(KeyboardInterrupt):
        list(label_all(sources, labels, stopped))
    monkeypatch.undo()
    assert len(list((labels.folder / "sources").iterdir())) == 1
    again = LabelSet(tmp_path / "labels", {"model": "colour"})
    told = list(label_all(sources, again, lambda one: label_source(teacher, CONFIG, again, one, progress=False)))
    assert [one.source for one in told] == sources[1:] and again.merge()["sources"] == 2


def test_a_full_disk_is_one_error_and_leaves_no_half_source(tmp_path, film, teacher, monkeypatch):
    def full(path, picture):
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    labels = LabelSet(tmp_path / "labels", {"model": "colour"})
    monkeypatch.setattr(label_set, "write_picture", full)
    told = label_source(teacher, CONFIG, labels, str(film(tmp_path / "film")), progress=False)
    assert "No space left" in told.error and not list((labels.folder / "sources").iterdir())


def test_a_set_made_in_another_way_and_foreign_files_are_refused(tmp_path, labelled):
    labels, _ = labelled
    with pytest.raises(DataError, match="was labelled with model 'colour', now it is 'big'"):
        LabelSet(labels.folder, {"model": "big", "things": ["red", "blue", "green"]})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.json").write_text("{}")
    with pytest.raises(DataError, match="did not make"):
        LabelSet(tmp_path / "mine", {"model": "colour"})
    assert (tmp_path / "mine" / "index.json").read_text() == "{}"


def test_sources_that_are_not_there_are_said_before_anything_starts(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.mcap does not exist"):
        expand([str(tmp_path / "nothing.mcap")])
    with pytest.raises(DataError, match="meets no file"):
        expand([str(tmp_path / "*.mcap")])


def test_a_corrected_picture_weighs_more_and_leaves_the_list_of_doubts(labelled, truth):
    labels, files = labelled
    correction = Correction(labels)
    new = truth("green", 0)
    number = correction.put(files[2], new, name="green")
    correction.take_out(files[2], 1)
    labels.merge()
    source = LabelFolder(labels.folder, None)
    picture = source.read(2)
    assert {thing.shape for thing in picture.things} >= {"green"} and (picture.ids == number).sum() == new.sum()
    assert source.weights.tolist() == [1, 1, CORRECTED_WEIGHT, 1, 1, 1]
    items = [item for record in labels.records() for item in record["items"]]
    assert files[2] not in {one.file for one in rank(items)} and len(rank(items)) == 5
    assert CocoInstances(labels.folder / "instances.json", labels.folder).weights.max() == CORRECTED_WEIGHT


def test_an_object_that_is_added_in_several_frames_is_one_object(labelled, truth, capsys):
    labels, files = labelled
    correction = Correction(labels)
    for number, file in enumerate(files[:3]):
        correction.put(file, truth("green", 4 * number), name="green")
    aside = np.roll(truth("green", 0), 60, axis=1)
    correction.put(files[0], aside, name="green")  # another one in the same picture
    correction.put(files[1], aside, name="green")
    tracks = [
        [one["track"] for one in item["objects"] if one["name"] == "green"]
        for record in labels.records()
        for item in record["items"]
    ][:3]
    (first, second), (again, other), (third,) = tracks
    assert first == again == third and second == other != first


def test_a_mask_drawn_in_another_program_is_read_as_everywhere_else(labelled, truth, tmp_path):
    labels, files = labelled
    drawn = np.full((*truth("green", 0).shape, 4), 255, np.uint8)
    drawn[..., 3] = truth("green", 0) * 255  # white below what is transparent
    cv2.imwrite(str(tmp_path / "drawn.png"), drawn)
    assert correct([str(labels.folder), files[0], "--object", "1", "--mask", str(tmp_path / "drawn.png")]) == 0
    picture = LabelFolder(labels.folder, None).read(0)
    assert len(picture.things) == 2 and (picture.ids == 1).sum() == truth("green", 0).sum()


def test_a_correction_before_the_sources_were_merged_is_saved_and_merges_them(labelled, capsys):
    labels, files = labelled
    (labels.folder / "index.json").unlink()
    assert correct([str(labels.folder), files[0], "--remove", "1"]) == 0
    assert len(LabelFolder(labels.folder, "val")) == 1


def test_of_single_pictures_a_share_is_kept_for_measuring_and_of_the_smallest_set_one(tmp_path, film, teacher):
    labels = LabelSet(tmp_path / "labels", {"model": "colour"})
    pictures = sorted(film(tmp_path / "film").glob("*.png"))

    def sides(count):
        for one in pictures[:count]:
            if not labels.is_done(str(one)):
                assert not label_source(teacher, CONFIG, labels, str(one), progress=False).error
        labels.merge(0.25)
        items = json.loads((labels.folder / "index.json").read_text())["items"]
        return {item["sequence"]: item["split"] for item in items}

    assert sorted(sides(2).values()) == ["train", "val"]
    before, after = sides(16), sides(24)
    assert 2 <= sum(side == "val" for side in after.values()) <= 12
    assert {key: after[key] for key in before} == before  # what was trained on is not measured on later


def test_frames_whose_names_differ_in_punctuation_alone_are_both_kept(tmp_path, film, teacher):
    folder = film(tmp_path / "film")
    for number, name in enumerate(("a 1.png", "a-1.png", "A+1.png")):
        (folder / f"{number:03d}.png").rename(tmp_path / name)
    few = tmp_path / "few"
    few.mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(few / path.name)
    labels = LabelSet(tmp_path / "labels", {"model": "colour"})
    every = LabelConfig(("red", "blue"), every=1, least_px=20)
    assert not label_source(teacher, every, labels, str(few), progress=False).error
    assert labels.merge()["pictures"] == 3
    assert len({item["file"].lower() for record in labels.records() for item in record["items"]}) == 3
    LabelFolder(labels.folder, None).check()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["../../etc/passwd", "--right"], "has no picture"),
        (["{0}", "--object", "9", "--mask", "{1}"], "has no object 9"),
        (["{0}", "--remove", "9"], "has no object 9"),
        (["{0}", "--new", "cup"], "needs --click, --box or --mask"),
        (["{0}"], "give --object ID or --new NAME"),
        (["{0}", "--object", "1", "--click", "3"], "2 numbers are needed"),
    ],
)
def test_a_correction_that_cannot_be_made_changes_nothing(labelled, capsys, arguments, said):
    labels, files = labelled
    before = {path: path.read_bytes() for path in labels.folder.rglob("*") if path.is_file()}
    asked = [
        one.format(files[0], labels.folder / files[0].replace("images", "masks").replace("jpg", "png"))
        for one in arguments
    ]
    assert correct([str(labels.folder), *asked]) == 2 and said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in labels.folder.rglob("*") if path.is_file()} == before


def test_the_command_line_lists_confirms_and_takes_a_drawn_mask(labelled, tmp_path, capsys, truth):
    labels, files = labelled
    assert correct([str(labels.folder), "--list", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert correct([str(labels.folder), files[0], "--right"]) == 0
    cv2.imwrite(str(tmp_path / "drawn.png"), truth("green", 0).astype(np.uint8) * 255)
    assert correct([str(labels.folder), files[1], "--object", "1", "--mask", str(tmp_path / "drawn.png")]) == 0
    index = json.loads((labels.folder / "index.json").read_text())
    assert [item.get("weight") for item in index["items"][:3]] == [CORRECTED_WEIGHT, CORRECTED_WEIGHT, None]


def test_yolo_polygons_draw_the_same_regions(labelled, tmp_path):
    labels, _ = labelled
    counts = export_yolo(labels.folder, tmp_path / "yolo")
    assert counts == {"pictures": 6, "objects": 12, "classes": 2}
    data = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text())
    assert data["names"] == {0: "blue", 1: "red"} and data["val"] == "images/val"
    picture = LabelFolder(labels.folder, "train").read(0)
    text = sorted((tmp_path / "yolo" / "labels" / "train").iterdir())[0]
    for line in text.read_text().splitlines():
        number, *points = line.split()
        outline = np.array(points, float).reshape(-1, 2) * (picture.ids.shape[1], picture.ids.shape[0]) - 0.5
        drawn = cv2.fillPoly(np.zeros(picture.ids.shape, np.uint8), [outline.round().astype(np.int32)], 1) > 0
        (thing,) = [one for one in picture.things if one.shape == data["names"][int(number)]]
        mask = picture.ids == thing.id
        assert (drawn & mask).sum() / (drawn | mask).sum() > 0.9
    assert len(list((tmp_path / "yolo" / "images" / "train").iterdir())) == 5


def test_a_second_yolo_export_leaves_nothing_of_the_first_and_all_of_others(labelled, tmp_path):
    labels, _ = labelled
    out = tmp_path / "yolo"
    export_yolo(labels.folder, out)
    mine = out / "images" / "train" / "mine.jpg"
    mine.write_bytes(b"somebody's")
    labels.merge(0.5)
    counts = export_yolo(labels.folder, out)
    pictures = sorted(path for path in (out / "images").rglob("*.jpg") if path != mine)
    texts = sorted((out / "labels").rglob("*.txt"))
    assert len(pictures) == len(texts) == counts["pictures"] == 6 and mine.read_bytes() == b"somebody's"
    assert len(list((out / "labels" / "val").iterdir())) == 3
    labels.merge(0.0)
    export_yolo(labels.folder, out)
    assert "val" not in yaml.safe_load((out / "data.yaml").read_text())
