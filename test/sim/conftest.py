# SPDX-License-Identifier: Apache-2.0
"""Skips tests that draw pictures where there is no OpenGL, saying so in one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.sim.render import Camera
from seem_ros.sim.scene.room import new_spec


@pytest.fixture(scope="session")
def gl() -> None:
    """Lets a test run only where offscreen pictures can be drawn."""
    model = new_spec(32, 32).compile()
    try:
        Camera(model, np.zeros(model.ngeom, int)).close()
    except DataError as error:
        pytest.skip(str(error))
