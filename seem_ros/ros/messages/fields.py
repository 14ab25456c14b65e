# SPDX-License-Identifier: Apache-2.0
"""What callers give, made into what a message's field holds, or refused.

rclpy hands fields to generated C code as they are. That ends the whole process where a number is of another kind than
the field, and takes whatever is no bool for false. Only ``ROS_PYTHON_CHECK_FIELDS=1`` has them checked, by assertions.
"""

from __future__ import annotations

import array
import operator
import reprlib
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from rosidl_parser.definition import AbstractGenericString, AbstractNestedType, NamespacedType

from seem_ros.errors import PromptError

UINT32 = (0, (1 << 32) - 1)
INT64 = (-(1 << 63), (1 << 63) - 1)
FLOATS = ("float", "double", "long double")

One = TypeVar("One")


def truth(value: Any, what: str) -> bool:
    """A yes or no; 1 and 0 are meant as such, and words are not: "false" would be true.

    Raises:
        PromptError: It is something else.
    """
    if not isinstance(value, (bool, np.bool_)) and not (isinstance(value, (int, np.integer)) and value in (0, 1)):
        raise PromptError(f"{what} must be True or False, got {reprlib.repr(value)}")
    return bool(value)


def whole(value: Any, what: str, limits: tuple[int, int] = UINT32) -> int:
    """A whole number, of Python or numpy.

    Raises:
        PromptError: It is something else, or beyond the limits.
    """
    low, high = limits
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise PromptError(f"{what} must be a whole number from {low} to {high}, got {reprlib.repr(value)}")
    return number


def number(value: Any, what: str) -> float:
    """A number, whole or not.

    Raises:
        PromptError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise PromptError(f"{what} must be a number, got {reprlib.repr(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise PromptError(f"{what} is too large: {reprlib.repr(value)}") from error


def text(value: Any, what: str) -> str:
    """A string.

    Raises:
        PromptError: It is something else, or cannot be written as UTF-8.
    """
    if not isinstance(value, str):
        raise PromptError(f"{what} must be a string, got {reprlib.repr(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise PromptError(f"{what} cannot be written as UTF-8: {error.reason}") from error
    return value


def listed(values: Any, what: str, read: Callable[[Any, str], One]) -> list[One]:
    """Several values. A string is one value: its letters are never meant.

    Args:
        values: Anything that can be gone through.
        what: Their name; that of the third is then ``what[2]``.
        read: One of the functions above, or one like them.

    Raises:
        PromptError: It is one value, or one of them is refused.
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        meant = [part.strip() for part in values.split(",")] if isinstance(values, str) and read is text else None
        hint = f"; write {what}={meant}" if meant else ""
        raise PromptError(f"{what} must be a list, got {reprlib.repr(values)}{hint}")
    return [read(value, f"{what}[{index}]") for index, value in enumerate(values)]


def settled(message: Any, what: str = "") -> Any:
    """A message that somebody else filled, each of its fields now what the C code reads; changed in place.

    Args:
        message: Of any type.
        what: Its name, for refusals: a click's x is ``what.clicks[0].x``.

    Raises:
        PromptError: A field holds something else.
    """
    for name, kind in zip(message.get_fields_and_field_types(), message.SLOT_TYPES):
        value = getattr(message, name)
        held = _held(value, kind, f"{what}.{name}" if what else name)
        if held is not value:
            setattr(message, name, held)
    return message


def _held(value: Any, kind: Any, what: str) -> Any:
    if isinstance(kind, NamespacedType):
        package, *_, name = kind.namespaced_name()
        if _type_of(value) != (package, name):
            raise PromptError(f"{what} must be a {package}/{name}, got {reprlib.repr(value)}")
        return settled(value, what)
    if isinstance(kind, AbstractNestedType):
        if isinstance(value, (array.array, np.ndarray)):
            return value  # numbers: setting the field has made them so, and they may be a picture's
        return listed(value, what, lambda one, its: _held(one, kind.value_type, its))
    if isinstance(kind, AbstractGenericString):
        return text(value, what)
    if kind.typename == "boolean":
        return truth(value, what)
    if kind.typename in FLOATS:
        return number(value, what)
    if kind.typename.startswith(("int", "uint")):
        bits = int(kind.typename.removeprefix("u").removeprefix("int"))
        signed = not kind.typename.startswith("u")
        return whole(value, what, (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1))
    return value


def _type_of(value: Any) -> tuple[str, str]:
    """A message's package and name."""
    return type(value).__module__.partition(".")[0], type(value).__name__
