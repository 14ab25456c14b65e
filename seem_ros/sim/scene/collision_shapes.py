# SPDX-License-Identifier: Apache-2.0
"""Collision shapes: what an object's mesh feels like to physics, from simple convex pieces.

Bits: objects and table are type 1, the arm is type 2; objects accept both, the table only objects. So the arm pushes
objects and never fights the table or itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seem_ros.sim.mujoco_import import mujoco
from seem_ros.sim.scene.room import HIDDEN

_PIECES = 12
_DENSITY = 500.0


def add_solid(body: mujoco.MjsBody, shape: str, vertices_m: np.ndarray, mesh_name: str) -> None:
    """Adds invisible collision geoms to an object's body.

    Args:
        body: of the specification.
        shape: the object's shape.
        vertices_m: float [V, 3] vertices of its mesh, object frame.
        mesh_name: the mesh in the specification (its convex hull serves where that is good enough).
    """
    low, high = vertices_m.min(0), vertices_m.max(0)
    height = high[2] - low[2]
    radius = float(np.hypot(vertices_m[:, 0], vertices_m[:, 1]).max())

    def add(kind: mujoco.mjtGeom, size: list[float], pos: list[float], quat: np.ndarray | None = None) -> None:
        body.add_geom(
            type=kind,
            size=size,
            pos=pos,
            quat=[1, 0, 0, 0] if quat is None else quat,
            group=HIDDEN,
            density=_DENSITY,
            contype=1,
            conaffinity=3,
            condim=6,
            friction=[0.7, 0.01, 0.0015],
        )

    geom = mujoco.mjtGeom
    if shape == "ball":
        add(geom.mjGEOM_SPHERE, [radius, 0, 0], [0, 0, height / 2])
    elif shape == "box":
        add(geom.mjGEOM_BOX, list((high - low) / 2), list((high + low) / 2))
    elif shape == "cylinder":
        add(geom.mjGEOM_CYLINDER, [radius, height / 2, 0], [0, 0, height / 2])
    elif shape == "capsule":
        add(geom.mjGEOM_CAPSULE, [radius, height / 2 - radius, 0], [0, 0, height / 2])
    elif shape == "ring":
        tube = height / 2
        _around(
            radius - tube,
            lambda x, y, quat: add(
                geom.mjGEOM_CAPSULE, [tube, (radius - tube) * np.tan(np.pi / _PIECES), 0], [x, y, tube], quat
            ),
        )
    elif shape in ("bowl", "mug"):
        wall = 0.05 * radius + 0.002
        upright = shape == "mug"
        outer = float(-low[0]) if upright else radius
        foot = outer if upright else 0.55 * outer
        add(geom.mjGEOM_CYLINDER, [foot, 0.05 * height, 0], [0, 0, 0.05 * height])
        lean = 0.0 if upright else np.arctan2(outer - foot, height)
        middle = (outer + foot) / 2 - wall
        _around(
            middle,
            lambda x, y, quat: add(
                geom.mjGEOM_BOX,
                [wall, outer * np.tan(np.pi / _PIECES), height / 2 / np.cos(lean)],
                [x, y, height / 2 + wall * np.sin(lean)],
                quat,
            ),
            lean,
            standing=True,
        )
        if upright:
            add(geom.mjGEOM_BOX, [(high[0] - outer) / 2, 0.006, 0.3 * height], [(high[0] + outer) / 2, 0, height / 2])
    else:  # cone, pyramid, bottle, plate, star: the convex hull
        body.add_geom(
            type=geom.mjGEOM_MESH,
            meshname=mesh_name,
            group=HIDDEN,
            density=_DENSITY,
            contype=1,
            conaffinity=3,
            condim=6,
            friction=[0.7, 0.01, 0.0015],
        )


def _around(
    radius_m: float, place: Callable[[float, float, np.ndarray], None], lean: float = 0.0, standing: bool = False
) -> None:
    """Calls place(x, y, quaternion) for pieces around the z axis, along the circle or standing on it leaning out."""
    for angle in np.arange(_PIECES) * 2 * np.pi / _PIECES:
        spin = np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])
        tilt = (
            np.array([np.cos(lean / 2), 0, np.sin(lean / 2), 0])
            if standing
            else np.array([np.sqrt(0.5), -np.sqrt(0.5), 0, 0])
        )
        quaternion = np.zeros(4)
        mujoco.mju_mulQuat(quaternion, spin, tilt)
        place(radius_m * np.cos(angle), radius_m * np.sin(angle), quaternion)
