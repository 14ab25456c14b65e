# SPDX-License-Identifier: Apache-2.0
"""The segmentation node on a camera of yours, or on several.

ros2 launch seem_ros seem.launch.py                                       # a RealSense with its defaults
ros2 launch seem_ros seem.launch.py image:=/image_raw                     # a USB camera
ros2 launch seem_ros seem.launch.py cameras:="front:=/front/image_raw,left:=/left/image_raw"
"""

from launch import LaunchDescription

from seem_ros.ros.launching.actions import actions_of
from seem_ros.ros.launching.plan import ARGUMENTS, plan_seem


def generate_launch_description() -> LaunchDescription:
    """The arguments, the node, and RViz where wanted and installed."""
    return LaunchDescription(actions_of(ARGUMENTS, plan_seem))
