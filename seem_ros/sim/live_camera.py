# SPDX-License-Identifier: Apache-2.0
"""An endless camera on the tabletop: one story after another, fallen objects put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.ground_truth import RenderedFrame, TrueInstance
from seem_ros.sim.scene.spec import SceneSpec, random_scene
from seem_ros.sim.scripted_motion import Story, Waypoint, arm_story, park_tip, play
from seem_ros.sim.world import World

_STORY_S = 5.0
_MOST_TURN = 0.35  # radians that the camera may walk away from where it began


class TabletopCamera:
    """Gives frame after frame of a living tabletop, as fast as they are asked for.

    Blocking and single-threaded: `read` must be called from the thread that made the camera (it owns a GL context).
    Every `read` advances the simulated time by 1 / rate_hz, whatever the wall clock says.

    Args:
        seed: draws the scene and all that happens.
        height_px, width_px: size of the pictures.
        rate_hz: frames per second of simulated time, 1 to 120.
        scene: a scene of one's own instead of a drawn one (its own picture size and seed then count).

    Raises:
        DataError: no OpenGL, or an argument out of range.
    """

    def __init__(
        self,
        seed: int = 7,
        *,
        height_px: int = 240,
        width_px: int = 320,
        rate_hz: float = 15.0,
        scene: SceneSpec | None = None,
    ) -> None:
        if not 1 <= rate_hz <= 120:
            raise DataError(f"the rate is 1 to 120 frames per second, got {rate_hz}")
        self.rate_hz = float(rate_hz)
        self._world = World(scene or random_scene(seed, height_px=height_px, width_px=width_px))
        self._rng = np.random.default_rng((abs(seed), 41))
        self._frames = self._run()

    @property
    def instances(self) -> tuple[TrueInstance, ...]:
        """Everything that can appear, with ids and names; constant for the camera's life."""
        return self._world.instances

    def read(self) -> RenderedFrame:
        """Returns the next frame; there is always one."""
        return next(self._frames)

    def close(self) -> None:
        """Frees the GL context."""
        self._world.close()

    def __enter__(self) -> TabletopCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> Iterator[RenderedFrame]:
        world, home = self._world, self._world.viewpoint.azimuth
        frame = world.render()
        yield frame
        while True:
            story, seconds = self._next_story(frame)
            outward = world.viewpoint.azimuth - home
            orbit = self._rng.uniform(0, 0.05) * (1 if self._rng.random() < 0.5 else -1)
            if abs(outward) > _MOST_TURN:
                orbit = -np.sign(outward) * abs(orbit)
            for frame in play(
                world,
                replace(story, orbit_rad_s=float(orbit)),
                round(seconds * self.rate_hz),
                self.rate_hz,
                first=False,
            ):
                yield frame
            self._tidy(frame)

    def _next_story(self, frame: RenderedFrame) -> tuple[Story, float]:
        world = self._world
        if not world.scene.with_arm:
            return Story(), _STORY_S
        try:
            story = arm_story(world, frame, self._rng, _STORY_S)
        except DataError:  # nothing well visible at the moment: wait in the parked pose, then look again
            return Story((Waypoint(0.0, park_tip(world)),)), 1.0
        return story, story.waypoints[-1].time_s + 0.3

    def _tidy(self, frame: RenderedFrame) -> None:
        """Drops what fell off the table, or was pushed out of the picture, back near the middle."""
        seen = np.bincount(frame.ids.ravel(), minlength=256)
        for item in self.instances:
            if item.isthing and (self._world.position_m(item.id)[2] < -0.02 or seen[item.id] == 0):
                self._world.drop(item.id, tuple(self._rng.uniform([-0.2, -0.15], [0.2, 0.1])), 0.25)
