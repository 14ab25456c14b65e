# SPDX-License-Identifier: Apache-2.0
"""What was found in a picture: a label image and one record per segment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from seem_ros.errors import DataError
from seem_ros.perception.structures.letterbox import Geometry
from seem_ros.perception.structures.oriented_box import OrientedBox
from seem_ros.perception.structures.prompts import Prompt

STATES = ("", "TRACKED", "OCCLUDED", "LOST")


def _unit(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:  # NaN fails too
        raise DataError(f"{name} must lie in 0..1, got {value!r}")


@dataclass(frozen=True)
class Segment:
    """One segment of a picture; pixels of the source image.

    Attributes:
        value: Its pixel value in the label image, 1..65535.
        target_id: Id of the target it belongs to, 0 where it is none.
        label: What it is, "" where nobody said.
        label_score: How sure the label is, 0..1.
        mask_score: How sure the outline is: the mean mask probability inside, 0..1.
        presence: How sure it is that what was asked for is there, 0..1.
        box_xyxy_px: First column, first row, last column + 1, last row + 1.
        area_px: Number of its pixels.
        centroid_xy_px: Mean column and row of its pixels (pixel centres have integer coordinates).
        state: Of its target: TRACKED; "" where it is none. OCCLUDED and LOST targets have no segment.
        position_m: Centre (x, y, z) in ``Segments.position_frame``, None without depth.
        size_m: Extent along the axes of that frame, None without depth.
        oriented_box: The tight box in that frame, turned as the object lies; None without depth, and where it is no
            target.
        is_thing: A countable thing, not stuff like floor or wall.

    Raises:
        DataError: A value is outside its range.
    """

    value: int
    target_id: int = 0
    label: str = ""
    label_score: float = 0.0
    mask_score: float = 0.0
    presence: float = 0.0
    box_xyxy_px: tuple[int, int, int, int] = (0, 0, 1, 1)
    area_px: int = 1
    centroid_xy_px: tuple[float, float] = (0.0, 0.0)
    state: str = ""
    position_m: tuple[float, float, float] | None = None
    size_m: tuple[float, float, float] | None = None
    is_thing: bool = True
    oriented_box: OrientedBox | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.value <= 65535:
            raise DataError(f"a segment's pixel value must be 1..65535, got {self.value}")
        if self.target_id < 0:
            raise DataError(f"a target id must not be negative, got {self.target_id}")
        for name in ("label_score", "mask_score", "presence"):
            _unit(f"a segment's {name}", getattr(self, name))
        x0, y0, x1, y1 = self.box_xyxy_px
        if not (0 <= x0 < x1 and 0 <= y0 < y1):
            raise DataError(f"a segment's box must not be empty or negative, got {self.box_xyxy_px}")
        if not 1 <= self.area_px <= (x1 - x0) * (y1 - y0):
            raise DataError(f"a segment's area must be 1 to its box's {(x1 - x0) * (y1 - y0)}, got {self.area_px}")
        if self.state not in STATES:
            raise DataError(f"a segment's state must be one of {STATES}, got {self.state!r}")
        for name in ("position_m", "size_m"):
            value = getattr(self, name)
            if value is not None and (len(value) != 3 or not all(math.isfinite(v) for v in value)):
                raise DataError(f"a segment's {name} must be three finite metres, got {value}")


@dataclass(frozen=True, eq=False)
class Round:
    """What a further round on the same picture needs, at network size.

    Attributes:
        memory_mask: float32 [h4, w4], mask logits at stride 4.
        geometry: Of the picture.
        prior_box: float32 [4], the first round's extent (centre x, centre y, width, height), normalised.
        prior_kind: Its kind, a `PriorKind`.
    """

    memory_mask: np.ndarray
    geometry: Geometry
    prior_box: np.ndarray
    prior_kind: int


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one prompt. That nothing was found is an answer too.

    Attributes:
        prompt: Everything said so far, all rounds joined.
        found: Something was found.
        presence: How sure the model is that what was asked for is there, 0..1, whether found or not.
        mask_score: Mean mask probability inside, 0..1; 0 without a mask.
        label, label_score: What it is and how sure.
        unknown_words: Words of the text that the model was never trained on.
        message: What to tell the user.
        segment: Its record, None where nothing was found or other, surer segments took all its pixels. Prompts that
            mean one object share its record.
        round: For a further round; None where the text could not be used.
    """

    prompt: Prompt
    found: bool
    presence: float
    mask_score: float = 0.0
    label: str = ""
    label_score: float = 0.0
    unknown_words: tuple[str, ...] = ()
    message: str = ""
    segment: Segment | None = None
    round: Round | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("presence", "mask_score", "label_score"):
            _unit(f"an answer's {name}", getattr(self, name))


@dataclass(frozen=True, eq=False)
class Segments:
    """All segments of one picture.

    Attributes:
        labels: uint8 or uint16 [H, W] at source resolution, 0 = nothing, else a segment's ``value``.
        segments: One record per value that occurs.
        stamp_ns, frame_id, camera: Of the picture.
        message: What to tell the user about the whole.
        answers: One per prompt, in the prompts' order; empty where nothing was asked.
        position_frame: Name of the frame of all positions.

    Raises:
        DataError: The label image has another type, or two records share a pixel value.
    """

    labels: np.ndarray
    segments: tuple[Segment, ...] = ()
    stamp_ns: int = 0
    frame_id: str = ""
    camera: str = ""
    message: str = ""
    answers: tuple[Answer, ...] = ()
    position_frame: str = ""

    def __post_init__(self) -> None:
        labels = self.labels
        if not isinstance(labels, np.ndarray) or labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
            raise DataError("a label image must be a uint8 or uint16 [H, W] array")
        values = [segment.value for segment in self.segments]
        if len(set(values)) != len(values):
            raise DataError(f"two segments share a pixel value: {sorted(values)}")
        if values and max(values) > np.iinfo(labels.dtype).max:
            raise DataError(f"pixel value {max(values)} does not fit a label image of {labels.dtype}")

    def __len__(self) -> int:
        return len(self.segments)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def mask(self, value: int) -> np.ndarray:
        """Bool [H, W]: the pixels of one segment."""
        return self.labels == value

    def by_target(self, target_id: int) -> Segment | None:
        """The record of a target, None where it is not seen."""
        return next((segment for segment in self.segments if segment.target_id == target_id), None)

    def with_segments(self, segments: tuple[Segment, ...]) -> Segments:
        """The same picture with other records, e.g. with positions added; the answers follow."""
        by_value = {segment.value: segment for segment in segments}
        answers = tuple(
            answer if answer.segment is None else replace(answer, segment=by_value.get(answer.segment.value))
            for answer in self.answers
        )
        return replace(self, segments=tuple(segments), answers=answers)
