# SPDX-License-Identifier: Apache-2.0
"""The arm's kinematics, checked against MuJoCo's."""

import numpy as np
import pytest

from seem_ros.sim.mujoco_import import mujoco
from seem_ros.sim.scene.arm import HAND_M, add_arm, reach
from seem_ros.sim.scene.room import add_material, new_spec


@pytest.fixture(scope="module")
def arm():
    spec = new_spec(32, 32)
    add_material(spec, "arm", None)
    add_arm(spec)
    model = spec.compile()
    return model, mujoco.MjData(model)


@pytest.mark.parametrize("target", [(0.0, 0.0, 0.1), (0.25, 0.05, 0.2), (-0.3, 0.1, 0.02), (0.1, -0.1, 0.3)])
@pytest.mark.parametrize("pitch", [np.pi, 2.4])
def test_the_finger_tips_arrive_where_they_are_sent(arm, target, pitch):
    model, data = arm
    base = np.array([0, 0.45, 0])
    model.body_pos[model.body("arm").id] = base
    data.qpos[:] = reach(np.array(target), base, pitch)
    mujoco.mj_kinematics(model, data)
    hand = model.body("arm hand").id
    axis = data.xmat[hand].reshape(3, 3)[:, 2]
    assert np.allclose(data.xpos[hand] + HAND_M * axis, target, atol=1e-6)
    assert axis[2] == pytest.approx(np.cos(pitch), abs=1e-6)


def test_a_place_out_of_reach_is_approached_in_its_direction(arm):
    joints = reach(np.array([3.0, 0.45, 0.1]), np.array([0, 0.45, 0]))
    assert np.all(np.isfinite(joints)) and joints[0] == pytest.approx(0)
