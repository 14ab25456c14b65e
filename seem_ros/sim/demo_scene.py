# SPDX-License-Identifier: Apache-2.0
"""The scene and the script of the recorded demonstration: a red mug that gets hidden, twins, a push and a fall."""

from __future__ import annotations

import numpy as np

from seem_ros.sim.scene.spec import ObjectSpec, SceneSpec
from seem_ros.sim.scene.viewpoint import Viewpoint
from seem_ros.sim.scripted_motion import Event, Story, Waypoint, hiding_path, park_tip, pushing_path
from seem_ros.sim.world import World

SECONDS = 12.0
RED_MUG, TWIN, FALLING = 1, 2, 8


def demo_scene(seed: int, height_px: int, width_px: int) -> SceneSpec:
    """Returns the scene: the same objects for every seed, other proportions, textures and light."""
    objects = (
        ObjectSpec("mug", "red", None, "plain", (0.03, 0.00), lying=False),
        ObjectSpec("cylinder", "yellow", None, "plain", (-0.19, -0.03), lying=False),
        ObjectSpec("cylinder", "yellow", None, "plain", (-0.06, -0.17), lying=False),
        ObjectSpec("bowl", "blue", "small", "plain", (0.20, -0.13)),
        ObjectSpec("cone", "orange", None, "plain", (0.22, 0.08), lying=False),
        ObjectSpec("star", "blue", None, "plain", (-0.26, 0.13), lying=False),
        ObjectSpec("bottle", "black", "small", "plain", (-0.10, 0.16), lying=False),
        ObjectSpec("box", "green", "small", "plain", (0.10, 0.19), drop_height_m=1.6),
    )
    view = Viewpoint(np.array([0.0, 0.0, 0.03]), -np.pi / 2 + 0.08, np.radians(40), 0.86, 0.0, 42.0)
    return SceneSpec(
        objects=objects,
        seed=seed,
        height_px=height_px,
        width_px=width_px,
        viewpoint=view,
        with_arm=True,
        arm_base_m=(0.02, 0.46, 0.0),
        shadows=True,
    )


def demo_story(world: World) -> Story:
    """Returns the script: 1 s of rest, the mug hidden for a second, a twin pushed, a box falls, the camera walks."""
    hide = hiding_path(world, RED_MUG, 1.6, 1.0, side=-1, move_s=0.9)
    push = pushing_path(world, TWIN, hide[-1].time_s + 1.2, np.array([-1.0, -0.2]), length_m=0.11, push_s=1.2)
    end = Waypoint(push[-1].time_s + 1.2, park_tip(world))
    rest = (Waypoint(0.0, park_tip(world)), Waypoint(0.8, park_tip(world)))
    return Story((*rest, *hide, *push, end), (Event(end.time_s + 0.2, FALLING),), 0.02, RED_MUG)
