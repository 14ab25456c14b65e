# SPDX-License-Identifier: Apache-2.0
"""Puts room, arm and objects together as one MuJoCo specification.

World frame: origin at the middle of the table top, x right, y away from the usual camera, z up, metres.
"""

from __future__ import annotations

import numpy as np

from seem_ros.sim.mujoco_import import mujoco
from seem_ros.sim.scene.meshes import Mesh, slab

#: Geom group that is drawn, and the group that never is (collision shapes, objects that are away).
SHOWN, HIDDEN = 0, 4
FLOOR_Z_M = -0.72
WALL_DISTANCE_M = 2.2
TABLE_THICKNESS_M = 0.035
_TABLE_HALF_M = (0.62, 0.50)
SURFACES = ("table", "floor", "wall")


def new_spec(height_px: int, width_px: int, *, samples: int = 4, shadow_px: int = 512) -> mujoco.MjSpec:
    """Returns an empty specification with camera "camera", two lights and the offscreen buffer's size.

    Args:
        height_px: height of the pictures.
        width_px: width of the pictures.
        samples: anti-aliasing samples per pixel of the colour picture.
        shadow_px: side of the shadow map.
    """
    spec = mujoco.MjSpec()
    view = getattr(spec.visual, "global_", None) or getattr(spec.visual, "global")
    view.offwidth, view.offheight = width_px, height_px
    spec.visual.quality.offsamples = samples
    spec.visual.quality.shadowsize = shadow_px
    spec.visual.map.znear, spec.visual.map.zfar = 0.03, 12.0
    spec.visual.map.shadowclip = 1.8  # metres around the middle; nearer, its edge shows as dots on the table
    spec.stat.extent, spec.stat.center = 1.0, [0, 0, 0]
    spec.option.timestep = 0.004
    world = spec.worldbody
    world.add_camera(name="camera", pos=[0, -0.9, 0.7], fovy=45)
    world.add_light(name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=[0, 0, 1.5], dir=[0, 0, -1])
    world.add_light(
        name="lamp",
        type=mujoco.mjtLightType.mjLIGHT_SPOT,
        pos=[0.5, 0, 1.5],
        dir=[0, 0, -1],
        cutoff=80,
        castshadow=False,
    )
    return spec


def add_material(
    spec: mujoco.MjSpec,
    name: str,
    picture: np.ndarray | None,
    *,
    repeat: float = 1.0,
    rgba: tuple[float, float, float, float] = (1, 1, 1, 1),
) -> None:
    """Adds a material, textured when a picture (uint8 [h, w, 3]) is given."""
    material = spec.add_material(name=name, rgba=rgba, texrepeat=[repeat, repeat])
    if picture is not None:
        height, width = picture.shape[:2]
        texture = spec.add_texture(
            name=f"{name}_picture", type=mujoco.mjtTexture.mjTEXTURE_2D, width=width, height=height, nchannel=3
        )
        texture.data = picture.tobytes()
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = f"{name}_picture"


def add_mesh(spec: mujoco.MjSpec, name: str, mesh: Mesh) -> mujoco.MjsMesh:
    """Adds the triangles of a mesh under a name."""
    return spec.add_mesh(
        name=name,
        uservert=mesh.vertices_m.ravel(),
        userface=mesh.faces.ravel(),
        usertexcoord=mesh.uv.ravel(),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )


def add_room(spec: mujoco.MjSpec, half_m: tuple[float, float] = _TABLE_HALF_M, *, solid: bool = False) -> None:
    """Adds table, floor and four walls; geoms are named "table...", "floor", "wall..." and have no material yet."""
    world = spec.worldbody
    ghost = {"contype": int(solid), "conaffinity": int(solid)}
    add_mesh(spec, "table_top", slab(half_m[0], half_m[1], TABLE_THICKNESS_M))
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname="table_top",
        contype=0,
        conaffinity=0,
        pos=[0, 0, -TABLE_THICKNESS_M],
        group=SHOWN,
    )
    if solid:
        world.add_geom(
            name="solid table",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            group=HIDDEN,
            pos=[0, 0, -TABLE_THICKNESS_M - 0.1],
            contype=1,
            conaffinity=1,
            size=[half_m[0], half_m[1], TABLE_THICKNESS_M + 0.1],
        )
    leg = (-FLOOR_Z_M - TABLE_THICKNESS_M) / 2
    for x in (-1, 1):
        for y in (-1, 1):
            world.add_geom(
                name=f"table leg {x} {y}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[0.025, 0.025, leg],
                pos=[x * (half_m[0] - 0.04), y * (half_m[1] - 0.04), FLOOR_Z_M + leg],
                contype=0,
                conaffinity=0,
                group=SHOWN,
            )
    far = WALL_DISTANCE_M
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=[0, 0, FLOOR_Z_M],
        size=[far, far, 0.1],
        group=SHOWN,
        **ghost,
    )
    add_mesh(spec, "wall_sheet", slab(far, 0.02, 2.8))
    for index, angle in enumerate((0, 90, 180, 270)):
        turn = np.radians(angle)
        world.add_geom(
            name=f"wall {index}",
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname="wall_sheet",
            pos=[-far * np.sin(turn), far * np.cos(turn), FLOOR_Z_M],
            quat=[np.cos(turn / 2), 0, 0, np.sin(turn / 2)],
            contype=0,
            conaffinity=0,
            group=SHOWN,
        )
