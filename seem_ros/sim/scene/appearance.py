# SPDX-License-Identifier: Apache-2.0
"""Colours of room and arm, choice of surfaces, and light: what varies a picture without changing its truth."""

from __future__ import annotations

import numpy as np

from seem_ros.sim.mujoco_import import mujoco
from seem_ros.sim.scene.room import add_material
from seem_ros.sim.scene.textures import surface

_KINDS = {
    "table": (("wood", 4), ("plain", 2), ("noise", 2), ("speckle", 1)),
    "floor": (("wood", 2), ("tiles", 3), ("noise", 2), ("plain", 1)),
    "wall": (("plain", 4), ("noise", 2), ("tiles", 1)),
}
_VARIANTS = {"table": 5, "floor": 2, "wall": 2}


def _room_rgb(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Draws a believable base colour: woods are brown to pale, the rest is greyish, seldom strongly coloured."""
    if kind == "wood":
        pale = rng.random()
        return np.array([0.42, 0.27, 0.15]) * (1 - pale) + np.array([0.85, 0.70, 0.50]) * pale
    level = rng.uniform(0.25, 0.92)
    tint = rng.normal(0, 0.04 if rng.random() < 0.7 else 0.14, 3)
    return np.clip(level + tint, 0.08, 0.97)


def add_room_materials(spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
    """Adds a few materials for each surface, named "room table 0" and so on."""
    for place, count in _VARIANTS.items():
        kinds, weights = zip(*_KINDS[place], strict=True)
        for index in range(count):
            kind = kinds[int(rng.choice(len(kinds), p=np.array(weights) / sum(weights)))]
            picture = surface(kind, rng, _room_rgb(rng, kind), side_px=128)
            repeat = {"table": rng.uniform(0.1, 0.3), "floor": rng.uniform(2, 6), "wall": rng.uniform(0.05, 0.2)}[place]
            add_material(spec, f"room {place} {index}", picture, repeat=repeat)


def arm_colour(rng: np.random.Generator) -> np.ndarray:
    """Draws a robot's paint: grey or white mostly, sometimes a strong colour; float64 [3]."""
    if rng.random() < 0.7:
        return np.clip(rng.uniform(0.15, 0.9) + rng.normal(0, 0.02, 3), 0, 1)
    return np.array([(0.95, 0.45, 0.05), (0.9, 0.8, 0.1), (0.15, 0.35, 0.7), (0.8, 0.1, 0.1)])[int(rng.integers(4))]


def dress_room(model: mujoco.MjModel, rng: np.random.Generator, geoms: dict[str, np.ndarray]) -> None:
    """Chooses which of the compiled materials table, floor and walls wear."""
    for place, count in _VARIANTS.items():
        model.geom_matid[geoms[place]] = model.material(f"room {place} {int(rng.integers(count))}").id
        model.geom_rgba[geoms[place], :3] = rng.uniform(0.85, 1.0) + rng.normal(0, 0.015, 3)


def light_scene(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    """Draws directions, strengths and a slight tint of the lights; never so strong a tint that colour names fail."""
    tint = 1 + rng.normal(0, 0.03, 3)
    total = rng.uniform(0.95, 1.35)
    ambient, sun = rng.uniform(0.25, 0.42), rng.uniform(0.25, 0.5)
    rest = max(1.0 - ambient - sun, 0.1)
    head = rng.uniform(0.1, 0.6) * rest
    model.vis.headlight.ambient[:] = total * ambient * tint
    model.vis.headlight.diffuse[:] = total * head * tint
    model.vis.headlight.specular[:] = rng.uniform(0, 0.15)
    tilt, around = rng.uniform(0.1, 0.9), rng.uniform(0, 2 * np.pi)
    direction = np.array([np.sin(tilt) * np.cos(around), np.sin(tilt) * np.sin(around), -np.cos(tilt)])
    model.light_dir[0], model.light_pos[0] = direction, -1.5 * direction
    model.light_diffuse[0] = total * sun * tint
    model.light_specular[0] = rng.uniform(0, 0.3)
    model.light_pos[1] = [*rng.uniform(-0.8, 0.8, 2), rng.uniform(0.9, 1.8)]
    model.light_dir[1] = -model.light_pos[1] / np.linalg.norm(model.light_pos[1])
    model.light_diffuse[1] = total * (rest - head) * 1.4 * tint
    model.light_specular[1] = rng.uniform(0, 0.3)
    model.mat_specular[:] = rng.uniform(0, 0.7)
    model.mat_shininess[:] = rng.uniform(0.1, 0.8)
