# SPDX-License-Identifier: Apache-2.0
"""Descriptions of scenes: what stands on the table, who looks, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.scene.viewpoint import Viewpoint
from seem_ros.sim.vocabulary import COLOURS, HELD_OUT_PAIRS, PATTERNS, SHAPES, check_object

SPLITS = ("train", "val")


@dataclass(frozen=True)
class ObjectSpec:
    """One object to put on the table.

    Attributes:
        shape, colour, size, pattern: words of the vocabulary.
        xy_m: where it stands (world frame, metres); None lets the world choose a free place.
        lying: on its side, upright, or None to draw it.
        drop_height_m: above 0 it is kept out of the scene at first and falls from here when released.
    """

    shape: str
    colour: str
    size: str | None = None
    pattern: str = "plain"
    xy_m: tuple[float, float] | None = None
    lying: bool | None = None
    drop_height_m: float = 0.0

    def __post_init__(self) -> None:
        check_object(self.shape, self.colour, self.size, self.pattern)
        if self.xy_m is not None and (len(self.xy_m) != 2 or not np.all(np.isfinite(self.xy_m))):
            raise DataError(f"an object's place is two finite numbers in metres, got {self.xy_m}")
        if not 0 <= self.drop_height_m <= 2:
            raise DataError(f"an object's drop height is between 0 and 2 m, got {self.drop_height_m}")


def default_viewpoint() -> Viewpoint:
    """Returns the usual view: from the front, looking down at the middle of the table."""
    return Viewpoint(np.array([0.0, 0.02, 0.03]), -np.pi / 2, np.radians(40), 0.95, 0.0, 42.0)


@dataclass(frozen=True)
class SceneSpec:
    """A whole scene; the same description gives the same pictures.

    Attributes:
        objects: at least one, at most 40.
        seed: draws what the description leaves open (proportions, textures, light, free places).
        height_px, width_px: size of the pictures.
        viewpoint: where the camera stands at first.
        with_arm: whether there is a robot arm.
        arm_base_m: where it stands on the table.
        shadows: whether shadows are drawn (slower).
        meshes: folder of the meshes of everyday things; "" takes those that ship.
    """

    objects: tuple[ObjectSpec, ...]
    seed: int = 0
    height_px: int = 240
    width_px: int = 320
    viewpoint: Viewpoint = field(default_factory=default_viewpoint)
    with_arm: bool = True
    arm_base_m: tuple[float, float, float] = (0.0, 0.46, 0.0)
    shadows: bool = True
    meshes: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.objects) <= 40:
            raise DataError(f"a scene holds 1 to 40 objects, got {len(self.objects)}")
        if self.seed < 0:
            raise DataError(f"a seed is a whole number of at least 0, got {self.seed}")
        if not (32 <= self.height_px <= 2160 and 32 <= self.width_px <= 3840):
            raise DataError(f"pictures are 32x32 to 2160x3840 (height x width), got {self.height_px}x{self.width_px}")


def random_objects(rng: np.random.Generator, count: int, split: str = "val") -> tuple[ObjectSpec, ...]:
    """Draws objects: now and then two of one name, and in "val" often a pair that training never shows.

    Raises:
        DataError: unknown split.
    """
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}; allowed are {', '.join(SPLITS)}")
    unseen = sorted(HELD_OUT_PAIRS)
    objects: list[ObjectSpec] = []
    for _ in range(count):
        draw = rng.random()
        if objects and draw < 0.2 and len(set(objects)) == len(objects):  # one pair of twins at most
            objects.append(objects[int(rng.integers(len(objects)))])
            continue
        shape, colour = SHAPES[int(rng.integers(len(SHAPES)))], COLOURS[int(rng.integers(len(COLOURS)))]
        if split == "val" and draw > 0.8:
            colour, shape = unseen[int(rng.integers(len(unseen)))]
        while split == "train" and (colour, shape) in HELD_OUT_PAIRS:
            colour = COLOURS[int(rng.integers(len(COLOURS)))]
        size = (None, "small", "large")[int(rng.choice(3, p=[0.65, 0.25, 0.10]))]
        objects.append(ObjectSpec(shape, colour, size, PATTERNS[int(rng.choice(4, p=[0.7, 0.12, 0.06, 0.12]))]))
    return tuple(objects)


def random_scene(
    seed: int, *, split: str = "val", height_px: int = 240, width_px: int = 320, count: int | None = None
) -> SceneSpec:
    """Draws a scene with an arm behind the table and a camera in front of it.

    Args:
        seed: the same seed gives the same scene.
        split: "train" leaves out `HELD_OUT_PAIRS`.
        height_px, width_px: size of the pictures.
        count: number of objects; drawn from 5 to 8 when None.

    Raises:
        DataError: an argument is out of range.
    """
    rng = np.random.default_rng((abs(seed), 11))
    objects = random_objects(rng, int(rng.integers(5, 9)) if count is None else count, split)
    view = Viewpoint(
        np.array([rng.normal(0, 0.02), rng.normal(0, 0.02), 0.03]),
        -np.pi / 2 + rng.normal(0, 0.25),
        np.radians(rng.uniform(33, 50)),
        rng.uniform(0.85, 1.0),
        rng.normal(0, 0.02),
        42.0,
    )
    base = (rng.uniform(-0.15, 0.15), rng.uniform(0.42, 0.48), 0.0)
    return SceneSpec(
        objects=objects,
        seed=seed,
        height_px=height_px,
        width_px=width_px,
        viewpoint=view,
        with_arm=True,
        arm_base_m=base,
        shadows=bool(rng.random() < 0.6),
    )
