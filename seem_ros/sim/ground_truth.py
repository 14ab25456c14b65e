# SPDX-License-Identifier: Apache-2.0
"""What the simulated camera hands out: a picture and everything that is true about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.vocabulary import STUFF, check_object, full_name


@dataclass(frozen=True)
class TrueInstance:
    """One thing or stuff region of a scene.

    Attributes:
        id: its value in `RenderedFrame.ids`, 1..255.
        name: the class name used as a text prompt, "red mug" or "robot arm".
        name_full: the longest true name, "small striped red mug".
        shape, colour, pattern: words of a thing; None for stuff.
        size: "small", "large" or None when no word is used.
        isthing: whether it is a countable object.
    """

    id: int
    name: str
    name_full: str
    shape: str | None
    colour: str | None
    size: str | None
    pattern: str | None
    isthing: bool

    @staticmethod
    def thing(number: int, shape: str, colour: str, size: str | None, pattern: str) -> TrueInstance:
        """Describes an object. Raises DataError for a word outside the vocabulary."""
        check_object(shape, colour, size, pattern)
        return TrueInstance(
            id=number,
            name=f"{colour} {shape}",
            name_full=full_name(shape, colour, size, pattern),
            shape=shape,
            colour=colour,
            size=size,
            pattern=pattern,
            isthing=True,
        )

    @staticmethod
    def stuff(number: int, name: str) -> TrueInstance:
        """Describes a stuff region. Raises DataError for an unknown name."""
        if name not in STUFF:
            raise DataError(f"unknown stuff {name!r}; the tabletop world knows {', '.join(STUFF)}")
        return TrueInstance(
            id=number, name=name, name_full=name, shape=None, colour=None, size=None, pattern=None, isthing=False
        )

    def as_dict(self) -> dict:
        """Returns the plain dictionary that is written to JSON."""
        return asdict(self)


@dataclass(frozen=True)
class RenderedFrame:
    """One picture with ground truth.

    Attributes:
        index: frame number since the world began.
        stamp_ns: simulated time in nanoseconds.
        rgb: uint8 [H, W, 3].
        ids: uint8 [H, W], instance ids, 0 where there is nothing.
        depth_m: float32 [H, W], metres along the optical axis.
        intrinsics: float64 [3, 3] pinhole matrix, pixel centres at whole numbers.
        world_from_camera: float64 [4, 4]; camera axes are optical: x right, y down, z forward.
        world_from_object: object id -> float64 [4, 4].
        instances: everything that has an id, in order of id.
    """

    index: int
    stamp_ns: int
    rgb: np.ndarray
    ids: np.ndarray
    depth_m: np.ndarray
    intrinsics: np.ndarray
    world_from_camera: np.ndarray
    world_from_object: dict[int, np.ndarray]
    instances: tuple[TrueInstance, ...]

    def mask(self, instance_id: int) -> np.ndarray:
        """Returns the visible pixels of an instance, bool [H, W].

        Raises:
            DataError: no such id in this scene.
        """
        if instance_id not in {item.id for item in self.instances}:
            raise DataError(f"no instance {instance_id}; this scene has ids 1 to {len(self.instances)}")
        return self.ids == instance_id

    def find(self, name: str) -> list[TrueInstance]:
        """Returns the instances called so (short or full name); empty when there are none."""
        return [item for item in self.instances if name in (item.name, item.name_full)]
