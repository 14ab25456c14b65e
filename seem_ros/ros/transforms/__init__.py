# SPDX-License-Identifier: Apache-2.0
"""Frames of a robot: a buffer over /tf and /tf_static of our own, as PyPI has no tf2, and the node's use of it."""
