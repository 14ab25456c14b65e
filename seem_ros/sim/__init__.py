# SPDX-License-Identifier: Apache-2.0
"""A simulated tabletop with ground truth: the school, the yardstick and the demo of the built-in model.

`vocabulary` needs nothing but Python; everything else needs MuJoCo, and pictures need OpenGL (EGL or OSMesa).
"""
