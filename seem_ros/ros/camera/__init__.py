# SPDX-License-Identifier: Apache-2.0
"""One camera in ROS: its subscription, its frames, its targets, its publishers."""
