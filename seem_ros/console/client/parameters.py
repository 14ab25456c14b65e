# SPDX-License-Identifier: Apache-2.0
"""A node's parameters for the page, from its own descriptors, over the services that every ROS node has."""

from __future__ import annotations

import shlex
from typing import Any

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters

from seem_ros.console.client.calls import Calls
from seem_ros.console.client.link import RosLink
from seem_ros.console.client.message_values import check_text
from seem_ros.errors import PromptError

_FIELDS = {
    ParameterType.PARAMETER_BOOL: ("bool", "bool_value"),
    ParameterType.PARAMETER_INTEGER: ("int", "integer_value"),
    ParameterType.PARAMETER_DOUBLE: ("float", "double_value"),
    ParameterType.PARAMETER_STRING: ("str", "string_value"),
    ParameterType.PARAMETER_STRING_ARRAY: ("list", "string_array_value"),
}
_TYPES: dict[str, type | tuple[type, ...]] = {"bool": bool, "int": int, "float": (int, float), "str": str, "list": list}
# rclpy's own, which say nothing about segmentation
_NOT_OURS = ("use_sim_time", "qos_overrides", "start_type_description_service")
ONE_OF = "one of: "


async def read_parameters(link: RosLink, node: str) -> list[dict[str, Any]]:
    """All parameters of a node with values, descriptions and ranges.

    Raises:
        BackendError: The node does not answer.
    """
    listed = await link.call(ListParameters, f"{node}/list_parameters", ListParameters.Request(depth=0))
    names = [name for name in listed.result.names if not name.startswith(_NOT_OURS)]
    described = await link.call(
        DescribeParameters, f"{node}/describe_parameters", DescribeParameters.Request(names=names)
    )
    got = await link.call(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=names))
    rows = []
    for descriptor, value in zip(described.descriptors, got.values):
        if value.type not in _FIELDS:
            continue
        kind, attribute = _FIELDS[value.type]
        constraints = descriptor.additional_constraints
        choices, fixed = [], descriptor.read_only
        if ONE_OF in constraints:
            listed_choices = constraints.split(ONE_OF, 1)[1].split(", ")
            choices = [one for one in listed_choices if not one.startswith("read when")]
        fixed = fixed or "read when the node is configured" in constraints
        found = getattr(value, attribute)
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        rows.append(
            {
                "name": descriptor.name,
                "type": kind,
                "value": list(found) if kind == "list" else found,
                "description": descriptor.description,
                "range": [ranges[0].from_value, ranges[0].to_value] if ranges else None,
                "choices": choices,
                "fixed": fixed,
            }
        )
    return rows


async def set_parameter(calls: Calls, link: RosLink, node: str, name: str, kind: str, value: Any) -> dict[str, Any]:
    """Set one parameter; the answer and the log entry are those of a call.

    Raises:
        PromptError: The type is unknown, or the value has another one.
    """
    number = next((number for number, (its, _) in _FIELDS.items() if its == kind), None)
    if number is None:
        raise PromptError(f"a parameter's type is one of {', '.join(_TYPES)}, got {kind[:20]!r}")
    wanted = _TYPES[kind]
    good = isinstance(value, wanted) and (kind == "bool" or not isinstance(value, bool))
    if kind == "list":
        good = good and all(isinstance(one, str) for one in value)
    if kind == "int":
        good = good and -(2**63) <= value < 2**63
    if not good:
        raise PromptError(f"{name[:80]} must be of type {kind}, got {str(value)[:40]!r}")
    for text in (name, *([value] if kind == "str" else value if kind == "list" else ())):
        check_text(text, "a parameter's name or text")
    setting = ParameterValue(type=number, **{_FIELDS[number][1]: float(value) if kind == "float" else value})
    request = SetParameters.Request(parameters=[Parameter(name=name, value=setting)])
    shown = {True: "true", False: "false"}[value] if kind == "bool" else str(value)

    async def answering() -> Any:
        response = await link.call(SetParameters, f"{node}/set_parameters", request)
        return _Answer(response.results[0]) if response.results else response

    line = f"ros2 param set {shlex.quote(node)} {shlex.quote(name)} {shlex.quote(shown)}"
    return await calls.run(line, f"set {name}", answering())


class _Answer:
    """A SetParametersResult with the names that services of seem_ros use."""

    def __init__(self, result: Any) -> None:
        self.success, self.message = result.successful, result.reason

    @staticmethod
    def get_fields_and_field_types() -> dict[str, str]:
        """As of a message."""
        return {"success": "boolean", "message": "string"}
