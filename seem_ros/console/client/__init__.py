# SPDX-License-Identifier: Apache-2.0
"""The ROS side of the console: the graph, calls, parameters."""
