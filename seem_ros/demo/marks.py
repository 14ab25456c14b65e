# SPDX-License-Identifier: Apache-2.0
"""What the demo's targets are worth: overlap with the truth, finds of what is hidden, changes of id, steadiness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from seem_ros.perception.structures.segments import Segments

LEAST_VISIBLE_PX = 30


@dataclass(frozen=True)
class Mark:
    """Of one target.

    Attributes:
        name: What was asked for.
        target_id: Its id.
        frames: Frames in which the object is visible (30 pixels or more).
        mean_iou: Over these frames; a frame without a mask counts 0.
        hidden_frames: Frames in which nothing of it is visible.
        false_finds: Of these, frames in which the target had a mask.
        switches: Frames in which the mask lay on another object more than on its own.
    """

    name: str
    target_id: int
    frames: int
    mean_iou: float
    hidden_frames: int
    false_finds: int
    switches: int


@dataclass(frozen=True)
class Standing:
    """How steady the place of a thing is that stands still, while the camera moves.

    Attributes:
        place_m: Median place (x, y, z).
        spread_m: Median distance of a picture's place from that one.
        pictures: With a place.
        camera_m: Greatest distance between two places of the camera.
    """

    place_m: tuple[float, float, float]
    spread_m: float
    pictures: int
    camera_m: float


def standing(target_id: int, results: Iterable[Segments], cameras_m: np.ndarray) -> Standing | None:
    """The place of a target that stands still; None where no picture has one.

    Args:
        target_id: Of the target.
        results: With positions in a frame that does not move.
        cameras_m: float [N, 3], where the camera was.
    """
    records = [one.by_target(target_id) for one in results]
    places = np.array([record.position_m for record in records if record is not None and record.position_m])
    if not len(places):
        return None
    middle = np.median(places, axis=0)
    x, y, z = map(float, middle)
    spread = float(np.median(np.linalg.norm(places - middle, axis=1)))
    apart = np.linalg.norm(cameras_m[:, None] - cameras_m[None], axis=-1)
    return Standing((x, y, z), spread, len(places), float(apart.max(initial=0.0)))


def mark(
    name: str, target_id: int, true_id: int, frames: Mapping[int, tuple[Segments, np.ndarray]], first: int, last: int
) -> Mark:
    """Marks of one target.

    Args:
        name: What was asked for.
        target_id: Of the target.
        true_id: Of the object in the truth.
        frames: Segments and truth (uint8 [H, W], object ids) by frame number.
        first, last: Frame numbers between which the target lived.
    """
    overlaps, hidden, false_finds, switches = [], 0, 0, 0
    for number, (segments, truth) in frames.items():
        if not first <= number <= last:
            continue
        record = segments.by_target(target_id)
        mask = segments.mask(record.value) if record is not None else np.zeros(truth.shape, bool)
        real = truth == true_id
        visible = int(real.sum())
        if visible == 0:
            hidden += 1
            false_finds += record is not None
        elif visible >= LEAST_VISIBLE_PX:
            both = int((mask & real).sum())
            overlaps.append(both / int((mask | real).sum()))
            counts = np.bincount(truth[mask], minlength=true_id + 1)
            counts[0] = 0
            switches += record is not None and int(counts.max()) > counts[true_id]
    mean = float(np.mean(overlaps)) if overlaps else 0.0
    return Mark(name, target_id, len(overlaps), mean, hidden, false_finds, switches)
