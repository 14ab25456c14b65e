# SPDX-License-Identifier: Apache-2.0
"""What is asked and counted, checked with a predictor that knows the truth and errs in known ways."""

import json

import numpy as np
import pytest

from seem_ros.datasets.davis import VideoFrame
from seem_ros.datasets.interactive import TrueObject
from seem_ros.datasets.tabletop import WorldInstance, WorldShards
from seem_ros.errors import DataError
from seem_ros.evaluation.absent_phrases import absent_phrases, names_one
from seem_ros.evaluation.contact_sheet import Case, ContactSheet
from seem_ros.evaluation.metrics.panoptic_quality import SegmentInfo
from seem_ros.evaluation.predictors.protocol import Guess, PanopticGuess
from seem_ros.evaluation.report import Report
from seem_ros.evaluation.scene_scores import SceneryScores
from seem_ros.evaluation.standard_sets import spoken_name
from seem_ros.evaluation.still_scores import StillScores
from seem_ros.evaluation.tabletop import evaluate_world
from seem_ros.evaluation.video_scores import Contender, FollowedClip, VideoScores
from seem_ros.perception.structures.prompts import Prompt

SIZE = (60, 80)


def block(top, left, height, width):
    mask = np.zeros(SIZE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


class Oracle:
    """Reads ids off the red channel; a click on an object returns the object, minus `erode` columns on its right until
    the third click."""

    name = "oracle"
    abilities = frozenset({"click", "box", "scribble", "text", "reference", "panoptic"})

    def __init__(self, names=None, erode=0):
        self.names, self.erode, self.decodes = names or {}, erode, 0

    def look(self, rgb):
        self.ids = rgb[..., 0].astype(int)

    def ask(self, prompts, previous=None):
        self.decodes += 1
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt):
        nothing = np.zeros(SIZE, bool)
        if prompt.clicks:
            mask = self.ids == self.ids[int(prompt.clicks[0].y), int(prompt.clicks[0].x)]
            if len(prompt.clicks) < 3 and self.erode:
                right = np.flatnonzero(mask.any(0))[-self.erode :]
                mask[:, right] = False
            return Guess(mask, 0.9, mask)
        if prompt.boxes:
            box = prompt.boxes[0]
            inside = self.ids[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
            return Guess(self.ids == np.bincount(inside.ravel()).argmax())
        if prompt.scribbles:
            x, y = prompt.scribbles[0].points_xy[0]
            return Guess(self.ids == self.ids[int(y), int(x)])
        if prompt.reference is not None:
            inside = prompt.reference.image[..., 0][prompt.reference.shapes[0].mask]
            return Guess(self.ids == inside[0])
        wanted = [number for number, name in self.names.items() if set(prompt.text.split()) <= set(name.split())]
        best = self.ids == wanted[0] if wanted else self.ids == 1
        return Guess(best if wanted else nothing, float(bool(wanted)), best)

    def panoptic(self, names, is_thing):
        found = [number for number in np.unique(self.ids).tolist() if number]
        return PanopticGuess(
            self.ids.astype(np.int32),
            tuple((n, self.names[n].split()[-1] if n < 9 else self.names[n], 0.9) for n in found),
        )


def picture(ids):
    return np.repeat(ids[..., None], 3, -1).astype(np.uint8)


def test_three_clicks_are_counted_for_every_object_and_rounds_are_batched():
    ids = np.zeros(SIZE, int)
    ids[block(5, 5, 20, 20)], ids[block(35, 40, 10, 20)] = 1, 2
    oracle = Oracle(erode=4)
    scores = StillScores(oracle)
    objects = [TrueObject(str(i), ids == i, np.zeros(SIZE, bool)) for i in (1, 2)]
    scores.add("p", picture(ids), objects)
    report = Report({})
    scores.report(report, "s")
    assert report.get("s: IoU", "oracle, 1 click")["all"] == pytest.approx(0.8)
    assert report.get("s: IoU", "oracle, 3 clicks")["all"] == 1.0
    assert report.get("s: clicks", "oracle")["NoC@85"] == 3.0
    assert report.get("s: clicks", "oracle")["1-IoU"] == pytest.approx(0.8)
    assert report.get("s: IoU", "oracle, box")["all"] == report.get("s: IoU", "oracle, scribble")["all"] == 1.0
    assert oracle.decodes == 4  # three rounds of clicks for both objects together, then boxes and strokes together


def thing(number, full_name, shape=None, colour=None):
    words = full_name.split()
    return WorldInstance(number, " ".join(words[-2:]), full_name, True, shape or words[-1], colour or words[-2])


def test_a_phrase_names_one_thing_only_if_no_other_has_all_its_words():
    small, plain, ball = thing(1, "small red mug"), thing(2, "red mug"), thing(3, "red ball")
    visible = [small, plain, ball]
    assert names_one("small red mug", small, visible) and names_one("ball", ball, visible)
    assert not names_one("red mug", plain, visible)


def test_absent_phrases_fit_nothing_and_are_near_or_far_as_said():
    visible = [thing(1, "small red mug"), thing(2, "striped blue ball")]
    for seed in range(20):
        kinds = dict(absent_phrases(visible, np.random.default_rng(seed)))
        near, far = kinds["near"].split(), kinds["far"].split()
        assert kinds["near"] not in ("red mug", "blue ball")
        assert (near[0] in ("red", "blue")) or (near[1] in ("mug", "ball"))
        assert far[0] not in ("red", "blue") and far[1] not in ("mug", "ball")


def shards(folder):
    ids = np.zeros((1, 2, *SIZE), np.uint8)
    ids[0, 0] = 9
    for number, mask in (
        (1, block(5, 5, 12, 12)),
        (2, block(5, 40, 12, 12)),
        (3, block(30, 5, 12, 12)),
        (4, block(50, 70, 1, 1)),
    ):
        ids[0, 0][mask] = number
    ids[0, 1] = np.roll(ids[0, 0], 5, 1)
    names = {1: "red mug", 2: "red mug", 3: "small green ring", 4: "blue ball"}
    instances = [
        {
            "id": n,
            "name": " ".join(f.split()[-2:]),
            "name_full": f,
            "shape": f.split()[-1],
            "colour": f.split()[-2],
            "isthing": True,
        }
        for n, f in names.items()
    ]
    instances.append({"id": 9, "name": "table", "name_full": "table", "shape": None, "colour": None, "isthing": False})
    np.save(folder / "shard_0000001.rgb.npy", np.repeat(ids[..., None], 3, -1))
    np.save(folder / "shard_0000001.ids.npy", ids)
    meta = {
        "shapes": ["mug", "ring", "ball"],
        "stuff": ["table"],
        "held_out_pairs": [["green", "ring"]],
        "clips": [{"clip": 0, "instances": instances}],
    }
    (folder / "shard_0000001.json").write_text(json.dumps(meta))
    return WorldShards(folder), names | {9: "table"}


def test_the_tabletop_asks_what_can_be_answered_and_counts_it(tmp_path):
    data, names = shards(tmp_path)
    report, sheet = Report({}), ContactSheet()
    evaluate_world(Oracle(names), data, [0], report, sheet, max_clicks=5)
    # The one-pixel ball is not asked about; only the ring has a name of its own, and its pair was never trained.
    assert report.get("tabletop: asked about", "oracle") == {"objects": 3, "too_small_to_ask": 1}
    assert report.get("tabletop: text", "oracle, unseen pairs")["mIoU"] == 1.0
    assert report.get("tabletop: text", "oracle, colour + shape")["n"] == 1
    assert report.get("tabletop: IoU", "oracle, reference picture")["n"] == 1
    assert report.get("tabletop: IoU", "oracle, reference picture")["all"] == 1.0
    # Two red mugs: text alone finds the first one only, a click each of them.
    assert report.get("tabletop: several of one name", "oracle, text alone")["all"] == 0.5
    assert report.get("tabletop: several of one name", "oracle, text + click")["all"] == 1.0
    assert report.get("tabletop: presence", "oracle, all")["false_found"] == 0.0
    assert report.get("tabletop: presence", "oracle, all")["absent"] == 2
    # The ball is void in the truth, so naming it is not held against the answer.
    assert report.get("tabletop: panoptic", "oracle")["PQ"] == 1.0
    assert sheet.draw().shape[2] == 3


def test_a_folder_without_shards_says_how_to_make_some(tmp_path):
    with pytest.raises(DataError, match=r"seem_ros\.sim\.dataset"):
        WorldShards(tmp_path)


def test_ids_without_a_name_are_refused(tmp_path):
    data, _ = shards(tmp_path)
    meta = json.loads((tmp_path / "shard_0000001.json").read_text())
    meta["clips"][0]["instances"].pop(0)
    (tmp_path / "shard_0000001.json").write_text(json.dumps(meta))
    with pytest.raises(DataError, match=r"ids without a name: \[1\]"):
        WorldShards(tmp_path).read(0)
    assert data.read(0).instances


def test_a_class_that_was_not_asked_for_is_refused():
    scores = SceneryScores(["mug"], [True])
    ids = np.ones(SIZE, np.int32)
    with pytest.raises(DataError, match="'cup'"):
        scores.add(PanopticGuess(ids, ((1, "cup", 0.9),)), ids, [SegmentInfo(1, 0)])


class Walker:
    """Answers with the true mask shifted by `lag` columns."""

    def __init__(self, name, lag):
        self.name, self._lag = name, lag

    def start(self, rgb, prompts):
        self._ids = list(prompts)
        return self.step(rgb)

    def step(self, rgb):
        return {number: np.roll(rgb[..., 0] == number, self._lag, 1) for number in self._ids}


def frames(hidden=()):
    result = []
    for index in range(6):
        ids = np.zeros(SIZE, np.int32)
        if index not in hidden:
            ids[block(5, 5 + 2 * index, 20, 20)] = 1
        ids[block(35, 40, 10, 20)] = 2
        result.append(VideoFrame(picture(ids), ids, np.zeros(SIZE, bool)))
    return result


def test_videos_score_every_contender_on_the_same_objects():
    scores = VideoScores([Contender(lambda: Walker("exact", 0)), Contender(lambda: Walker("late", 10), "true mask")])
    scores.add(FollowedClip("walk", frames(hidden=(3,)), {1: "red mug", 2: "red mug"}))
    report = Report({})
    scores.report(report, "v")
    table = "v: J&F from a first-frame click"
    assert report.get(table, "exact")["J&F"] == 1.0 and report.get(table, "exact")["n"] == 2
    # 10 of 20 columns: J 1/3, and right in the frame where the first object is hidden.
    assert report.get(table, "late")["J"] == pytest.approx((3 * (1 / 3) + 1 + 4 * (1 / 3)) / 8)
    memory = report.get("v: memory", "exact")
    assert memory["hidden_frames"] == 1 and memory["false_finds_while_hidden"] == 0.0 and memory["found_again"] == 1.0
    assert memory["twin_frames"] == 9 and memory["id_switches"] == 0


def test_a_clip_without_objects_in_its_first_frame_is_refused():
    empty = VideoFrame(np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.int32), np.zeros(SIZE, bool))
    with pytest.raises(DataError, match="no object to follow"):
        VideoScores([Contender(lambda: Walker("exact", 0))]).add(FollowedClip("empty", [empty] * 4))


def test_names_of_coco_are_spoken():
    assert [spoken_name(n) for n in ("floor-other-merged", "window-blind", "dining table", "water-other")] == [
        "floor",
        "window blind",
        "dining table",
        "water",
    ]


def test_the_sheet_keeps_the_worst_and_the_best():
    sheet = ContactSheet(per_kind=2)
    rgb = np.zeros((*SIZE, 3), np.uint8)
    for score in (0.5, 0.1, 0.9, 0.7, 0.3):
        sheet.offer("click", Case(rgb, block(1, 1, 5, 5), block(1, 1, 5, 5), Prompt(text="mug"), "", score))
    assert sorted(case.score for _, _, case in sheet._worst["click"]) == [0.1, 0.3]
    assert sorted(case.score for _, _, case in sheet._best["click"]) == [0.7, 0.9]
    assert sheet.draw().shape[0] == 2 * (16 + 150)


def test_a_report_shows_and_stores_missing_numbers_as_missing(tmp_path):
    report = Report({"model": "none"})
    report.add("s", "a", {"x": float("nan"), "n": 3})
    report.add("s", "b", {"y": 0.5})
    assert "-" in report.text() and "0.500" in report.text()
    report.write(tmp_path / "deep" / "report.json")
    stored = json.loads((tmp_path / "deep" / "report.json").read_text())
    assert stored["results"]["s"]["a"] == {"x": None, "n": 3}
