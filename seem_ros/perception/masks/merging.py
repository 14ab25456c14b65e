# SPDX-License-Identifier: Apache-2.0
"""Targets and the vocabulary's segments in one label image, and names that users gave."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.segments import Segment, Segments


def empty_segments(frame: Frame, wide: bool) -> Segments:
    """Nothing found in a frame; label image uint16 where ``wide``."""
    labels = np.zeros((frame.height, frame.width), np.uint16 if wide else np.uint8)
    return Segments(labels, (), frame.stamp_ns, frame.frame_id, frame.camera)


def with_names(segments: Segments, names: Mapping[int, str]) -> Segments:
    """The same segments; targets that users gave a name (by target id) carry it."""
    return _renamed(segments, {one.value: names[one.target_id] for one in segments if one.target_id in names})


def with_labels(segments: Segments, labels: Sequence[str]) -> Segments:
    """The same segments; what was found for a prompt with a label (one per prompt, "" = none) carries it."""
    found = zip(segments.answers, labels, strict=True)
    return _renamed(segments, {one.segment.value: label for one, label in found if label and one.segment is not None})


def _renamed(segments: Segments, names: Mapping[int, str]) -> Segments:
    """The same segments, those of these values called otherwise."""
    if not names:
        return segments
    return segments.with_segments(tuple(replace(one, label=names.get(one.value, one.label)) for one in segments))


def merge(first: Segments, others: Segments, reserved: Collection[int] = ()) -> Segments:
    """Two results of one picture in one label image.

    The first keep their pixels and their values. The others get what is left, and values counted down from the highest,
    so that a target's value never means anything else.

    Args:
        first: Targets or answers to prompts.
        others: The vocabulary's segments.
        reserved: Values that belong to targets which are not seen now.
    """
    labels = first.labels
    top = int(np.iinfo(labels.dtype).max)
    taken = {segment.value for segment in first} | set(reserved)
    free = (value for value in range(top, 0, -1) if value not in taken)
    lookup = np.zeros(int(np.iinfo(others.labels.dtype).max) + 1, labels.dtype)
    values: dict[int, int] = {}
    for segment, value in zip(others, free):
        lookup[segment.value] = value
        values[segment.value] = value
    combined = np.where(labels > 0, labels, lookup[others.labels])
    kept = [_measured(segment, values[segment.value], combined) for segment in others if segment.value in values]
    return replace(first, labels=combined, segments=first.segments + tuple(one for one in kept if one is not None))


def _measured(segment: Segment, value: int, labels: np.ndarray) -> Segment | None:
    """A segment after its value and some of its pixels changed; None where none is left."""
    x0, y0, x1, y1 = segment.box_xyxy_px
    rows, columns = np.nonzero(labels[y0:y1, x0:x1] == value)
    if not len(rows):
        return None
    rows, columns = rows + y0, columns + x0
    return replace(
        segment,
        value=value,
        box_xyxy_px=(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1),
        area_px=len(rows),
        centroid_xy_px=(float(columns.mean()), float(rows.mean())),
    )
