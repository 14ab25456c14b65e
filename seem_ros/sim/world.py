# SPDX-License-Identifier: Apache-2.0
"""The tabletop world: a scene that is stepped by physics and photographed with ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.ground_truth import RenderedFrame, TrueInstance
from seem_ros.sim.mujoco_import import mujoco
from seem_ros.sim.render import Camera
from seem_ros.sim.scene import layout
from seem_ros.sim.scene.appearance import add_room_materials, arm_colour, dress_room, light_scene
from seem_ros.sim.scene.arm import JOINTS, add_arm, reach
from seem_ros.sim.scene.collision_shapes import add_solid
from seem_ros.sim.scene.mesh_files import SHIPPED, read_thing, with_uv
from seem_ros.sim.scene.meshes import make_mesh
from seem_ros.sim.scene.room import SHOWN, SURFACES, add_material, add_mesh, add_room, new_spec
from seem_ros.sim.scene.spec import ObjectSpec, SceneSpec
from seem_ros.sim.scene.textures import pattern
from seem_ros.sim.scene.viewpoint import Viewpoint, intrinsics
from seem_ros.sim.vocabulary import COLOUR_RGB, SHAPES, SIZE_SCALE, STUFF

_TABLE_HALF_M = (0.62, 0.52)
_SETTLE_S = 0.5
_SPREAD_M = (0.27, 0.17)


class World:
    """One simulated tabletop. Blocking and single-threaded: use it from the thread that made it, and close it.

    Args:
        scene: what to build.

    Raises:
        DataError: the objects do not fit on the table, or there is no OpenGL.
    """

    def __init__(self, scene: SceneSpec) -> None:
        self.scene = scene
        self.viewpoint: Viewpoint = scene.viewpoint
        rng = np.random.default_rng((scene.seed, 23))
        spec = new_spec(scene.height_px, scene.width_px, samples=4, shadow_px=1024)
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        add_room(spec, _TABLE_HALF_M, solid=True)
        add_room_materials(spec, rng)
        if scene.with_arm:
            add_material(spec, "arm", None, rgba=(*arm_colour(rng), 1))
            add_arm(spec, thickness=1.2, solid=True, opening_m=0.012)
            spec.body("arm").pos = scene.arm_base_m
        meshes = scene.meshes or SHIPPED
        shapes = [self._add_object(spec, number, thing, rng, meshes) for number, thing in enumerate(scene.objects, 1)]
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._bodies = {number: self._model.body(f"object {number}").id for number in range(1, len(shapes) + 1)}
        self.instances = self._describe()
        self._held: dict[int, np.ndarray] = {}
        self._place(shapes, rng)
        dress_room(self._model, rng, self._stuff_geoms())
        light_scene(self._model, rng)
        self._frame = 0
        self._due_s = self._began_s = 0.0
        self._camera = Camera(self._model, self._ids_of_geoms())
        try:
            if scene.with_arm:
                self._reset_arm()
            self.step(_SETTLE_S)
            self._began_s = self._due_s
        except BaseException:
            self._camera.close()
            raise

    def close(self) -> None:
        """Frees the GL context."""
        self._camera.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Acting -----------------------------------------------------------------------------------------------------

    @property
    def time_s(self) -> float:
        """Simulated seconds since the objects had settled."""
        return self._due_s - self._began_s

    def step(self, seconds: float, tip_m: np.ndarray | None = None, pitch: float = np.pi) -> None:
        """Lets time pass, the hand moving evenly towards a goal.

        Args:
            seconds: at least one time step of 4 ms, at most 60 s.
            tip_m: float [3] where the finger tips shall be in the end (world frame); None keeps the arm's goal.
            pitch: the hand's direction, pi is straight down.

        Raises:
            DataError: the duration is out of range, the goal is not finite, or there is no arm.
        """
        if not self._model.opt.timestep <= seconds <= 60:
            raise DataError(f"a step lasts from {self._model.opt.timestep} to 60 s, got {seconds}")
        start = self._data.ctrl.copy()
        goal = start if tip_m is None else self._joints(tip_m, pitch)
        self._due_s += seconds  # what does not fit whole time steps is carried over, so frames keep their rate
        count = max(1, round((self._due_s - self._data.time) / self._model.opt.timestep))
        for index in range(1, count + 1):
            self._data.ctrl[:] = start + (goal - start) * (index / count)
            self._hold()
            mujoco.mj_step(self._model, self._data)

    def push(self, object_id: int, velocity_m_s: np.ndarray | tuple[float, float, float]) -> None:
        """Gives an object a velocity, float [3] in the world frame, as if it had been knocked.

        Raises:
            DataError: unknown id or a velocity that is not finite.
        """
        velocity = np.asarray(velocity_m_s, float)
        if velocity.shape != (3,) or not np.all(np.isfinite(velocity)):
            raise DataError(f"a velocity is three finite numbers in m/s, got {velocity_m_s}")
        self._data.qvel[self._speed_index(object_id) :][:3] = velocity

    def release(self, object_id: int) -> None:
        """Lets an object fall that was described with a drop height (no effect when it has fallen already)."""
        self._body(object_id)
        self._held.pop(object_id, None)

    def drop(self, object_id: int, xy_m: tuple[float, float], height_m: float = 0.2) -> None:
        """Takes an object from wherever it is and lets it fall above a place on the table.

        Raises:
            DataError: unknown id, or a place that is off the table or not between 0 and 2 m high.
        """
        index = self._speed_index(object_id)
        if not (np.all(np.abs(np.asarray(xy_m, float)) <= _TABLE_HALF_M) and 0 <= height_m <= 2):
            raise DataError(
                f"objects are dropped on the table (|x|, |y| up to {_TABLE_HALF_M} m, 0 to 2 m high), "
                f"got {xy_m} and {height_m}"
            )
        joint = self._model.joint(f"object {object_id}").qposadr[0]
        self._data.qpos[joint : joint + 3] = (*xy_m, height_m)
        self._data.qvel[index : index + 6] = 0
        self._held.pop(object_id, None)

    def position_m(self, object_id: int) -> np.ndarray:
        """Returns the middle of an object's bounding box as it stands now, float64 [3], world frame."""
        body = self._body(object_id)
        return self._data.xpos[body] + self._data.xmat[body].reshape(3, 3) @ self._middles[object_id]

    def extent_m(self, object_id: int) -> float:
        """Returns the radius of the ball around an object's bounding box, metres."""
        self._body(object_id)
        return self._extents[object_id]

    def tip_m(self) -> np.ndarray:
        """Returns where the finger tips are, float64 [3], world frame. Raises DataError when there is no arm."""
        self._need_arm()
        hand = self._model.body("arm hand").id
        return self._data.xpos[hand] + self._data.xmat[hand].reshape(3, 3) @ [0, 0, 0.15]

    # Seeing -----------------------------------------------------------------------------------------------------

    def render(self) -> RenderedFrame:
        """Takes a picture from `viewpoint` at the present moment and counts it."""
        mujoco.mj_forward(self._model, self._data)
        self.viewpoint.apply(self._model)
        mujoco.mj_camlight(self._model, self._data)
        rgb, ids, depth_m = self._camera.shoot(self._data, shadows=self.scene.shadows, with_depth=True)
        assert depth_m is not None, "asked for with_depth"
        height_px, width_px = ids.shape
        frame = RenderedFrame(
            index=self._frame,
            stamp_ns=round(self.time_s * 1e9),
            rgb=rgb,
            ids=ids,
            depth_m=depth_m,
            intrinsics=intrinsics(height_px, width_px, self.viewpoint.fovy_deg),
            world_from_camera=self._camera_pose(),
            world_from_object={number: self._pose(body) for number, body in self._bodies.items()},
            instances=self.instances,
        )
        self._frame += 1
        return frame

    def _camera_pose(self) -> np.ndarray:
        pose = np.eye(4)
        pose[:3, :3] = self.viewpoint.rotation @ np.diag([1.0, -1.0, -1.0])
        pose[:3, 3] = self.viewpoint.position_m
        return pose

    def _pose(self, body: int) -> np.ndarray:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self._data.xmat[body].reshape(3, 3), self._data.xpos[body]
        return pose

    # Building ---------------------------------------------------------------------------------------------------

    @staticmethod
    def _add_object(
        spec: mujoco.MjSpec, number: int, thing: ObjectSpec, rng: np.random.Generator, meshes: str | Path
    ) -> np.ndarray:
        scale = rng.uniform(*SIZE_SCALE[thing.size])
        mesh = (
            make_mesh(thing.shape, rng, scale)
            if thing.shape in SHAPES
            else with_uv(read_thing(thing.shape, meshes).whole, rng, scale)
        )
        name = f"object {number}"
        add_mesh(spec, name, mesh)
        tone = rng.uniform(0.92, 1.0, 3)
        if thing.pattern == "plain":
            add_material(spec, name, None, rgba=(*(np.array(COLOUR_RGB[thing.colour]) * tone), 1))
        else:
            add_material(spec, name, pattern(thing.pattern, thing.colour, rng), rgba=(*tone, 1))
        body = spec.worldbody.add_body(name=name)
        body.add_freejoint(name=name)
        body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=name,
            material=name,
            group=SHOWN,
            contype=0,
            conaffinity=0,
            mass=0,
        )
        add_solid(body, thing.shape, mesh.vertices_m, name)
        return mesh.vertices_m

    def _describe(self) -> tuple[TrueInstance, ...]:
        things = [
            TrueInstance.thing(number, thing.shape, thing.colour, thing.size, thing.pattern)
            for number, thing in enumerate(self.scene.objects, 1)
        ]
        return (*things, *(TrueInstance.stuff(number, name) for number, name in enumerate(STUFF, len(things) + 1)))

    def _stuff_geoms(self) -> dict[str, np.ndarray]:
        words = [self._model.geom(index).name.split(" ")[0] for index in range(self._model.ngeom)]
        return {
            stuff: np.array([index for index, word in enumerate(words) if word == start], int)
            for stuff, start in zip(STUFF, (*SURFACES, "arm"), strict=True)
        }

    def _ids_of_geoms(self) -> np.ndarray:
        ids = np.zeros(self._model.ngeom, int)
        for number in self._bodies:
            ids[self._model.geom(f"object {number}").id] = number
        for number, name in enumerate(STUFF, len(self._bodies) + 1):
            ids[self._stuff_geoms()[name]] = number
        return ids

    def _place(self, shapes: list[np.ndarray], rng: np.random.Generator) -> None:
        """Puts every object where the scene says or where there is room, fixed places first."""
        self._middles: dict[int, np.ndarray] = {}
        self._extents: dict[int, float] = {}
        taken: list[tuple[np.ndarray, np.ndarray]] = []
        order = sorted(range(len(shapes)), key=lambda index: self.scene.objects[index].xy_m is None)
        for index in order:
            thing, vertices, number = self.scene.objects[index], shapes[index], index + 1
            low, high = vertices.min(0), vertices.max(0)
            self._middles[number], self._extents[number] = (low + high) / 2, float(np.linalg.norm(high - low) / 2)
            rest = layout.rest_rotation(thing.shape, vertices, rng, thing.lying)
            rotation = layout.turn_z(rng.uniform(0, 2 * np.pi)) @ rest
            support, bottom, _ = layout.footprint(vertices, rotation)
            xy = self._find_place(thing, support, taken, rng)
            taken.append((support, xy))
            joint = self._model.joint(f"object {number}").qposadr[0]
            quaternion = np.zeros(4)
            mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
            pose = np.array([*xy, thing.drop_height_m - bottom + 0.001, *quaternion])
            self._data.qpos[joint : joint + 7] = pose
            if thing.drop_height_m > 0:
                self._held[number] = pose

    def _find_place(
        self,
        thing: ObjectSpec,
        support: np.ndarray,
        taken: list[tuple[np.ndarray, np.ndarray]],
        rng: np.random.Generator,
    ) -> np.ndarray:
        if thing.xy_m is not None:
            xy = np.array(thing.xy_m, float)
            if np.any(np.abs(xy) > np.array(_TABLE_HALF_M)):
                raise DataError(
                    f"{thing.colour} {thing.shape} at {thing.xy_m} is off the table, which reaches to {_TABLE_HALF_M} m"
                )
            return xy
        base = np.array(self.scene.arm_base_m[:2])
        for _ in range(400):
            xy = rng.uniform(-1, 1, 2) * _SPREAD_M
            near_arm = self.scene.with_arm and np.linalg.norm(xy - base) < 0.17
            if not near_arm and layout.clear(support, xy, taken, 0.008):
                return xy
        raise DataError(f"no room for {len(self.scene.objects)} objects on the table: describe fewer or smaller ones")

    # Arm and bookkeeping ----------------------------------------------------------------------------------------

    def _need_arm(self) -> None:
        if not self.scene.with_arm:
            raise DataError("this scene has no arm: describe it with with_arm=True")

    def _joints(self, tip_m: np.ndarray, pitch: float) -> np.ndarray:
        self._need_arm()
        tip = np.asarray(tip_m, float)
        if tip.shape != (3,) or not np.all(np.isfinite(tip)):
            raise DataError(f"a goal for the hand is three finite numbers in metres, got {tip_m}")
        joints = reach(tip, np.array(self.scene.arm_base_m), pitch)
        joints[0] += 2 * np.pi * np.round((self._data.ctrl[0] - joints[0]) / (2 * np.pi))
        return joints

    def _reset_arm(self) -> None:
        """Parks the hand above its base, out of the way."""
        base = np.array(self.scene.arm_base_m)
        joints = reach(base + [0.0, -0.22, 0.52], base, np.pi * 0.8)
        for name, angle in zip(JOINTS, joints, strict=True):
            self._data.qpos[self._model.joint(name).qposadr[0]] = angle
        self._data.ctrl[:] = joints

    def _body(self, object_id: int) -> int:
        if object_id not in self._bodies:
            raise DataError(f"no object {object_id}; this scene has objects 1 to {len(self._bodies)}")
        return self._bodies[object_id]

    def _speed_index(self, object_id: int) -> int:
        self._body(object_id)
        return int(self._model.joint(f"object {object_id}").dofadr[0])

    def _hold(self) -> None:
        for number, pose in self._held.items():
            joint = self._model.joint(f"object {number}").qposadr[0]
            self._data.qpos[joint : joint + 7] = pose
            self._data.qvel[self._speed_index(number) :][:6] = 0
