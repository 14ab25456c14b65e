# SPDX-License-Identifier: Apache-2.0
"""A machine without OpenGL gets one sentence, and still has everything that needs no pictures."""

import os
import subprocess
import sys

import pytest


def _run(choice: str, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "MUJOCO_GL": choice},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("choice", ["off", "nonsense"])
def test_the_recorder_says_in_one_line_that_there_is_no_gl(tmp_path, choice):
    done = _run(choice, "-m", "seem_ros.tools.record", "--out", str(tmp_path), "--frames", "1")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: no OpenGL for offscreen rendering (MUJOCO_GL is ")
    assert "install Debian's libegl1" in done.stderr


def test_the_vocabulary_needs_neither_gl_nor_mujoco():
    code = "import sys; import seem_ros.sim.vocabulary; sys.exit('mujoco' in sys.modules)"
    assert _run("nonsense", "-c", code).returncode == 0


def test_physics_runs_without_gl():
    code = (
        "from seem_ros.sim.mujoco_import import mujoco; from seem_ros.sim.scene.room import add_room, new_spec; "
        "s = new_spec(32, 32); add_room(s, solid=True); m = s.compile(); mujoco.mj_step(m, mujoco.MjData(m))"
    )
    done = _run("off", "-c", code)
    assert done.returncode == 0, done.stderr


def test_pictures_work_where_mujoco_was_imported_before_us(gl):
    code = (
        "import os; os.environ.pop('MUJOCO_GL', None); import mujoco; import numpy as np; "
        "from seem_ros.sim.render import Camera; from seem_ros.sim.scene.room import new_spec; "
        "m = new_spec(32, 32).compile(); Camera(m, np.zeros(m.ngeom, int)).close()"
    )
    done = _run("off", "-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr
