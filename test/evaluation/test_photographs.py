# SPDX-License-Identifier: Apache-2.0
"""Labelled photographs as a yardstick: one table of sources and sizes, words, and two models side by side."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.evaluation.comparison import compare
from seem_ros.evaluation.contact_sheet import ContactSheet
from seem_ros.evaluation.photographs import evaluate_photographs, open_photographs
from seem_ros.evaluation.predictors.protocol import Guess
from seem_ros.evaluation.report import Report
from seem_ros.tools.evaluate import main

COLOURS = {"mug": (200, 20, 20), "box": (20, 20, 200)}


class ByColour:
    """Answers with all pixels of the colour that is clicked on, boxed or named."""

    name = "by colour"
    abilities = frozenset({"click", "box", "text"})

    def __init__(self, finds_all: bool = False) -> None:
        self._finds_all = finds_all

    def look(self, rgb):
        self._rgb = rgb

    def ask(self, prompts, previous=None):
        return [Guess(self._one(prompt)) for prompt in prompts]

    def _one(self, prompt):
        if prompt.text:
            colour = COLOURS.get(prompt.text)
            if colour is None or self._finds_all:
                return np.ones(self._rgb.shape[:2], bool)
        elif prompt.boxes:
            box = prompt.boxes[0]
            colour = self._rgb[int(box.y0 + box.y1) // 2, int(box.x0 + box.x1) // 2]
        else:
            click = prompt.clicks[0]
            colour = self._rgb[int(click.y), int(click.x)]
        return (self._rgb == np.array(colour)).all(-1)


@pytest.fixture
def photographs(tmp_path):
    """One source: 40 training mugs and boxes, two val pictures, one of them without a box."""
    folder = tmp_path / "real" / "kitchen"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    items = []
    for number in range(42):
        rgb, ids = np.full((80, 100, 3), 90, np.uint8), np.zeros((80, 100), np.uint8)
        names = ["mug", "box"] if number != 1 else ["mug"]
        for value, name in enumerate(names, 1):
            left = 10 + 40 * (value - 1)
            rgb[20:50, left : left + 30], ids[20:50, left : left + 30] = COLOURS[name], value
        for part, array in (("images", rgb[..., ::-1]), ("masks", ids)):
            cv2.imwrite(str(folder / part / f"{number}.png"), array)
        objects = [{"id": value, "name": name} for value, name in enumerate(names, 1)]
        split = "val" if number < 2 else "train"
        items.append(
            {"file": f"images/{number}.png", "mask": f"masks/{number}.png", "objects": objects, "split": split}
        )
    index = {"classes": {"mug": 42, "box": 41}, "exhaustive_for_its_classes": True, "items": items}
    (folder / "index.json").write_text(json.dumps(index))
    return tmp_path / "real"


def _measure(predictor, folder):
    report = Report({})
    evaluate_photographs([predictor], open_photographs(folder), lambda count, _: range(count), report, ContactSheet())
    return report


def test_clicks_boxes_and_words_are_scored_per_source_and_by_size(photographs):
    report = _measure(ByColour(), photographs)
    row = report.get("photographs: IoU of by colour", "kitchen")
    assert row["n"] == 3 and row["1 click"] == row["5 clicks"] == row["box"] == 1.0
    assert report.get("photographs: IoU of by colour", "large")["n"] == 3
    words = report.get("photographs: words", "kitchen, by colour")
    assert words["IoU"] == 1.0 and words["n"] == 3 and words["n_absent"] == 1 and words["wrongly_found"] == 0.0


def test_a_model_that_finds_what_is_not_there_is_told_so(photographs):
    words = _measure(ByColour(finds_all=True), photographs).get("photographs: words", "kitchen, by colour")
    assert words["wrongly_found"] == 1.0 and words["IoU"] < 0.3


def test_the_names_that_one_click_gets_are_counted_and_whether_they_are_right(photographs):
    class Names(ByColour):
        """Is sure of every second thing, and calls all of them mugs; the pictures are a mug and a box, and a mug."""

        asked = 0

        def ask(self, prompts, previous=None):
            guesses = super().ask(prompts)
            if prompts[0].boxes or prompts[0].text:
                return guesses
            labels = ["mug" if (self.asked + i) % 2 == 0 else "object" for i in range(len(prompts))]
            self.asked += len(prompts)
            return [replace(guess, label=label) for guess, label in zip(guesses, labels, strict=True)]

    names = _measure(Names(), photographs).get("photographs: names after one click", "kitchen, by colour")
    assert names == {"n": 3, "named": pytest.approx(2 / 3), "rightly": 1.0}
    with pytest.raises(DataError):  # a method without names has no such table
        _measure(ByColour(), photographs).get("photographs: names after one click", "kitchen, by colour")


def test_names_that_were_hardly_taught_are_not_asked_for(photographs):
    index = json.loads((photographs / "kitchen" / "index.json").read_text())
    for item in index["items"][2:20]:
        item["split"] = "val"
    (photographs / "kitchen" / "index.json").write_text(json.dumps(index))
    report = _measure(ByColour(), photographs)
    with pytest.raises(DataError):
        report.get("photographs: words", "kitchen, by colour")


def test_a_set_that_keeps_nothing_for_measuring_is_left_out_of_a_collection(photographs):
    small = photographs / "small"
    small.mkdir()
    index = json.loads((photographs / "kitchen" / "index.json").read_text())
    items = [{**item, "split": "train"} for item in index["items"][2:4]]
    for item in items:
        item["file"], item["mask"] = f"../kitchen/{item['file']}", f"../kitchen/{item['mask']}"
    (small / "index.json").write_text(json.dumps({**index, "items": items}))
    assert [pictures.name for pictures, _ in open_photographs(photographs)] == ["kitchen"]
    with pytest.raises(DataError, match="no picture of the split 'val'"):
        open_photographs(small)


def test_what_changed_between_two_models_is_one_table(photographs):
    table = compare(_measure(ByColour(finds_all=True), photographs), _measure(ByColour(), photographs))
    row = table.get("photographs: words", "kitchen, by colour: wrongly_found")
    assert row == {"before": 1.0, "after": 0.0, "change": -1.0}
    with pytest.raises(DataError, match="share no measure"):
        compare(Report({}), Report({}))


def test_grabcut_alone_is_measured_from_the_command_line(photographs, tmp_path, capsys):
    assert main(["--real", str(photographs), "--model", "none", "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())["results"]
    assert report["photographs: IoU of cv2.grabCut"]["kitchen"]["box"] > 0.9
    assert (tmp_path / "out" / "photographs.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--real", "{}/nothing"], "holds no index.json"),
        (["--real", "{}", "--before", "builtin"], "given together"),
    ],
)
def test_a_mistake_is_one_sentence(photographs, tmp_path, capsys, arguments, said):
    asked = [one.format(photographs) for one in arguments]
    assert main([*asked, "--model", "none", "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_same_model_twice_changes_nothing(photographs, tmp_path, capsys):
    asked = ["--real", str(photographs), "--before", "builtin", "--after", "builtin", "--out", str(tmp_path / "out")]
    assert main(asked) == 0
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["results"]["photographs: IoU of model"]
    assert rows["kitchen: box"]["change"] == 0 and "before" in capsys.readouterr().out
