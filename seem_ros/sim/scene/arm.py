# SPDX-License-Identifier: Apache-2.0
"""A simple robot arm: turning base, shoulder, elbow, wrist and a two-finger hand, with closed-form kinematics."""

from __future__ import annotations

import numpy as np

from seem_ros.sim.mujoco_import import mujoco
from seem_ros.sim.scene.room import SHOWN

UPPER_M, FORE_M, HAND_M, SHOULDER_Z_M = 0.40, 0.38, 0.15, 0.16
_STIFFNESS, _DAMPING = 900.0, 45.0  # N m / rad and N m s / rad: follows a path with about 0.05 s of lag
JOINTS = ("arm yaw", "arm shoulder", "arm elbow", "arm wrist")


def add_arm(spec: mujoco.MjSpec, *, thickness: float = 1.0, solid: bool = False, opening_m: float = 0.036) -> None:
    """Adds the arm as body "arm" (its pose is set later through the body's position) with four hinge joints.

    Args:
        spec: where to add it.
        thickness: factor on the links' radii.
        solid: whether hand and fore-arm push objects.
        opening_m: half the distance between the fingers; closed fingers push surely, open ones straddle.
    """
    t = thickness
    reach_bit = 2 if solid else 0  # see solids.py: the arm meets objects, never the table or itself
    cylinder, capsule, box = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_BOX

    def geom(
        body: mujoco.MjsBody,
        name: str,
        kind: mujoco.mjtGeom,
        size: list[float],
        pos: list[float],
        pushes: bool = False,
    ) -> None:
        body.add_geom(
            name=f"arm {name}",
            type=kind,
            size=size,
            pos=pos,
            group=SHOWN,
            material="arm",
            mass=0.3,
            contype=reach_bit if pushes else 0,
            conaffinity=0,
        )

    base = spec.worldbody.add_body(name="arm", pos=[0, 0.45, 0])
    geom(base, "foot", cylinder, [0.075 * t, 0.02, 0], [0, 0, 0.02])
    yaw = base.add_body(name="arm turntable", pos=[0, 0, 0.04])
    yaw.add_joint(name=JOINTS[0], axis=[0, 0, 1], damping=4, armature=0.1)
    geom(yaw, "column", cylinder, [0.055 * t, 0.06, 0], [0, 0, 0.06])
    geom(yaw, "shoulder", cylinder, [0.055 * t, 0.06 * t, 0], [0, 0, SHOULDER_Z_M - 0.04])
    yaw.geoms[-1].quat = [np.sqrt(0.5), np.sqrt(0.5), 0, 0]
    upper = yaw.add_body(name="arm upper", pos=[0, 0, SHOULDER_Z_M - 0.04])
    upper.add_joint(name=JOINTS[1], axis=[0, 1, 0], damping=4, armature=0.1)
    geom(upper, "upper link", capsule, [0.040 * t, UPPER_M / 2, 0], [0, 0, UPPER_M / 2])
    fore = upper.add_body(name="arm fore", pos=[0, 0, UPPER_M])
    fore.add_joint(name=JOINTS[2], axis=[0, 1, 0], damping=4, armature=0.1)
    geom(fore, "elbow", cylinder, [0.045 * t, 0.05 * t, 0], [0, 0, 0])
    fore.geoms[-1].quat = [np.sqrt(0.5), np.sqrt(0.5), 0, 0]
    geom(fore, "fore link", capsule, [0.032 * t, FORE_M / 2, 0], [0, 0, FORE_M / 2], True)
    hand = fore.add_body(name="arm hand", pos=[0, 0, FORE_M])
    hand.add_joint(name=JOINTS[3], axis=[0, 1, 0], damping=4, armature=0.1)
    geom(hand, "palm", box, [0.030 * t, 0.050 * t, 0.035], [0, 0, 0.04], True)
    for side in (-1, 1):
        geom(hand, f"finger {side}", box, [0.011 * t, 0.009 * t, 0.042], [0, side * opening_m * t, 0.108], True)
    if solid:
        for body in (base, yaw, upper, fore, hand):
            body.gravcomp = 1
        for joint in JOINTS:
            motor = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
            motor.set_to_position(kp=_STIFFNESS, kv=_DAMPING)


def reach(target_m: np.ndarray, base_m: np.ndarray, pitch: float = np.pi) -> np.ndarray:
    """Returns joint angles that bring the finger tips to a point (or as near as the arm gets).

    Args:
        target_m: float [3], world frame, metres.
        base_m: float [3], position of body "arm" (unturned), world frame, metres.
        pitch: direction of the hand in the arm's plane: pi is straight down, pi / 2 straight out.

    Returns:
        float64 [4]: yaw, shoulder, elbow, wrist in radians.
    """
    offset = np.asarray(target_m, float) - base_m
    yaw = np.arctan2(offset[1], offset[0])
    wrist = np.array(
        [np.hypot(offset[0], offset[1]) - HAND_M * np.sin(pitch), offset[2] - SHOULDER_Z_M - HAND_M * np.cos(pitch)]
    )
    distance = np.clip(np.linalg.norm(wrist), abs(UPPER_M - FORE_M) + 0.05, UPPER_M + FORE_M - 1e-3)
    lean = np.arctan2(wrist[0], wrist[1])
    inner = np.arccos((UPPER_M**2 + distance**2 - FORE_M**2) / (2 * UPPER_M * distance))
    bend = np.pi - np.arccos((UPPER_M**2 + FORE_M**2 - distance**2) / (2 * UPPER_M * FORE_M))
    shoulder = lean - inner
    return np.array([yaw, shoulder, bend, pitch - shoulder - bend])
