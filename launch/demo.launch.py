# SPDX-License-Identifier: Apache-2.0
"""The node on the simulated tabletop: a recorded clip, or the living world.

ros2 launch seem_ros demo.launch.py
ros2 service call /seem/segment seem_ros/srv/Segment "{prompts: [{text: 'the red mug'}], track: true}"
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """The tabletop camera and seem.launch.py on its topics."""
    arguments = [
        DeclareLaunchArgument(
            "clip",
            default_value="tabletop",
            description="Folder or name of a recorded clip; empty = the living world (MuJoCo, EGL).",
        ),
        DeclareLaunchArgument("seed", default_value="7", description="Draws the living world."),
        DeclareLaunchArgument("rviz", default_value="true", choices=["true", "false"], description="Start RViz."),
        DeclareLaunchArgument(
            "panoptic",
            default_value="false",
            choices=["true", "false"],
            description="Segment the whole vocabulary in every frame.",
        ),
    ]
    camera = Node(
        package="seem_ros",
        executable="tabletop_camera",
        namespace="tabletop",
        output="screen",
        parameters=[
            {
                "clip": ParameterValue(LaunchConfiguration("clip"), value_type=str),
                "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
            }
        ],
    )
    launch_file = PathJoinSubstitution([FindPackageShare("seem_ros"), "launch", "seem.launch.py"])
    seem = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(launch_file),
        launch_arguments={
            "image": "/tabletop/image",
            "depth": "/tabletop/depth",
            "rviz": LaunchConfiguration("rviz"),
            "panoptic": LaunchConfiguration("panoptic"),
        }.items(),
    )
    return LaunchDescription([*arguments, camera, seem])
