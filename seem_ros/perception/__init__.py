# SPDX-License-Identifier: Apache-2.0
"""Frames and prompts in, labeled segments and targets with a memory out: numpy only, no torch, no ROS."""
