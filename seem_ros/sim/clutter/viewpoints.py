# SPDX-License-Identifier: Apache-2.0
"""Where a camera looks at clutter from: above mostly, near or far, sometimes slanting as from a wrist."""

from __future__ import annotations

import numpy as np

from seem_ros.sim.scene.viewpoint import Viewpoint


def draw_view(rng: np.random.Generator, middle_xy_m: np.ndarray) -> Viewpoint:
    """Draws a viewpoint of a pile around a place, float [2], metres."""
    fovy = rng.uniform(38, 70)
    elevation = np.radians(rng.uniform(58, 88) if rng.random() < 0.75 else rng.uniform(35, 60))
    reach = rng.uniform(0.10, 0.30)
    target = np.array([*(middle_xy_m + rng.normal(0, 0.03, 2)), rng.uniform(0.0, 0.06)])
    distance = reach / np.tan(np.radians(fovy / 2))
    return Viewpoint(target, rng.uniform(-np.pi, np.pi), elevation, distance, rng.normal(0, 0.2), fovy)


def move_view(rng: np.random.Generator, view: Viewpoint) -> Viewpoint:
    """Moves a viewpoint: not at all (a quarter of the time), a little, or a lot."""
    kind = rng.random()
    if kind < 0.25:
        return view
    amount = 0.3 if kind < 0.65 else 1.0
    return Viewpoint(
        view.target_m + np.array([*rng.normal(0, 0.035 * amount, 2), 0]),
        view.azimuth + rng.normal(0, 0.5 * amount),
        float(np.clip(view.elevation + rng.normal(0, 0.15 * amount), np.radians(32), np.radians(88))),
        view.distance_m * float(np.exp(rng.normal(0, 0.15 * amount))),
        view.roll,
        view.fovy_deg,
    )
