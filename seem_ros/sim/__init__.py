# SPDX-License-Identifier: Apache-2.0
"""A simulated tabletop with ground truth: the school, the yardstick and the demo of the built-in model."""
import os

# MuJoCo reads this once, when it is first imported; EGL draws without a display. A user's own choice is kept.
os.environ.setdefault("MUJOCO_GL", "egl")
