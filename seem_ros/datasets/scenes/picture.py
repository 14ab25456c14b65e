# SPDX-License-Identifier: Apache-2.0
"""One labelled picture, and how pictures become the two frames of a clip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from seem_ros.datasets.scenes.scene import IGNORE, MAX_OBJECTS, Clip, Group, Thing
from seem_ros.errors import DataError

#: Frames of a video further apart than this show another scene more often than another look of it.
MOST_FRAMES_APART = 12

#: An object's name, and its track through the sequence; None where not known.
Track: TypeAlias = tuple[str | None, int | None]


@dataclass(frozen=True)
class LabeledPicture:
    """One picture with its truth.

    Attributes:
        name: the picture's file.
        rgb: uint8 [H, W, 3].
        ids: uint8 [H, W]: 0 unlabelled, `IGNORE` ignored, else a thing's id.
        things: records of the ids.
        groups: wholes made of several things.
        exhaustive_for: class names whose absence is proven by a missing label.
        tracks: thing's id -> its name and track: equal pairs are one object in two frames; without tracks all objects
            of one name are taken together.
    """

    name: str
    rgb: np.ndarray
    ids: np.ndarray
    things: tuple[Thing, ...]
    groups: tuple[Group, ...] = ()
    exhaustive_for: frozenset[str] = frozenset()
    tracks: dict[int, Track] = field(default_factory=dict)

    def still(self) -> Clip:
        """The picture twice."""
        rgb, ids = np.stack([self.rgb] * 2), np.stack([self.ids] * 2)
        return Clip(rgb, ids, self.things, self.groups, self.exhaustive_for, still=True)

    def paired(self, other: LabeledPicture) -> Clip:
        """This and another frame of its sequence, ids made the same in both.

        Raises:
            DataError: the frames differ in size.
        """
        if self.rgb.shape != other.rgb.shape:
            raise DataError(f"{self.name} and {other.name} are frames of one sequence but differ in size")
        number: dict[Track, int] = {}
        frames = []
        for picture in (self, other):
            table = np.zeros(256, np.uint8)
            table[IGNORE] = IGNORE
            for value, key in picture.tracks.items():
                if key not in number and len(number) < MAX_OBJECTS:
                    number[key] = len(number) + 1
                table[value] = number.get(key, IGNORE)
            frames.append(table[picture.ids])
        things = tuple(Thing(value, name) for (name, _), value in number.items())
        return Clip(
            np.stack([self.rgb, other.rgb]), np.stack(frames), things, (), self.exhaustive_for & other.exhaustive_for
        )


class Sequences:
    """Which pictures are frames of one video.

    Args:
        places: (sequence or None, frame number) of each picture.
    """

    def __init__(self, places: Iterable[tuple[str | int | None, int]]) -> None:
        self._places = list(places)
        self._members: dict[str | int, list[int]] = defaultdict(list)
        for index, (sequence, _) in enumerate(self._places):
            if sequence is not None:
                self._members[sequence].append(index)

    def near(self, index: int, rng: np.random.Generator) -> int | None:
        """Draws another frame near a picture; None for a still or a lonely frame."""
        sequence, frame = self._places[index]
        if sequence is None:
            return None
        near = [
            other
            for other in self._members[sequence]
            if other != index and abs(self._places[other][1] - frame) <= MOST_FRAMES_APART
        ]
        return near[int(rng.integers(len(near)))] if near else None
