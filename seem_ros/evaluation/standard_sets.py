# SPDX-License-Identifier: Apache-2.0
"""Published data sets and real pictures: COCO panoptic, RefCOCO, interactive folders, YCB frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from seem_ros.datasets.coco_panoptic import CocoPanoptic
from seem_ros.datasets.interactive import InteractiveFolder, TrueObject
from seem_ros.datasets.refcoco import RefCoco
from seem_ros.datasets.ycb import YcbFrames
from seem_ros.errors import DataError
from seem_ros.evaluation.contact_sheet import Case, ContactSheet
from seem_ros.evaluation.metrics.iou import MaskScores
from seem_ros.evaluation.predictors.protocol import Predictor
from seem_ros.evaluation.report import Report
from seem_ros.evaluation.scene_scores import SceneryScores
from seem_ros.evaluation.still_scores import StillScores
from seem_ros.perception.structures.prompts import Prompt


def evaluate_interactive(
    predictor: Predictor,
    data: InteractiveFolder,
    numbers: Iterable[int],
    report: Report,
    sheet: ContactSheet | None,
    max_clicks: int,
) -> None:
    """Clicks, boxes and strokes on the pictures with these numbers."""
    scores = StillScores(predictor, sheet, max_clicks)
    for number in numbers:
        sample = data.read(number)
        scores.add(sample.name, sample.rgb, sample.objects)
    scores.report(report, "interactive")


def evaluate_ycb(
    predictor: Predictor,
    data: YcbFrames,
    numbers: Iterable[int],
    report: Report,
    sheet: ContactSheet | None,
    max_clicks: int,
    min_share: float,
) -> None:
    """Clicks, boxes, strokes and, where the predictor knows its words, the name of every object.

    Objects covering less than `min_share` of the picture are not asked about; their number is reported.
    """
    scores, text = StillScores(predictor, sheet, max_clicks), MaskScores()
    asked = too_small = unknown = 0
    for number in numbers:
        sample = data.read(number)
        masks = {value: sample.mask(value) for value in sample.names}
        kept = {value: mask for value, mask in masks.items() if np.count_nonzero(mask) >= min_share * mask.size}
        asked += len(kept)
        too_small += len(masks) - len(kept)
        no_void = np.zeros(sample.labels.shape, bool)
        predictor.look(sample.rgb)
        scores.add(
            sample.name,
            sample.rgb,
            [TrueObject(sample.names[value], mask, no_void) for value, mask in kept.items()],
            seen=True,
        )
        if "text" not in predictor.abilities:
            continue
        prompts = [Prompt(text=sample.names[value]) for value in kept]
        for (_, mask), prompt, guess in zip(kept.items(), prompts, predictor.ask(prompts)):
            if guess.unknown_words:
                unknown += 1
                continue
            value = text.add(guess.mask, mask)
            if sheet is not None:
                sheet.offer(f"{predictor.name} text", Case(sample.rgb, mask, guess.mask, prompt, prompt.text, value))
    scores.report(report, "YCB frames")
    report.add(
        "YCB frames: asked about",
        predictor.name,
        {"objects": asked, "too_small_to_ask": too_small, "names_with_unknown_words": unknown},
    )
    if len(text):
        report.add("YCB frames: text", predictor.name, text.summary())


def evaluate_refcoco(
    predictor: Predictor, data: RefCoco, numbers: Iterable[int], report: Report, sheet: ContactSheet | None
) -> None:
    """Every phrase of the pictures with these numbers; a phrase with unknown words that is refused counts as IoU 0."""
    scores, unknown = MaskScores(), 0
    for number in numbers:
        sample = data.read(number)
        predictor.look(sample.rgb)
        prompts = [Prompt(text=phrase.text) for phrase in sample.phrases]
        for phrase, prompt, guess in zip(sample.phrases, prompts, predictor.ask(prompts)):
            unknown += bool(guess.unknown_words)
            value = scores.add(guess.mask, phrase.mask)
            if sheet is not None:
                case = Case(sample.rgb, phrase.mask, guess.mask, prompt, f'"{phrase.text}"', value)
                sheet.offer(f"{predictor.name} text", case)
    report.add("RefCOCO: text", predictor.name, scores.summary() | {"phrases_with_unknown_words": unknown})


def spoken_name(name: str) -> str:
    """A COCO panoptic class as a person says it: "floor-other-merged" is "floor", "window-blind" "window blind"."""
    for suffix in ("-merged", "-other", "-stuff"):
        name = name.removesuffix(suffix)
    return name.replace("-", " ")


def evaluate_coco_panoptic(predictor: Predictor, data: CocoPanoptic, numbers: Iterable[int], report: Report) -> None:
    """PQ, mIoU and AP with the data set's own class names as vocabulary.

    Raises:
        DataError: two classes are spoken alike.
    """
    names = [spoken_name(name) for name in data.class_names]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"two classes are spoken {twice!r}: their answers could not be told apart")
    scores = SceneryScores(names, data.is_thing)
    for number in numbers:
        sample = data.read(number)
        predictor.look(sample.rgb)
        scores.add(predictor.panoptic(names, data.is_thing), sample.ids, sample.segments)
    scores.report(report, "COCO panoptic", predictor.name)
