# SPDX-License-Identifier: Apache-2.0
"""The segmentation node on a camera of yours.

    ros2 launch seem_ros seem.launch.py image:=/camera/color/image_raw depth:=/camera/aligned_depth_to_color/image_raw
"""
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "image": ("/camera/color/image_raw", "Image topic; compressed images are found beside it.", None),
    "depth": ("/camera/aligned_depth_to_color/image_raw", "Depth registered to the image; need not exist.", None),
    "camera_info": ("", "Calibration; empty = camera_info beside the image.", None),
    "model": ("pico", "Model package: a folder, or the name of one that comes with seem_ros.", None),
    "backend": ("auto", "What runs the model.",
                ["auto", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "torch"]),
    "namespace": ("", "Namespace of the node.", None),
    "vocabulary": ("", "Names of countable objects, separated by commas; empty = the model's own.", None),
    "panoptic": ("false", "Segment the whole vocabulary in every frame.", ["true", "false"]),
    "use_sim_time": ("false", "Take time from /clock.", ["true", "false"]),
    "rviz": ("false", "Start RViz.", ["true", "false"]),
    "params_file": ("", "Parameter file; empty = the package's config/seem.yaml.", None),
}


def generate_launch_description() -> LaunchDescription:
    """The node, its arguments, and RViz where wanted."""
    value = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    share = FindPackageShare("seem_ros")
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, (default, description, choices) in ARGUMENTS.items()
    ]
    # a chosen file, or ours; an empty camera_info is the image's sibling, as drivers publish it
    params = PythonExpression([
        "'", value["params_file"], "' or '", PathJoinSubstitution([share, "config", "seem.yaml"]), "'"
    ])
    info = PythonExpression([
        "'", value["camera_info"], "' or '", value["image"], "'.rsplit('/', 1)[0] + '/camera_info'"
    ])
    node = Node(
        package="seem_ros", executable="seem", name="seem", namespace=value["namespace"], output="screen",
        parameters=[params, {
            "model": value["model"],
            "backend": value["backend"],
            "things": ParameterValue(value["vocabulary"], value_type=str),
            "panoptic": ParameterValue(value["panoptic"], value_type=bool),
            "use_sim_time": ParameterValue(value["use_sim_time"], value_type=bool),
        }],
        remappings=[("image", value["image"]), ("depth", value["depth"]), ("camera_info", info)],
    )
    rviz = Node(
        package="rviz2", executable="rviz2", arguments=["-d", PathJoinSubstitution([share, "config", "seem.rviz"])],
        condition=IfCondition(value["rviz"]),
    )
    return LaunchDescription([*declared, node, rviz])
