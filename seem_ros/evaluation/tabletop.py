# SPDX-License-Identifier: Apache-2.0
"""The held-out tabletop: every way of asking about one frame of each clip, with its size-stratified results.

The first frame of each clip is asked about; references are taken from its other frames. Things of which less than
`MIN_SHARE` of the picture is visible are not asked about (nobody could say what a few pixels are) and are void in
panoptic truth; how many is reported, none is dropped silently.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from seem_ros.datasets.interactive import TrueObject
from seem_ros.datasets.tabletop import WorldClip, WorldInstance, WorldShards
from seem_ros.evaluation.absent_phrases import absent_phrases, names_one
from seem_ros.evaluation.contact_sheet import Case, ContactSheet
from seem_ros.evaluation.metrics.by_size import SizedMean
from seem_ros.evaluation.metrics.iou import MaskScores, iou
from seem_ros.evaluation.metrics.number_of_clicks import next_click
from seem_ros.evaluation.metrics.panoptic_quality import SegmentInfo
from seem_ros.evaluation.metrics.presence import PresenceScores
from seem_ros.evaluation.predictors.protocol import Guess, Predictor
from seem_ros.evaluation.report import Report
from seem_ros.evaluation.scene_scores import SceneryScores
from seem_ros.evaluation.simulated_user import as_click
from seem_ros.evaluation.still_scores import StillScores
from seem_ros.perception.structures.prompts import Mask, Prompt, Reference

MIN_SHARE = 0.0005
PRESENCE_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SECTION = "tabletop"


class WorldScores:
    """Sums one predictor's answers over the clips."""

    def __init__(self, predictor: Predictor, shards: WorldShards, sheet: ContactSheet | None, max_clicks: int) -> None:
        self.predictor, self.shards, self.sheet = predictor, shards, sheet
        self.stills = StillScores(predictor, sheet, max_clicks)
        self.scenery = SceneryScores(shards.class_names, shards.is_thing)
        self.text: dict[str, MaskScores] = {}
        self.text_sized: dict[str, SizedMean] = {}
        self.best_text: dict[str, MaskScores] = {}
        self.presence = {"all": PresenceScores(), "near": PresenceScores(), "far": PresenceScores()}
        self.presence_values: dict[bool, list[float]] = {True: [], False: []}
        self.reference = SizedMean()
        self.twins = {kind: SizedMean() for kind in ("text alone", "click alone", "text + click")}
        self.asked = self.too_small = 0

    def add(self, clip: WorldClip, number: int) -> None:
        """Ask everything about a clip's first frame; `number` seeds the choice of absent phrases."""
        rgb, ids = clip.rgb[0], clip.ids[0]
        areas = np.bincount(ids.ravel(), minlength=256)
        visible = [one for one in clip.instances if one.is_thing and areas[one.instance_id]]
        large = [one for one in visible if areas[one.instance_id] >= MIN_SHARE * ids.size]
        self.asked += len(large)
        self.too_small += len(visible) - len(large)
        self.predictor.look(rgb)
        no_void = np.zeros(ids.shape, bool)
        objects = [TrueObject(one.full_name, ids == one.instance_id, no_void) for one in large]
        self.stills.add(clip.name, rgb, objects, seen=True)
        self._texts(clip, visible, large, number)
        if "panoptic" in self.predictor.abilities:
            self._panoptic(clip, visible, large)
        # Last: reading a reference may make the predictor look away from the frame.
        if "reference" in self.predictor.abilities:
            self._references(clip, visible, large)

    def _texts(self, clip: WorldClip, visible: list[WorldInstance], large: list[WorldInstance], number: int) -> None:
        if "text" not in self.predictor.abilities:
            return
        rgb, ids = clip.rgb[0], clip.ids[0]
        asked: list[tuple[list[str], WorldInstance | None, Prompt]] = []
        for one in large:
            if names_one(one.name, one, visible):
                pair = "unseen pairs" if (one.colour, one.shape) in self.shards.held_out_pairs else "seen pairs"
                asked.append((["colour + shape", pair], one, Prompt(text=one.name)))
            if one.shape is not None and names_one(one.shape, one, visible):
                asked.append((["shape alone"], one, Prompt(text=one.shape)))
            if one.full_name != one.name and names_one(one.full_name, one, visible):
                asked.append((["all words"], one, Prompt(text=one.full_name)))
            if sum(other.name == one.name for other in visible) > 1:
                first = next_click(np.zeros(ids.shape, bool), ids == one.instance_id)
                assert first is not None, "what is in sight can be clicked on"
                click = as_click(first)
                asked += [
                    (["text alone"], one, Prompt(text=one.name)),
                    (["click alone"], one, Prompt(clicks=(click,))),
                    (["text + click"], one, Prompt(text=one.name, clicks=(click,))),
                ]
        for kind, phrase in absent_phrases(visible, np.random.default_rng((7, number))):
            asked.append(([kind], None, Prompt(text=phrase)))
        for (kinds, thing, prompt), guess in zip(asked, self.predictor.ask([prompt for *_, prompt in asked])):
            if thing is None:
                self._count_absent(kinds[0], clip, prompt, guess)
                continue
            truth = ids == thing.instance_id
            if kinds[0] in self.twins:
                value = iou(guess.mask, truth)
                self.twins[kinds[0]].add(value, truth)
            else:
                if kinds[0] == "colour + shape":
                    self.presence["all"].add(True, guess.found)
                    self.presence_values[True].append(guess.presence)
                best = guess.mask if guess.best_mask is None else guess.best_mask
                for kind in kinds:
                    value = self.text.setdefault(kind, MaskScores()).add(guess.mask, truth)
                    self.best_text.setdefault(kind, MaskScores()).add(best, truth)
                    self.text_sized.setdefault(kind, SizedMean()).add(value, truth)
            self._show(f"text ({kinds[0]})", Case(rgb, truth, guess.mask, prompt, f'"{prompt.text}"', value))

    def _count_absent(self, kind: str, clip: WorldClip, prompt: Prompt, guess: Guess) -> None:
        for name in ("all", kind):
            self.presence[name].add(False, guess.found)
        self.presence_values[False].append(guess.presence)
        nothing = np.zeros(clip.ids.shape[1:], bool)
        caption = f'"{prompt.text}" is not there; presence {guess.presence:.2f}'
        self._show("absent text", Case(clip.rgb[0], nothing, guess.mask, prompt, caption, float(not guess.found)))

    def _references(self, clip: WorldClip, visible: list[WorldInstance], large: list[WorldInstance]) -> None:
        asked = []
        for one in large:
            if sum(other.name == one.name for other in visible) > 1:
                continue
            for frame in range(1, len(clip.ids)):
                region = clip.ids[frame] == one.instance_id
                if np.count_nonzero(region) >= MIN_SHARE * region.size:
                    reference = Reference(clip.rgb[frame], (Mask(region),))
                    asked.append((one, Prompt(reference=reference)))
                    break
        for (one, prompt), guess in zip(asked, self.predictor.ask([prompt for _, prompt in asked])):
            truth = clip.ids[0] == one.instance_id
            value = iou(guess.mask, truth)
            self.reference.add(value, truth)
            self._show("reference", Case(clip.rgb[0], truth, guess.mask, prompt, one.full_name, value))

    def _panoptic(self, clip: WorldClip, visible: list[WorldInstance], large: list[WorldInstance]) -> None:
        ids = clip.ids[0].astype(np.int32)
        for one in visible:
            if one not in large:
                ids[ids == one.instance_id] = 0  # void
        present = set(np.unique(ids).tolist())
        truth = [
            SegmentInfo(one.instance_id, self.shards.class_names.index(one.class_name))
            for one in clip.instances
            if one.instance_id in present
        ]
        self.scenery.add(self.predictor.panoptic(self.shards.class_names, self.shards.is_thing), ids, truth)

    def _show(self, kind: str, case: Case) -> None:
        if self.sheet is not None:
            self.sheet.offer(f"{self.predictor.name} {kind}", case)

    def report(self, report: Report) -> None:
        """Write all sections of this predictor."""
        name = self.predictor.name
        self.stills.report(report, SECTION)
        for kind, scores in self.text.items():
            row = f"{name}, {kind}"
            report.add(f"{SECTION}: text", row, {k: v for k, v in scores.summary().items() if "@" not in k})
            report.add(f"{SECTION}: text", row, {"mIoU_if_always_answered": self.best_text[kind].mean_iou})
            sizes = self.text_sized[kind].summary()
            report.add(f"{SECTION}: text", row, {k: sizes[k] for k in ("small", "medium", "large") if k in sizes})
        if self.text:
            for kind, presence in self.presence.items():
                report.add(f"{SECTION}: presence", f"{name}, {kind}", presence.summary())
            self._report_thresholds(report)
        if self.reference.values:
            report.add(f"{SECTION}: IoU", f"{name}, reference picture", self.reference.summary())
        for kind, values in self.twins.items():
            if values.values:
                report.add(f"{SECTION}: several of one name", f"{name}, {kind}", values.summary())
        self.scenery.report(report, SECTION, name)
        report.add(f"{SECTION}: asked about", name, {"objects": self.asked, "too_small_to_ask": self.too_small})

    def _report_thresholds(self, report: Report) -> None:
        """What other presence thresholds would give: for choosing the package's."""
        present, absent = (np.asarray(self.presence_values[key]) for key in (True, False))
        for threshold in PRESENCE_THRESHOLDS if len(present) and len(absent) else ():
            report.add(
                f"{SECTION}: presence by threshold, {self.predictor.name}",
                f"{threshold:.1f}",
                {"false_found": float((absent >= threshold).mean()), "missed": float((present < threshold).mean())},
            )


def evaluate_world(
    predictor: Predictor,
    shards: WorldShards,
    numbers: Iterable[int],
    report: Report,
    sheet: ContactSheet | None,
    max_clicks: int,
) -> None:
    """Ask one predictor about the clips with these numbers and write its results."""
    scores = WorldScores(predictor, shards, sheet, max_clicks)
    for number in numbers:
        scores.add(shards.read(number), number)
    scores.report(report)
