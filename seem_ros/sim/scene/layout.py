# SPDX-License-Identifier: Apache-2.0
"""Where objects rest: stable orientations, footprints, and positions that touch at most."""

from __future__ import annotations

import numpy as np

_COUNT = 24
_DIRECTIONS = np.stack(
    [np.cos(np.arange(_COUNT) * 2 * np.pi / _COUNT), np.sin(np.arange(_COUNT) * 2 * np.pi / _COUNT)], -1
)
#: Shapes that also rest lying on their side, with the chance that they do.
_LYING = {"cylinder": 0.3, "bottle": 0.3, "capsule": 0.9, "cone": 0.2, "mug": 0.12, "ring": 0.12, "star": 0.12}


def turn_z(angle: float) -> np.ndarray:
    """Returns the 3x3 rotation by an angle (radians) around z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def rest_rotation(
    shape: str, vertices_m: np.ndarray, rng: np.random.Generator, lying: bool | None = None
) -> np.ndarray:
    """Draws a stable orientation (up to yaw) of a shape.

    Args:
        shape: its name.
        vertices_m: float [V, 3] in the object's frame.
        rng: source of the choice.
        lying: on its side or upright; None draws it. Shapes that rest in one way only always rest in that way.

    Returns:
        float64 [3, 3] rotation from the object's frame to the world.
    """
    draw = rng.random()
    if shape not in _LYING or (draw >= _LYING[shape] if lying is None else not lying):
        return np.eye(3)
    tilt = np.pi / 2
    if shape == "cone":
        radius, height = vertices_m[:, 0].max(), vertices_m[:, 2].max()
        tilt = np.pi / 2 + np.arctan2(radius, height)
    c, s = np.cos(tilt), np.sin(tilt)
    around_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    # A lying mug rests on its belly with the handle to the side or up, so its spin is drawn before the tilt.
    spin = turn_z(rng.uniform(0, np.pi) + np.pi / 2 if shape == "mug" else rng.uniform(0, 2 * np.pi))
    return around_x @ spin if shape != "star" else around_x


def footprint(vertices_m: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Returns (support [24] metres in fixed directions, lowest z, highest z) of turned vertices [V, 3]."""
    turned = vertices_m @ rotation.T
    return (turned[:, :2] @ _DIRECTIONS.T).max(0), float(turned[:, 2].min()), float(turned[:, 2].max())


def gap(support_a: np.ndarray, xy_a: np.ndarray, support_b: np.ndarray, xy_b: np.ndarray) -> float:
    """Returns a lower bound of the distance between two convex footprints, negative when they overlap (metres)."""
    opposite = np.roll(support_b, _COUNT // 2)
    return float((_DIRECTIONS @ (xy_b - xy_a) - support_a - opposite).max())


def clear(support: np.ndarray, xy: np.ndarray, others: list[tuple[np.ndarray, np.ndarray]], margin_m: float) -> bool:
    """Tells whether a footprint at xy keeps a margin from all others given as (support, xy)."""
    return all(gap(support, xy, other, at) >= margin_m for other, at in others)


def slide_until_touching(
    support: np.ndarray,
    start: np.ndarray,
    goal: np.ndarray,
    others: list[tuple[np.ndarray, np.ndarray]],
    margin_m: float = 0.001,
) -> np.ndarray:
    """Moves a footprint from start towards goal and returns the last clear position (touching, if anything is met)."""
    steps = np.linspace(0, 1, 40)
    best = np.asarray(start, float)
    for step in steps[1:]:
        at = start + step * (goal - start)
        if not clear(support, at, others, margin_m):
            break
        best = at
    return best
