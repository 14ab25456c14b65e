# SPDX-License-Identifier: Apache-2.0
"""Where the camera stands: drawing a viewpoint, moving it a little or a lot, and pinhole intrinsics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seem_ros.sim.mujoco_import import mujoco


@dataclass(frozen=True)
class Viewpoint:
    """A camera that looks at a point.

    Attributes:
        target_m: float [3], world frame.
        azimuth: angle of the camera around the target, radians; -pi/2 stands at negative y.
        elevation: height angle, radians.
        distance_m: from target to camera.
        roll: rotation about the optical axis, radians.
        fovy_deg: vertical field of view.
    """

    target_m: np.ndarray
    azimuth: float
    elevation: float
    distance_m: float
    roll: float = 0.0
    fovy_deg: float = 45.0

    @property
    def position_m(self) -> np.ndarray:
        """Returns the camera's position, float64 [3], world frame."""
        level = np.cos(self.elevation)
        return self.target_m + self.distance_m * np.array(
            [level * np.cos(self.azimuth), level * np.sin(self.azimuth), np.sin(self.elevation)]
        )

    @property
    def rotation(self) -> np.ndarray:
        """Returns the 3x3 rotation from MuJoCo's camera frame (x right, y up, looking along -z) to the world."""
        back = (self.position_m - self.target_m) / self.distance_m
        right = np.cross([0, 0, 1.0], back)
        right /= np.linalg.norm(right)
        up = np.cross(back, right)
        c, s = np.cos(self.roll), np.sin(self.roll)
        return np.stack([c * right + s * up, c * up - s * right, back], axis=1)

    def apply(self, model: mujoco.MjModel) -> None:
        """Moves the model's camera here."""
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(self.rotation).ravel())
        model.cam_pos[0], model.cam_quat[0], model.cam_fovy[0] = self.position_m, quaternion, self.fovy_deg


def draw_viewpoint(rng: np.random.Generator, centre_xy_m: np.ndarray) -> Viewpoint:
    """Draws a viewpoint from which a table scene around a centre fills the picture."""
    fovy = rng.uniform(36, 58)
    reach = rng.uniform(0.27, 0.48)  # half of the height of the slice of world seen at the target, metres
    distance = reach / np.tan(np.radians(fovy / 2))
    target = np.array([*(centre_xy_m + rng.normal(0, 0.04, 2)), rng.uniform(0.0, 0.06)])
    return Viewpoint(
        target, -np.pi / 2 + rng.normal(0, 0.5), np.radians(rng.uniform(22, 68)), distance, rng.normal(0, 0.03), fovy
    )


def move_viewpoint(rng: np.random.Generator, view: Viewpoint) -> Viewpoint:
    """Moves a viewpoint: not at all (3 in 10), a little (4 in 10) or a lot (3 in 10)."""
    kind = rng.random()
    if kind < 0.3:
        return view
    amount = 0.25 if kind < 0.7 else 1.0
    return Viewpoint(
        view.target_m + np.array([*rng.normal(0, 0.05 * amount, 2), 0]),
        view.azimuth + rng.normal(0, 0.45 * amount),
        float(np.clip(view.elevation + rng.normal(0, 0.15 * amount), np.radians(20), np.radians(75))),
        view.distance_m * float(np.exp(rng.normal(0, 0.14 * amount))),
        view.roll,
        view.fovy_deg,
    )


def intrinsics(height_px: int, width_px: int, fovy_deg: float) -> np.ndarray:
    """Returns the pinhole matrix, float64 [3, 3], for pixel centres at whole numbers (as ROS and OpenCV count)."""
    focal = 0.5 * height_px / np.tan(np.radians(fovy_deg) / 2)
    return np.array([[focal, 0, (width_px - 1) / 2], [0, focal, (height_px - 1) / 2], [0, 0, 1.0]])
