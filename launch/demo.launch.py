# SPDX-License-Identifier: Apache-2.0
"""The node on the simulated tabletop: a recorded clip, or the living world.

ros2 launch seem_ros demo.launch.py
ros2 launch seem_ros demo.launch.py clip:=live seed:=3
ros2 service call /seem/segment seem_ros/srv/Segment "{prompts: [{text: 'the red mug'}], track: true}"
"""

from launch import LaunchDescription

from seem_ros.ros.launching.actions import actions_of
from seem_ros.ros.launching.plan import DEMO_ARGUMENTS, plan_demo


def generate_launch_description() -> LaunchDescription:
    """The arguments, the tabletop camera, the node, and RViz where wanted and installed."""
    return LaunchDescription(actions_of(DEMO_ARGUMENTS, plan_demo))
