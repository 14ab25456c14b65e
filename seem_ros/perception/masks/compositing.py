# SPDX-License-Identifier: Apache-2.0
"""Mask logits and scores to ``Segments``: label image, records and messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seem_ros.perception.depth import with_depth
from seem_ros.perception.masks.panoptic import PanopticSegment
from seem_ros.perception.masks.upsample import Extent, Patch, mask_scores, paint
from seem_ros.perception.prompting.vocabulary import Vocabulary
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Answer, Segment, Segments


def same_objects(mask_logits: np.ndarray, found: np.ndarray, surety: np.ndarray, overlap: float) -> list[int]:
    """Which answers show one and the same object.

    Args:
        mask_logits: float32 [B, hm, wm].
        found: bool [B]; what was not found is its own.
        surety: float32 [B].
        overlap: Intersection over union from which two masks are one object.

    Returns:
        For each answer the index of the surest one of its object, its own index where it is that.
    """
    owner = list(range(len(mask_logits)))
    rows = [int(row) for row in np.argsort(-surety, kind="stable") if found[row]]
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
        value,
        target_id,
        label[0],
        unit(label[1]),
        unit(mask_score),
        unit(presence),
        extent.box_xyxy_px,
        extent.area_px,
        extent.centroid_xy_px,
        state,
        is_thing=is_thing,
    )


def answer_message(
    prompt: Prompt, asked: bool, found: bool, painted: bool, presence: float, threshold: float, unknown: tuple[str, ...]
) -> str:
    """What to tell the user about one prompt; "" where it simply was found."""
    parts = []
    if unknown:
        words = ", ".join(repr(word) for word in unknown)
        verdict = "" if asked else ", so nothing was looked for"
        parts.append(f"the model was never trained on {words}{verdict}")
    if asked and not found:
        what = f" for {prompt.text!r}" if prompt.text else ""
        parts.append(f"nothing found{what}: best presence {presence:.2f}, {threshold:.2f} needed")
    elif found and not painted:
        parts.append("found, but other segments that are surer have all its pixels")
    return "; ".join(parts)


def finish(
    image: np.ndarray, segments: Sequence[Segment], frame: Frame, message: str = "", answers: tuple[Answer, ...] = ()
) -> Segments:
    """The result of a frame, with positions where it has depth."""
    result = Segments(image, tuple(segments), frame.stamp_ns, frame.frame_id, frame.camera, message, answers)
    return with_depth(result, frame)


def compose_panoptic(
    chosen: Sequence[PanopticSegment],
    bank: Vocabulary,
    merged: Sequence[np.ndarray],
    patches: Sequence[Patch | None],
    frame: Frame,
    wide: bool,
) -> Segments:
    """Panoptic segments, chosen at mask resolution, decided at source resolution.

    Args:
        chosen: The segments.
        bank: Their names.
        merged: Per segment the logits float32 [hm, wm]. Stuff of one class that several queries found is one segment:
            the highest logit of them counts at each place.
        patches: The same at source resolution.
        frame: The picture.
        wide: A uint16 label image also for fewer than 256 segments.
    """
    scores, values = [one.score for one in chosen], [one.id for one in chosen]
    image, extents = paint(patches, scores, values, (frame.height, frame.width), wide or len(chosen) > 255)
    sureness = mask_scores(np.stack(merged)) if merged else ()
    segments = [
        make_segment(one.id, extent, (bank.names[one.category_id], one.score), sure, one.score, is_thing=one.isthing)
        for one, extent, sure in zip(chosen, extents, sureness, strict=True)
        if extent is not None
    ]
    return finish(image, segments, frame)
