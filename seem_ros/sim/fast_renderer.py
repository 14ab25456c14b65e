# SPDX-License-Identifier: Apache-2.0
"""One compiled room with a pool of objects, from which many different short clips are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seem_ros.sim.mujoco_import import mujoco
from seem_ros.sim.render import Camera
from seem_ros.sim.scene import layout
from seem_ros.sim.scene.appearance import add_room_materials, arm_colour, dress_room, light_scene
from seem_ros.sim.scene.arm import add_arm, reach
from seem_ros.sim.scene.meshes import make_mesh
from seem_ros.sim.scene.room import HIDDEN, SHOWN, SURFACES, add_material, add_mesh, add_room, new_spec
from seem_ros.sim.scene.textures import pattern
from seem_ros.sim.scene.viewpoint import Viewpoint, draw_viewpoint, move_viewpoint
from seem_ros.sim.vocabulary import (
    COLOUR_RGB,
    COLOURS,
    HELD_OUT_PAIRS,
    PATTERNS,
    SHAPES,
    SIZE_SCALE,
    STUFF,
    full_name,
    stuff_record,
)

_COPIES = 3
_AWAY = np.array([0.0, 0.0, -5.0])
_HELD_OUT_LIST = sorted(HELD_OUT_PAIRS)


@dataclass
class _Pooled:
    """One object of the pool: what is fixed when the stage is compiled."""

    body: int
    geom: int
    shape: str
    size: str | None
    vertices_m: np.ndarray


@dataclass
class _Placed:
    """One object of a clip: what it is called and where it rests."""

    pooled: _Pooled
    colour: str
    pattern: str
    rotation: np.ndarray
    xy_m: np.ndarray
    base_z_m: float
    present: list[bool]


class ClipStage:
    """A compiled stage. Use as a context manager: it owns a GL context.

    Args:
        rng: draws the pool's proportions, the textures and the room.
        split: "train" leaves out `HELD_OUT_PAIRS`, "val" prefers them.
        height_px: picture height.
        width_px: picture width.
    """

    def __init__(self, rng: np.random.Generator, split: str, height_px: int, width_px: int) -> None:
        self._split = split
        samples = 4 if rng.random() < 0.6 else 2
        spec = new_spec(height_px, width_px, samples=samples, shadow_px=768)
        self._table_half_m = tuple(rng.uniform([0.46, 0.40], [0.75, 0.60]))
        add_room(spec, self._table_half_m)
        add_room_materials(spec, rng)
        add_material(spec, "arm", None, rgba=(*arm_colour(rng), 1))
        add_arm(spec, thickness=rng.uniform(0.8, 1.25))
        self._pool_meshes = []
        for shape in SHAPES:
            for copy in range(_COPIES):
                size = (None, "small", "large")[int(rng.choice(3, p=[0.5, 0.3, 0.2]))]
                mesh = make_mesh(shape, rng, rng.uniform(*SIZE_SCALE[size]))
                name = f"{shape} {copy}"
                add_mesh(spec, name, mesh)
                body = spec.worldbody.add_body(name=name, pos=_AWAY)
                body.add_geom(
                    name=name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, contype=0, conaffinity=0, group=HIDDEN
                )
                self._pool_meshes.append((name, shape, size, mesh.vertices_m))
        for colour in COLOURS:
            add_material(spec, f"{colour} plain", None)
            for kind in PATTERNS[1:]:
                add_material(spec, f"{colour} {kind}", pattern(kind, colour, rng))
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        model = self._model
        self._pool = [
            _Pooled(model.body(name).id, model.geom(name).id, shape, size, vertices)
            for name, shape, size, vertices in self._pool_meshes
        ]
        names = [model.geom(index).name for index in range(model.ngeom)]
        self._stuff_geoms = {
            stuff: np.array([index for index, name in enumerate(names) if name.split()[0] == word])
            for stuff, word in zip(STUFF, (*SURFACES, "arm"), strict=True)
        }
        # Names such as "ball 0" never start with a stuff word, so the split above is unambiguous.
        self._arm_body = model.body("arm").id
        self._arm_joints = slice(0, 4)
        self._camera = Camera(model, np.zeros(model.ngeom, int))

    def close(self) -> None:
        """Frees the GL context."""
        self._camera.close()

    def __enter__(self) -> ClipStage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def render_clip(self, rng: np.random.Generator, rgb: np.ndarray, ids: np.ndarray) -> dict:
        """Draws a new scene and renders its frames.

        Args:
            rng: draws everything about the clip.
            rgb: uint8 [T, H, W, 3], filled in.
            ids: uint8 [T, H, W], filled in: 0 nothing, else the id of an instance in the record.

        Returns:
            {"instances": [...]}: id, shape, colour, size, pattern, name, name_full, isthing.
        """
        frames = len(rgb)
        dress_room(self._model, rng, self._stuff_geoms)
        light_scene(self._model, rng)
        shadows = rng.random() < 0.45
        placed = self._place_objects(rng, frames)
        instances = self._number(placed)
        has_arm = rng.random() < 0.6
        self._model.geom_group[self._stuff_geoms["robot arm"]] = SHOWN if has_arm else HIDDEN
        side = rng.uniform(-0.2, np.pi + 0.2)
        base = np.array([np.cos(side) * rng.uniform(0.42, 0.5), np.sin(side) * rng.uniform(0.40, 0.48), 0.0])
        self._model.body_pos[self._arm_body] = base
        centre = np.mean([thing.xy_m for thing in placed], axis=0)
        viewpoint = draw_viewpoint(rng, centre)
        for frame in range(frames):
            if frame:
                self._disturb(rng, placed)
                viewpoint = move_viewpoint(rng, viewpoint)
            self._pose(placed, frame)
            viewpoint.apply(self._model)
            if has_arm:
                self._swing(rng, placed, viewpoint, base)
            mujoco.mj_kinematics(self._model, self._data)
            mujoco.mj_comPos(self._model, self._data)
            mujoco.mj_camlight(self._model, self._data)
            rgb[frame], ids[frame], _ = self._camera.shoot(self._data, shadows=shadows)
        return {"instances": instances}

    # What is in the scene ---------------------------------------------------------------------------------------

    def _draw_words(self, rng: np.random.Generator, shape: str, theme: str | None) -> str:
        """Draws a colour for a shape, obeying the split."""
        allowed = [c for c in COLOURS if self._split == "val" or (c, shape) not in HELD_OUT_PAIRS]
        if self._split == "val" and rng.random() < 0.35:
            unseen = [c for c, s in _HELD_OUT_LIST if s == shape]
            if unseen:
                return unseen[int(rng.integers(len(unseen)))]
        if theme in allowed and rng.random() < 0.7:
            return theme
        return allowed[int(rng.integers(len(allowed)))]

    def _place_objects(self, rng: np.random.Generator, frames: int) -> list[_Placed]:
        count = int(rng.integers(4, 11))
        theme = COLOURS[int(rng.integers(len(COLOURS)))] if rng.random() < 0.35 else None
        pool = [self._pool[index] for index in rng.permutation(len(self._pool))]
        if rng.random() < 0.3:  # several of one shape: same-name duplicates and hard neighbours
            shape = pool[0].shape
            pool.sort(key=lambda thing: thing.shape != shape)
        spread = rng.uniform(0.14, 0.36)
        placed: list[_Placed] = []
        for pooled in pool:
            if len(placed) == count:
                break
            same = [thing for thing in placed if thing.pooled.shape == pooled.shape]
            colour = self._draw_words(rng, pooled.shape, theme)
            surface = PATTERNS[int(rng.choice(4, p=[0.62, 0.16, 0.08, 0.14]))]
            if same and rng.random() < 0.5:
                colour, surface = same[0].colour, same[0].pattern
            thing = self._place_one(rng, pooled, colour, surface, placed, spread)
            if thing is None:
                continue
            thing.present = [True] * frames
            host = next((other for other in placed if np.array_equal(other.xy_m, thing.xy_m)), None)
            if host is not None:  # what carries it comes and goes with it
                thing.present = host.present
            elif rng.random() < 0.1:
                thing.present = [bool(rng.random() < 0.6) for _ in range(frames)]
            placed.append(thing)
        return placed

    def _place_one(
        self, rng: np.random.Generator, pooled: _Pooled, colour: str, surface: str, placed: list[_Placed], spread: float
    ) -> _Placed | None:
        rest = layout.rest_rotation(pooled.shape, pooled.vertices_m, rng)
        rotation = layout.turn_z(rng.uniform(0, 2 * np.pi)) @ rest
        support, low, _ = layout.footprint(pooled.vertices_m, rotation)
        host = self._find_host(rng, placed, float(support.max()))
        if host is not None:
            top = self._host_height(host, float(support.max()))
            return _Placed(pooled, colour, surface, rotation, host.xy_m.copy(), top - low, [])
        others = self._footprints(placed)
        limit = np.array(self._table_half_m) - support.max() - 0.01
        for _ in range(12):
            xy = np.clip(rng.normal(0, spread, 2), -limit, limit)
            if layout.clear(support, xy, others, 0.004):
                if others and rng.random() < 0.25:
                    goal = others[int(rng.integers(len(others)))][1]
                    xy = layout.slide_until_touching(support, xy, goal, others)
                return _Placed(pooled, colour, surface, rotation, xy, -low, [])
        return None

    @staticmethod
    def _footprints(placed: list[_Placed], without: _Placed | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
        return [
            (layout.footprint(thing.pooled.vertices_m, thing.rotation)[0], thing.xy_m)
            for thing in placed
            if thing is not without
        ]

    @staticmethod
    def _find_host(rng: np.random.Generator, placed: list[_Placed], radius_m: float) -> _Placed | None:
        """Picks, now and then, something that can carry a small object."""
        if rng.random() >= 0.14:
            return None
        for thing in placed:
            upright = abs(thing.rotation[2, 2] - 1) < 1e-6
            taken = any(other is not thing and np.allclose(other.xy_m, thing.xy_m) for other in placed)
            if not upright or taken or thing.pooled.shape not in ("plate", "box", "bowl"):
                continue
            room = layout.footprint(thing.pooled.vertices_m, thing.rotation)[0].min()
            share = {"plate": 0.66, "box": 1.15, "bowl": 0.42}[thing.pooled.shape]
            if radius_m <= share * room:
                return thing
        return None

    @staticmethod
    def _host_height(host: _Placed, radius_m: float) -> float:
        """Returns the height at which an object of this radius rests on or in its host."""
        vertices = host.pooled.vertices_m
        if host.pooled.shape == "box":
            return float(vertices[:, 2].max())
        inside = np.hypot(vertices[:, 0], vertices[:, 1]) <= max(radius_m * 0.6, 1e-4)
        floor = float(vertices[inside, 2].max())
        return floor + (0.002 if host.pooled.shape == "plate" else 0.0)

    def _number(self, placed: list[_Placed]) -> list[dict]:
        """Gives ids: things 1..k, then the stuff; colours the geoms and returns the records."""
        model, ids = self._model, np.zeros(self._model.ngeom, np.int32)
        for pooled in self._pool:
            model.geom_group[pooled.geom] = HIDDEN
            model.body_pos[pooled.body] = _AWAY
        records = []
        for number, thing in enumerate(placed, 1):
            geom, pooled = thing.pooled.geom, thing.pooled
            ids[geom] = number
            model.geom_matid[geom] = model.material(f"{thing.colour} {thing.pattern}").id
            # MuJoCo takes a geom's own colour over its material's; with a texture it multiplies the picture.
            tone = np.random.default_rng((geom, number, pooled.body)).uniform(0.9, 1.0, 3)
            base = COLOUR_RGB[thing.colour] if thing.pattern == "plain" else (1, 1, 1)
            model.geom_rgba[geom, :3] = np.array(base) * tone
            records.append(
                {
                    "id": number,
                    "shape": pooled.shape,
                    "colour": thing.colour,
                    "size": pooled.size,
                    "pattern": thing.pattern,
                    "name": f"{thing.colour} {pooled.shape}",
                    "name_full": full_name(pooled.shape, thing.colour, pooled.size, thing.pattern),
                    "isthing": True,
                }
            )
        for number, stuff in enumerate(STUFF, len(placed) + 1):
            ids[self._stuff_geoms[stuff]] = number
            records.append(stuff_record(number, stuff))
        self._camera.id_of_geom = ids
        return records

    # What happens between frames --------------------------------------------------------------------------------

    def _disturb(self, rng: np.random.Generator, placed: list[_Placed]) -> None:
        """Pushes some objects: short pushes mostly, long ones sometimes, never into another object."""
        liveliness = rng.choice([0.0, 0.3, 0.8], p=[0.2, 0.5, 0.3])
        for thing in placed:
            carried = thing.base_z_m > 0.001 + -layout.footprint(thing.pooled.vertices_m, thing.rotation)[1]
            shared = sum(np.allclose(other.xy_m, thing.xy_m) for other in placed) > 1
            if rng.random() >= liveliness or carried or shared:
                continue
            rotation = layout.turn_z(rng.normal(0, 0.5)) @ thing.rotation
            support = layout.footprint(thing.pooled.vertices_m, rotation)[0]
            limit = np.array(self._table_half_m) - support.max() - 0.005
            step = rng.normal(0, 0.02 if rng.random() < 0.5 else 0.12, 2)
            others = self._footprints(placed, thing)
            if not layout.clear(support, thing.xy_m, others, 0.0):
                continue
            goal = np.clip(thing.xy_m + step, -limit, limit)
            thing.xy_m = layout.slide_until_touching(support, thing.xy_m, goal, others)
            thing.rotation = rotation

    def _pose(self, placed: list[_Placed], frame: int) -> None:
        quaternion = np.zeros(4)
        for thing in placed:
            mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(thing.rotation).ravel())
            body = thing.pooled.body
            self._model.body_quat[body] = quaternion
            self._model.body_pos[body] = (*thing.xy_m, thing.base_z_m)
            self._model.geom_group[thing.pooled.geom] = SHOWN if thing.present[frame] else HIDDEN

    def _swing(self, rng: np.random.Generator, placed: list[_Placed], viewpoint: Viewpoint, base: np.ndarray) -> None:
        """Puts the hand somewhere: over the table, or between the camera and an object."""
        if rng.random() < 0.45:
            thing = placed[int(rng.integers(len(placed)))]
            share = rng.uniform(0.08, 0.35)
            target = np.array([*thing.xy_m, 0.05]) * (1 - share) + share * viewpoint.position_m
            target[:2] += rng.normal(0, 0.02, 2)
            target[2] = max(target[2] - 0.05, 0.14)
        else:
            target = np.array([*rng.uniform(-0.4, 0.4, 2), rng.uniform(0.13, 0.45)])
        pitch = np.pi - abs(rng.normal(0, 0.35))
        self._data.qpos[self._arm_joints] = reach(target, base, pitch)
