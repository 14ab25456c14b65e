# SPDX-License-Identifier: Apache-2.0
"""Declares the node's parameters and reads what the command line and parameter files give them."""

from __future__ import annotations

import difflib
from typing import Any

from rclpy.parameter import Parameter

from seem_ros.ros.parameters import Settings, table

# Parameters of rclpy itself, which may be given as well.
_OF_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides.")


def declare(node: Any) -> Settings:
    """Declare every row of the table; what was given is checked as a whole.

    Raises:
        SeemError: A value cannot be used.
    """
    rows, descriptors = table(), []
    for row in rows:
        descriptor = row.descriptor()
        # rclpy refuses a whole number for a statically typed double, and everybody writes `max_rate_hz: 5`
        descriptor.dynamic_typing = isinstance(row.default, float)
        descriptors.append((row.name, row.default, descriptor))
    node.declare_parameters("", descriptors)
    values = {row.name: node.get_parameter_or(row.name).value for row in rows}
    # an empty list has no type in a parameter file, and comes as nothing at all
    values = {row.name: [] if values[row.name] is None else values[row.name] for row in rows}
    settings = Settings().changed(values)
    used = settings.values()
    whole = [Parameter(name, value=used[name]) for name, value in values.items() if type(value) is not type(used[name])]
    if whole:
        node.set_parameters(whole)
    # Humble and older cannot change values on their way; there `ros2 param get` shows the whole number that was set
    if hasattr(node, "add_pre_set_parameters_callback"):
        node.add_pre_set_parameters_callback(as_doubles)
    _warn_of_unknown(node, {row.name for row in rows})
    return settings


def as_doubles(parameters: list[Parameter]) -> list[Parameter]:
    """Whole numbers for doubles become doubles; everything else stays."""
    doubles = {row.name for row in table() if isinstance(row.default, float)}
    return [
        Parameter(one.name, value=float(one.value))
        if one.name in doubles and one.type_ == Parameter.Type.INTEGER
        else one
        for one in parameters
    ]


def _warn_of_unknown(node: Any, known: set[str]) -> None:
    """Say which given parameters nobody reads: a mistyped name would otherwise change nothing in silence."""
    for name in getattr(node, "_parameter_overrides", {}):
        if name in known or name.startswith(_OF_RCLPY):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        node.get_logger().warning(f"there is no parameter {name}, what was given for it is not used{hint}")
