# SPDX-License-Identifier: Apache-2.0
"""Piles and totes of things, dropped by physics and seen from above: what a robot that picks has before it.

One compiled stage holds a pool of things; a pile is a handful of them that fell and settled. Settling costs most of
the time, so each pile is painted, lit and photographed several times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.clutter.viewpoints import draw_view, move_view
from seem_ros.sim.mujoco_import import mujoco
from seem_ros.sim.render import Camera
from seem_ros.sim.scene.appearance import add_room_materials, dress_room, light_scene
from seem_ros.sim.scene.mesh_files import ThingMesh, with_uv
from seem_ros.sim.scene.meshes import make_mesh
from seem_ros.sim.scene.room import HIDDEN, SHOWN, SURFACES, add_material, add_mesh, add_room, new_spec
from seem_ros.sim.scene.textures import pattern, surface
from seem_ros.sim.vocabulary import COLOUR_RGB, COLOURS, HELD_OUT_PAIRS, PATTERNS, SHAPES, TOTE, full_name, stuff_record

#: Things and solids of a stage: more than a pile takes, so that its piles differ.
_POOL, _SOLIDS = 26, 8
_PICTURES = 28
#: Corners of a thing's convex hull in physics; more cost time and change no pile that one could see.
_HULL_VERTICES = 40
_ATTEMPTS, _LEAST_THINGS = 20, 4
#: Further waits of 0.2 s for a pile that still moves faster than this.
_PATIENCE, _STILL_M_S = 4, 0.03
_FAR_BELOW_M, _FAR_ABOVE_M = -60.0, 300.0
_WALL_M = 0.006


@dataclass
class _Pooled:
    """One thing of the pool: what is fixed when the stage is compiled."""

    body: int
    geoms: tuple[int, ...]
    name: str
    size: str | None
    qpos: int
    dof: int
    radius_m: float


class ClutterStage:
    """A compiled stage. Use as a context manager: it owns a GL context.

    Args:
        rng: draws the pool, the textures, the tote and the room.
        things: meshes to draw from.
        pictures: uint8 [h, w, 3] RGB textures to draw from; without any, painted ones serve.
        height_px: picture height.
        width_px: picture width.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        things: Sequence[ThingMesh],
        pictures: Sequence[np.ndarray],
        height_px: int,
        width_px: int,
    ) -> None:
        spec = new_spec(height_px, width_px, samples=4 if rng.random() < 0.6 else 2, shadow_px=768)
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.option.timestep = 0.005
        spec.option.iterations = 12
        half_m = tuple(rng.uniform([0.5, 0.45], [0.8, 0.7]))
        add_room(spec, half_m, solid=True)
        add_room_materials(spec, rng)
        self._add_tote(spec, rng)
        names = self._add_pool(spec, rng, things)
        for colour in COLOURS:
            add_material(spec, f"{colour} plain", None)
            for kind in PATTERNS[1:]:
                add_material(spec, f"{colour} {kind}", pattern(kind, colour, rng))
        for index in range(_PICTURES):
            add_material(spec, f"picture {index}", self._picture(rng, pictures))
        self._model = model = spec.compile()
        self._data = mujoco.MjData(model)
        self._pool = [self._pooled(*name) for name in names]
        words = [(model.geom(index).name or " ").split(" ")[0] for index in range(model.ngeom)]
        self._stuff = {
            word: np.array([index for index, start in enumerate(words) if start == word], int)
            for word in (*SURFACES, TOTE)
        }
        self._tote_geoms, self._tote_body = self._stuff[TOTE], model.body(TOTE).id
        for thing in self._pool:  # linear damping bounds the fall; tumbling must stay free
            model.dof_damping[thing.dof : thing.dof + 3] = 0.35
            model.dof_damping[thing.dof + 3 : thing.dof + 6] = 4e-5
        self._camera = Camera(model, np.zeros(model.ngeom, int))
        self._chosen: list[_Pooled] = []
        self._in_tote = False
        self._rest: tuple[np.ndarray, np.ndarray] | None = None

    def close(self) -> None:
        """Frees the GL context."""
        self._camera.close()

    def __enter__(self) -> ClutterStage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Building ---------------------------------------------------------------------------------------------------

    @staticmethod
    def _picture(rng: np.random.Generator, pictures: Sequence[np.ndarray]) -> np.ndarray:
        if not pictures or rng.random() < 0.15:
            kind = ("noise", "wood", "tiles", "speckle")[int(rng.integers(4))]
            return surface(kind, rng, rng.uniform(0.1, 0.95, 3), side_px=64)
        return pictures[int(rng.integers(len(pictures)))]

    def _add_tote(self, spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
        self._tote_half_m = x, y = rng.uniform([0.13, 0.10], [0.22, 0.17])
        self._tote_height_m = height = rng.uniform(0.06, 0.20)
        body = spec.worldbody.add_body(name=TOTE)
        box = mujoco.mjtGeom.mjGEOM_BOX
        walls = [("floor", [x, y, _WALL_M / 2], [0, 0, _WALL_M / 2])]
        for sign in (-1, 1):
            walls += [
                (f"x {sign}", [_WALL_M / 2, y, height / 2], [sign * x, 0, height / 2]),
                (f"y {sign}", [x, _WALL_M / 2, height / 2], [0, sign * y, height / 2]),
            ]
        for name, size, pos in walls:
            body.add_geom(name=f"{TOTE} {name}", type=box, size=size, pos=pos, group=SHOWN, contype=1, conaffinity=3)
            # A thicker unseen wall behind it keeps fast things inside.
            if name != "floor":
                out = np.sign(pos) * np.array([1.0, 1.0, 0])
                body.add_geom(
                    type=box,
                    size=[*np.maximum(size[:2], 0.02), height],
                    group=HIDDEN,
                    contype=1,
                    conaffinity=3,
                    pos=np.array(pos) + out * (0.02 - _WALL_M / 2) + [0, 0, height / 2],
                    name=f"guard {name}",
                )

    def _add_pool(self, spec: mujoco.MjSpec, rng: np.random.Generator, things: Sequence[ThingMesh]) -> list[tuple]:
        names = []
        order = [int(index) for index in rng.permutation(len(things))]
        while len(order) < _POOL - _SOLIDS:
            order += [int(rng.integers(len(things)))]
        picks: list[ThingMesh | str] = [things[index] for index in order[: _POOL - _SOLIDS]]
        if rng.random() < 0.4:  # several of one kind: neighbours that only their edges tell apart
            for place in range(int(rng.integers(3, 8))):
                picks[place + 1] = picks[0]
        picks += [SHAPES[int(rng.integers(len(SHAPES)))] for _ in range(_SOLIDS)]
        for number, pick in enumerate(picks):
            scale = rng.uniform(0.8, 1.2)
            if isinstance(pick, ThingMesh):
                name, parts = pick.name, [with_uv(part, rng, scale) for part in pick.parts]
                whole = with_uv(pick.whole, rng, scale)
            else:
                name, whole = pick, make_mesh(pick, rng, scale)
                parts = [whole]
            label = f"thing {number}"
            body = spec.worldbody.add_body(name=label)
            body.add_freejoint(name=label)
            add_mesh(spec, f"{label} hull", whole).maxhullvert = _HULL_VERTICES
            body.add_geom(
                name=f"hull {number}",
                type=mujoco.mjtGeom.mjGEOM_MESH,
                meshname=f"{label} hull",
                group=HIDDEN,
                contype=1,
                conaffinity=3,
                mass=0.12,
                friction=[0.6, 0.01, 0.002],
                condim=3,
            )
            for index, part in enumerate(parts):
                mesh = f"{label} hull" if part is whole or len(parts) == 1 else f"{label} part {index}"
                if mesh.endswith(f"part {index}"):
                    add_mesh(spec, mesh, part)
                body.add_geom(
                    name=f"{label} {index}",
                    type=mujoco.mjtGeom.mjGEOM_MESH,
                    meshname=mesh,
                    contype=0,
                    conaffinity=0,
                    mass=0,
                    group=HIDDEN,
                )
            names.append((number, name, len(parts), float(np.linalg.norm(np.ptp(whole.vertices_m, axis=0)) / 2)))
        return names

    def _pooled(self, number: int, name: str, parts: int, radius_m: float) -> _Pooled:
        model, label = self._model, f"thing {number}"
        joint = model.joint(label)
        return _Pooled(
            model.body(label).id,
            tuple(model.geom(f"{label} {i}").id for i in range(parts)),
            name,
            None,
            int(joint.qposadr[0]),
            int(joint.dofadr[0]),
            radius_m,
        )

    # Piles ------------------------------------------------------------------------------------------------------

    def settle(self, rng: np.random.Generator) -> None:
        """Drops a new pile and waits until it lies still.

        Raises:
            DataError: again and again next to nothing stayed on the table.
        """
        for _ in range(_ATTEMPTS):
            self._drop(rng)
            if len(self._chosen) >= _LEAST_THINGS:
                return
        raise DataError(f"no pile of {_LEAST_THINGS} things stays on the table: are the meshes larger than 0.3 m?")

    def _drop(self, rng: np.random.Generator) -> None:
        model, data = self._model, self._data
        self._in_tote = bool(rng.random() < 0.6)
        model.body_pos[self._tote_body] = (0, 0, 0) if self._in_tote else (0, 0, _FAR_BELOW_M)
        count = int(rng.integers(5, 21))
        self._chosen = [self._pool[index] for index in rng.permutation(len(self._pool))[:count]]
        mujoco.mj_resetData(model, data)
        spread = np.array(self._tote_half_m) * 0.45 if self._in_tote else rng.uniform(0.05, 0.14, 2)
        for thing in self._pool:
            self._take_away(thing)
        height = 0.10 + (self._tote_height_m if self._in_tote else 0.0)
        for thing in self._chosen:
            quaternion = rng.normal(size=4)
            if rng.random() < 0.35:  # many things stand or lie as they were made
                quaternion = np.array([1.0, 0, 0, rng.normal()])
            height += 0.5 * thing.radius_m  # apart from the one before: overlap would blow the pile up
            xy = np.clip(rng.normal(0, 1, 2), -1.6, 1.6) * spread
            data.qpos[thing.qpos : thing.qpos + 7] = (*xy, height, *(quaternion / np.linalg.norm(quaternion)))
            height += rng.uniform(0.3, 0.6) * thing.radius_m
        mujoco.mj_step(model, data, round((0.9 + 0.55 * height) / model.opt.timestep))
        for _ in range(_PATIENCE):
            speed = max(np.abs(data.qvel[thing.dof : thing.dof + 3]).max() for thing in self._chosen)
            if speed < _STILL_M_S:
                break
            mujoco.mj_step(model, data, 40)
        self._chosen = [thing for thing in self._chosen if -0.02 < data.qpos[thing.qpos + 2] < 0.6]
        self._rest = (data.qpos.copy(), data.qvel.copy())

    def _take_away(self, thing: _Pooled) -> None:
        """Puts a thing where it falls without meeting anything, and out of sight; below the floor it would meet it."""
        self._data.qpos[thing.qpos + 2] = _FAR_ABOVE_M + 4 * thing.body

    # Pictures ---------------------------------------------------------------------------------------------------

    def render_clip(self, rng: np.random.Generator, rgb: np.ndarray, ids: np.ndarray) -> dict:
        """Paints the present pile anew and renders a clip of it.

        Args:
            rng: draws everything about the clip.
            rgb: uint8 [T, H, W, 3], filled in.
            ids: uint8 [T, H, W], filled in: 0 nothing, else the id of an instance in the record.

        Returns:
            {"instances": [...]}: id, shape, colour (None where no colour word fits), size, pattern, name, name_full,
            isthing.

        Raises:
            DataError: no pile was settled.
        """
        if self._rest is None:
            raise DataError("there is no pile to render: settle one first")
        model, data = self._model, self._data
        dress_room(model, rng, {word: self._stuff[word] for word in SURFACES})
        if rng.random() < 0.5:
            model.geom_matid[self._stuff["table"]] = self._any_picture(rng)
        light_scene(model, rng)
        self._paint_tote(rng)
        records = self._paint(rng)
        shadows = rng.random() < 0.6
        data.qpos[:], data.qvel[:] = self._rest
        middle = np.median([data.qpos[thing.qpos : thing.qpos + 2] for thing in self._chosen], axis=0)
        view = draw_view(rng, middle)
        for frame in range(len(rgb)):
            if frame:
                self._disturb(rng)
                view = move_view(rng, view)
            view.apply(model)
            mujoco.mj_forward(model, data)
            rgb[frame], ids[frame], _ = self._camera.shoot(data, shadows=shadows)
        return {"instances": records}

    def _any_picture(self, rng: np.random.Generator) -> int:
        return self._model.material(f"picture {int(rng.integers(_PICTURES))}").id

    def _paint_tote(self, rng: np.random.Generator) -> None:
        model = self._model
        model.geom_matid[self._tote_geoms] = -1 if rng.random() < 0.75 else self._any_picture(rng)
        grey = rng.uniform(0.05, 0.95)
        tint = rng.normal(0, 0.03 if rng.random() < 0.5 else 0.2, 3)
        model.geom_rgba[self._tote_geoms, :3] = np.clip(grey + tint, 0.02, 0.98)

    def _paint(self, rng: np.random.Generator) -> list[dict]:
        model = self._model
        ids = np.zeros(model.ngeom, np.int32)
        for thing in self._pool:
            model.geom_group[list(thing.geoms)] = HIDDEN
        theme = COLOURS[int(rng.integers(len(COLOURS)))] if rng.random() < 0.25 else None
        style = rng.random()  # share of things that a colour word fits
        records = []
        for number, thing in enumerate(self._chosen, 1):
            model.geom_group[list(thing.geoms)] = SHOWN
            ids[list(thing.geoms)] = number
            allowed = [colour for colour in COLOURS if (colour, thing.name) not in HELD_OUT_PAIRS]
            colour: str | None
            colour = theme if theme in allowed and rng.random() < 0.6 else allowed[int(rng.integers(len(allowed)))]
            kind = PATTERNS[int(rng.choice(4, p=[0.7, 0.12, 0.06, 0.12]))]
            if rng.random() < style:
                for geom in thing.geoms:
                    model.geom_matid[geom] = model.material(f"{colour} {kind}").id
                    base = np.array(COLOUR_RGB[colour]) if kind == "plain" else np.ones(3)
                    model.geom_rgba[geom, :3] = base * rng.uniform(0.88, 1.0, 3)
            else:
                colour, kind = None, "plain"
                for geom in thing.geoms:
                    self._paint_anyhow(rng, geom)
            records.append(self._record(number, thing, colour, kind))
        for number, word in enumerate((*SURFACES, TOTE), len(records) + 1):
            ids[self._stuff[word]] = number
            records.append(stuff_record(number, word))
        self._camera.id_of_geom = ids
        return records

    def _paint_anyhow(self, rng: np.random.Generator, geom: int) -> None:
        """Gives a geom a texture, or the grey, beige or brown of real things: no colour word is promised."""
        model = self._model
        if rng.random() < 0.55:
            model.geom_matid[geom] = self._any_picture(rng)
            model.geom_rgba[geom, :3] = rng.uniform(0.55, 1.0) * rng.uniform(0.75, 1.0, 3)
        else:
            model.geom_matid[geom] = model.material("white plain").id
            model.geom_rgba[geom, :3] = np.clip(rng.uniform(0.04, 0.95) + rng.normal(0, 0.06, 3), 0.02, 0.98)

    @staticmethod
    def _record(number: int, thing: _Pooled, colour: str | None, kind: str) -> dict:
        name = f"{colour} {thing.name}" if colour else thing.name
        full = full_name(thing.name, colour, thing.size, kind) if colour else thing.name
        return {
            "id": number,
            "shape": thing.name,
            "colour": colour,
            "size": thing.size,
            "pattern": kind,
            "name": name,
            "name_full": full,
            "isthing": True,
        }

    # Between frames ---------------------------------------------------------------------------------------------

    def _disturb(self, rng: np.random.Generator) -> None:
        """Takes one or two things out, or knocks some; what lay on them comes down."""
        data, kind = self._data, rng.random()
        if kind < 0.4 or not self._chosen:
            return
        if kind < 0.7:
            top = sorted(self._chosen, key=lambda thing: -data.qpos[thing.qpos + 2])
            for _ in range(int(rng.integers(1, 3))):
                thing = top[int(rng.integers(len(top)))] if rng.random() < 0.3 else top[0]
                self._take_away(thing)
        else:
            for thing in self._chosen:
                if rng.random() < 0.3:
                    data.qvel[thing.dof : thing.dof + 3] += rng.normal(0, 0.35, 3)
                    data.qvel[thing.dof + 3 : thing.dof + 6] += rng.normal(0, 3, 3)
        mujoco.mj_step(self._model, data, 50)
