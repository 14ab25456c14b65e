# SPDX-License-Identifier: Apache-2.0
"""Mask logits and scores to ``Segments``: label image, records and messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seem_ros.perception.depth import with_depth
from seem_ros.perception.masks.panoptic import PanopticSegment
from seem_ros.perception.masks.upsample import Extent, Patch, mask_scores, paint
from seem_ros.perception.prompting.vocabulary import Vocabulary
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.segments import Answer, Segment, Segments

if TYPE_CHECKING:
    from seem_ros.perception.prediction import Prediction

SAME_OBJECT = 0.7  # overlap from which two prompts' masks are one object


def same_objects(mask_logits: np.ndarray, found: np.ndarray, confidence: np.ndarray, overlap: float) -> list[int]:
    """Which answers show one and the same object.

    Args:
        mask_logits: float32 [B, hm, wm].
        found: bool [B]; what was not found is its own.
        confidence: float32 [B].
        overlap: Intersection over union from which two masks are one object.

    Returns:
        For each answer the index of the surest one of its object, its own index where it is that.
    """
    owner = list(range(len(mask_logits)))
    rows = [int(row) for row in np.argsort(-confidence, kind="stable") if found[row]]
    if len(rows) < 2:
        return owner
    inside = (mask_logits[rows] > 0).reshape(len(rows), -1).astype(np.float32)
    both = inside @ inside.T
    areas = np.diagonal(both)
    same = both >= overlap * np.maximum(areas[:, None] + areas[None] - both, 1.0)
    for place, row in enumerate(rows):
        surer = [rows[k] for k in np.flatnonzero(same[place, :place]) if owner[rows[k]] == rows[k]]
        owner[row] = surer[0] if surer else row
    return owner


def make_segment(
    value: int,
    extent: Extent,
    label: tuple[str, float],
    mask_score: float,
    presence: float,
    target_id: int = 0,
    state: str = "",
    is_thing: bool = True,
) -> Segment:
    """A record from its measures; scores are clipped to 0..1 against rounding."""

    def unit(score: float) -> float:
        return min(max(float(score), 0.0), 1.0)

    return Segment(
        value=value,
        target_id=target_id,
        label=label[0],
        label_score=unit(label[1]),
        mask_score=unit(mask_score),
        presence=unit(presence),
        box_xyxy_px=extent.box_xyxy_px,
        area_px=extent.area_px,
        centroid_xy_px=extent.centroid_xy_px,
        state=state,
        is_thing=is_thing,
    )


def finish(
    image: np.ndarray, segments: Sequence[Segment], frame: Frame, message: str = "", answers: tuple[Answer, ...] = ()
) -> Segments:
    """The result of a frame, with positions where it has depth."""
    result = Segments(image, tuple(segments), frame.stamp_ns, frame.frame_id, frame.camera, message, answers)
    return with_depth(result, frame)


def compose_answers(
    predictions: Sequence[Prediction],
    enlarge_all: Callable[[Sequence[np.ndarray | None]], list[Patch | None]],
    frame: Frame,
    wide: bool,
) -> Segments:
    """Predictions in one label image: a pixel goes to the surest; prompts that mean one object share its segment.

    Args:
        predictions: One per prompt.
        enlarge_all: Brings masks to source resolution.
        frame: The picture.
        wide: A uint16 label image also for fewer than 256 prompts.
    """
    if not predictions:
        return finish(np.zeros((frame.height, frame.width), np.uint16 if wide else np.uint8), [], frame)
    found = np.array([one.found for one in predictions])
    confidence = np.array([np.float32(one.presence) * np.float32(one.mask_score) for one in predictions])
    owner = same_objects(np.stack([one.mask_logits for one in predictions]), found, confidence, SAME_OBJECT)
    patches = enlarge_all(
        [one.mask_logits if found[i] and owner[i] == i else None for i, one in enumerate(predictions)]
    )
    values = range(1, len(predictions) + 1)
    image, extents = paint(patches, confidence, values, (frame.height, frame.width), wide or len(predictions) > 255)
    records = {
        i: make_segment(i + 1, extent, (one.label, one.label_score), one.mask_score, one.presence)
        for i, (one, extent) in enumerate(zip(predictions, extents, strict=True))
        if extent is not None
    }
    answers = []
    for i, one in enumerate(predictions):
        segment = records.get(owner[i])
        parts = [one.message(painted=segment is not None)]
        if owner[i] != i:
            parts.append(f"the same object as prompt {owner[i] + 1}")
        answers.append(one.answer("; ".join(part for part in parts if part), segment, keep_round=True))
    message = "; ".join(dict.fromkeys(answer.message for answer in answers if answer.message))
    return finish(image, list(records.values()), frame, message, tuple(answers))


def compose_panoptic(
    chosen: Sequence[PanopticSegment],
    bank: Vocabulary,
    mask_logits: np.ndarray,
    enlarge_all: Callable[[Sequence[np.ndarray | None]], list[Patch | None]],
    frame: Frame,
    wide: bool,
) -> Segments:
    """Panoptic segments, chosen at mask resolution, decided at source resolution.

    Args:
        chosen: The segments.
        bank: Their names.
        mask_logits: float32 [queries, hm, wm]. Stuff of one class that several queries found is one segment: the
            highest logit of them counts at each place.
        enlarge_all: Brings masks to source resolution.
        frame: The picture.
        wide: A uint16 label image also for fewer than 256 segments.
    """
    scores, values = [one.score for one in chosen], [one.id for one in chosen]
    merged = [mask_logits[list(one.queries)].max(axis=0) for one in chosen]
    image, extents = paint(enlarge_all(merged), scores, values, (frame.height, frame.width), wide or len(chosen) > 255)
    sureness = mask_scores(np.stack(merged)) if merged else ()
    segments = [
        make_segment(one.id, extent, (bank.names[one.category_id], one.score), sure, one.score, is_thing=one.isthing)
        for one, extent, sure in zip(chosen, extents, sureness, strict=True)
        if extent is not None
    ]
    return finish(image, segments, frame)
