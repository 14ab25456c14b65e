# SPDX-License-Identifier: Apache-2.0
"""The segmentation node on a camera of yours.

ros2 launch seem_ros seem.launch.py image:=/camera/color/image_raw depth:=/camera/aligned_depth_to_color/image_raw
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

BACKENDS = ["", "auto", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "torch"]
SWITCH = ["true", "false"]
ARGUMENTS = {
    "image": ("/camera/color/image_raw", "Image topic; compressed images are found beside it.", None),
    "depth": ("/camera/aligned_depth_to_color/image_raw", "Depth registered to the image; need not exist.", None),
    "camera_info": ("", "Calibration; empty = camera_info beside the image.", None),
    "model": ("", "Model package, a folder or a name; empty = as the parameter file says (builtin).", None),
    "backend": ("", "What runs the model; empty = as the parameter file says (auto).", BACKENDS),
    "namespace": ("", "Namespace of the node.", None),
    "vocabulary": ("", "Countable objects, separated by commas; empty = as the parameter file says.", None),
    "panoptic": ("", "Segment the whole vocabulary in every frame; empty = as the parameter file says.", ["", *SWITCH]),
    "use_sim_time": ("false", "Take time from /clock.", SWITCH),
    "rviz": ("false", "Start RViz.", SWITCH),
    "params_file": ("", "Parameter file; empty = the package's config/seem.yaml.", None),
}


def nodes(context: LaunchContext) -> list[Node]:
    """The node; what an argument leaves empty is as the parameter file says."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    params = given["params_file"] or str(Path(FindPackageShare("seem_ros").perform(context), "config", "seem.yaml"))
    overrides = {"use_sim_time": given["use_sim_time"] == "true"}
    for argument, parameter in (("model", "model"), ("backend", "backend"), ("vocabulary", "things")):
        if given[argument]:
            overrides[parameter] = given[argument]
    if given["panoptic"]:
        overrides["panoptic"] = given["panoptic"] == "true"
    info = given["camera_info"] or f"{given['image'].rsplit('/', 1)[0]}/camera_info"
    return [
        Node(
            package="seem_ros",
            executable="seem",
            name="seem",
            namespace=given["namespace"],
            output="screen",
            parameters=[params, overrides],
            remappings=[("image", given["image"]), ("depth", given["depth"]), ("camera_info", info)],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """The arguments, the node, and RViz where wanted."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, (default, description, choices) in ARGUMENTS.items()
    ]
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", PathJoinSubstitution([FindPackageShare("seem_ros"), "config", "seem.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription([*declared, OpaqueFunction(function=nodes), rviz])
