# SPDX-License-Identifier: Apache-2.0
"""Turns the plans of `plan` into launch actions; decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.action import Action
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from seem_ros.ros.launching.plan import Argument, Plan, Process

RESPAWN_DELAY_S = 2.0


def actions_of(
    arguments: Mapping[str, Argument], make_plan: Callable[[Mapping[str, str], Path, Callable[[str], bool]], Plan]
) -> list[Action]:
    """The declared arguments, and what is started with their values.

    Args:
        arguments: Of the launch file.
        make_plan: Decides what to start from the arguments' values.
    """

    def start(context: LaunchContext) -> list[Action]:
        given = {name: LaunchConfiguration(name).perform(context) for name in arguments}
        plan = make_plan(given, Path(get_package_share_directory("seem_ros")), _has_package)
        return [
            *(LogInfo(msg=note) for note in plan.notes),
            *(SetEnvironmentVariable(name, value) for name, value in plan.environment.items()),
            *(_node(process) for process in plan.processes),
        ]

    declared = [
        DeclareLaunchArgument(
            name, default_value=one.default, description=one.description, choices=list(one.choices) or None
        )
        for name, one in arguments.items()
    ]
    return [*declared, OpaqueFunction(function=start)]


def _has_package(name: str) -> bool:
    try:
        get_package_prefix(name)
    except PackageNotFoundError:
        return False
    return True


def _node(process: Process) -> Node:
    return Node(
        package=process.package,
        executable=process.executable,
        name=process.name or None,
        namespace=process.namespace or None,
        parameters=list(process.parameters),
        remappings=list(process.remappings),
        arguments=list(process.arguments),
        respawn=process.respawn,
        respawn_delay=RESPAWN_DELAY_S,
        output="screen",
    )
