# SPDX-License-Identifier: Apache-2.0
"""One parameter: its type and limits, what it says about itself, and how it is written down as a field."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType

from seem_ros.errors import PromptError


@dataclass(frozen=True)
class Parameter:
    """One row of the table.

    Attributes:
        name: As ROS knows it.
        default: Its value when nobody sets it; its type is the parameter's type.
        description: One sentence.
        minimum, maximum: Range of a number, inclusive; None = unbounded.
        choices: Allowed strings; empty = any.
        changeable: While the node is configured; the others are read when it is configured.
    """

    name: str
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    changeable: bool = True

    def check(self, value: Any) -> None:
        """Refuse a value of the wrong type, outside the range or not among the choices.

        Raises:
            PromptError: Says what was got and what is allowed.
        """
        if type(value) is not type(self.default):
            raise PromptError(f"{self.name} must be {_type_name(self.default)}, got {_type_name(value)} {value!r}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low = -math.inf if self.minimum is None else self.minimum
            high = math.inf if self.maximum is None else self.maximum
            if not low <= value <= high:
                raise PromptError(f"{self.name} must lie in {self.allowed()}, got {value!r}")
        if self.choices and value not in self.choices:
            raise PromptError(f"{self.name} must be one of {', '.join(self.choices)}, got {value!r}")

    def allowed(self) -> str:
        """The range or the choices, for people."""
        if self.choices:
            return ", ".join(self.choices)
        if self.minimum is None and self.maximum is None:
            return ""
        return f"{_number(self.minimum)} to {_number(self.maximum)}"

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        kinds = {
            bool: ParameterType.PARAMETER_BOOL,
            int: ParameterType.PARAMETER_INTEGER,
            float: ParameterType.PARAMETER_DOUBLE,
            str: ParameterType.PARAMETER_STRING,
            list: ParameterType.PARAMETER_STRING_ARRAY,
        }
        descriptor = ParameterDescriptor(
            name=self.name,
            type=kinds[type(self.default)],
            description=self.description,
            additional_constraints=", ".join(
                part
                for part in (
                    f"one of: {', '.join(self.choices)}" if self.choices else "",
                    "" if self.changeable else "read when the node is configured",
                )
                if part
            ),
        )
        low, high = self.minimum, self.maximum
        if low is None or high is None:
            return descriptor
        if isinstance(self.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif isinstance(self.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        return descriptor


def _type_name(value: Any) -> str:
    names = {bool: "a bool", int: "an integer", float: "a float", str: "a string", list: "a list of strings"}
    return names.get(type(value), type(value).__name__)


def _number(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


def row(
    default: Any, description: str, *limits: float | None, choices: tuple[str, ...] = (), fixed: bool = False
) -> Any:
    """A field of `Settings`.

    Args:
        default: Its value when nobody sets it.
        description: One sentence.
        limits: Smallest and largest value; none = unbounded.
        choices: Allowed strings; empty = any.
        fixed: Read when the node is configured.
    """
    minimum, maximum = limits or (None, None)
    metadata = {"description": description, "minimum": minimum, "maximum": maximum, "choices": choices, "fixed": fixed}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
