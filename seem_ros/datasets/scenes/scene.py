# SPDX-License-Identifier: Apache-2.0
"""A scene with masks and names: two frames of it, what is in them, and what is known not to be in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from seem_ros.errors import DataError

#: Value of pixels in `Clip.ids` of which nothing is known: neither an object that may be asked for nor background.
IGNORE = 255
#: So many objects of one picture have a value of their own.
MAX_OBJECTS = 254


@dataclass(frozen=True)
class Thing:
    """One instance: what it is called.

    Attributes:
        id: its value in `Clip.ids`, 1..254.
        shape: its class name, as people say it; None where nobody named it.
        colour, size, pattern: further words that are true of it, None where not known.
        isthing: whether it can be counted (a mug), in contrast to stuff (a floor).
    """

    id: int
    shape: str | None
    colour: str | None = None
    size: str | None = None
    pattern: str | None = None
    isthing: bool = True


@dataclass(frozen=True)
class Group:
    """Objects that are one whole together: garments, hair and skin are a person.

    Attributes:
        name: what the whole is called.
        ids: ids of its parts.
    """

    name: str
    ids: frozenset[int]


@dataclass(frozen=True)
class Clip:
    """Two frames of one scene; a still is given twice.

    Attributes:
        rgb: uint8 [2, H, W, 3].
        ids: uint8 [2, H, W]; 0 = unlabelled, `IGNORE` = nothing is known, else a thing's id, the same in both frames.
        things: the instances that may occur in `ids`.
        groups: wholes made of several things.
        exhaustive_for: class names of which every instance in the picture is labelled, so that a missing label proves
            absence; None = of every name (a simulated scene).
        still: both frames are one picture.
    """

    rgb: np.ndarray
    ids: np.ndarray
    things: tuple[Thing, ...]
    groups: tuple[Group, ...] = ()
    exhaustive_for: frozenset[str] | None = None
    still: bool = False

    def absent(self, name: str) -> bool:
        """Whether it is certain that no instance of a class is in the picture."""
        if any(thing.shape == name for thing in self.things) or any(group.name == name for group in self.groups):
            return False
        return self.exhaustive_for is None or name in self.exhaustive_for

    def renamed(self, names: Mapping[str, str]) -> Clip:
        """The same scene, classes called otherwise; what ``names`` does not hold keeps its name."""
        things = tuple(replace(one, shape=names.get(one.shape or "", one.shape)) for one in self.things)
        groups = tuple(replace(one, name=names.get(one.name, one.name)) for one in self.groups)
        known = self.exhaustive_for
        return replace(
            self,
            things=things,
            groups=groups,
            exhaustive_for=None if known is None else frozenset(names.get(name, name) for name in known),
        )


class SceneSource(Protocol):
    """Where scenes come from. Sources are read from worker processes: `draw` depends on its arguments only.

    Attributes:
        name: for messages and tables.
        names: class names that may occur.
        weights: how often each scene is drawn, relative to the others; None draws all alike.
    """

    @property
    def name(self) -> str: ...

    @property
    def names(self) -> frozenset[str]: ...

    @property
    def weights(self) -> np.ndarray | None: ...

    def __len__(self) -> int:
        """Number of scenes; a picture that counts once."""

    def draw(self, index: int, rng: np.random.Generator) -> Clip:
        """Reads one scene whole, at its own size; `rng` draws what is left open, such as the second frame.

        Raises:
            DataError: a file is missing or does not fit; the message names it.
        """

    def check(self) -> None:
        """Reads everything once. Raises DataError that names the first file that is missing or does not fit."""


def check_ids(ids: np.ndarray, things: tuple[Thing, ...], where: str) -> None:
    """Refuses a label picture that holds values which no record explains.

    Args:
        ids: int [H, W].
        things: the records.
        where: the file, for the message.

    Raises:
        DataError: names the file and the values.
    """
    known = {0, IGNORE, *(thing.id for thing in things)}
    strange = sorted(set(np.unique(ids).tolist()) - known)
    if strange:
        raise DataError(
            f"{where} holds the value {strange[0]}, of which there is no record (0 is unlabelled, {IGNORE} ignored)"
        )
