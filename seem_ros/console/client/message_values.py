# SPDX-License-Identifier: Apache-2.0
"""ROS messages from and to plain values (dict, list, numbers, strings), and the shell line that makes the same call.

Strict on the way in, because the values come from a browser: unknown fields, wrong types, NaN and long lists are
refused with the place where they stand.
"""

from __future__ import annotations

import array
import base64
import importlib
import math
import shlex
from collections.abc import Callable
from typing import Any

import yaml
from sensor_msgs.msg import CompressedImage

from seem_ros.errors import PromptError

# a scribble drawn for a minute has some thousand points
MAX_ITEMS = 5000
MAX_TEXT_CHARACTERS = 2000
# thumbnails are shown in the page, larger pictures are only counted
MAX_INLINE_BYTES = 65536
_INTEGERS = {
    f"{sign}int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits if sign else bits - 1) - 1)
    for bits in (8, 16, 32, 64)
    for sign in ("u", "")
}

Picture = Callable[[str], tuple[bytes, str]]


def fill(message: Any, values: Any, picture: Picture, where: str = "request") -> Any:
    """Put plain values into a message's fields.

    Args:
        message: Any ROS message; changed.
        values: Field names to values. A CompressedImage is given as ``{"picture": id}``.
        picture: From such an id to bytes and format.
        where: Name of the message in errors.

    Returns:
        The message.

    Raises:
        PromptError: A field is unknown, or a value has the wrong type or range.
    """
    if not isinstance(values, dict):
        raise PromptError(f"{where} must be an object, got {_kind(values)}")
    if isinstance(message, CompressedImage):
        if set(values) != {"picture"} or not isinstance(values["picture"], str):
            raise PromptError(f"{where} must name a picture that was sent: {{picture: id}}")
        data, message.format = picture(values["picture"])
        message.data = array.array("B", data)
        return message
    kinds = message.get_fields_and_field_types()
    for name, value in values.items():
        if name not in kinds:
            raise PromptError(f"{where} has no field {str(name)[:40]!r}; there are: {', '.join(kinds)}")
        setattr(message, name, _value(kinds[name], getattr(message, name), value, picture, f"{where}.{name}"))
    return message


def _value(kind: str, current: Any, value: Any, picture: Picture, where: str) -> Any:
    if kind.startswith("sequence<"):
        inner = kind.removeprefix("sequence<").removesuffix(">").split(",")[0].strip()
        if not isinstance(value, list):
            raise PromptError(f"{where} must be a list, got {_kind(value)}")
        if len(value) > MAX_ITEMS:
            raise PromptError(f"{where} may have {MAX_ITEMS} entries, got {len(value)}")
        return [_value(inner, _new(inner), one, picture, f"{where}[{index}]") for index, one in enumerate(value)]
    if kind == "boolean":
        if not isinstance(value, bool):
            raise PromptError(f"{where} must be true or false, got {_kind(value)}")
        return value
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise PromptError(f"{where} must be a whole number from {low} to {high}, got {str(value)[:40]}")
        return value
    if kind in ("float", "double"):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise PromptError(f"{where} must be a finite number, got {str(value)[:40]}")
        if kind == "float" and abs(value) > 3.4e38:
            raise PromptError(f"{where} is too large for a 32-bit number: {value}")
        return float(value)
    if kind == "string":
        check_text(value, where)
        return value
    if "/" in kind:
        return fill(current, value, picture, where)
    raise PromptError(f"{where} cannot be given here")


def check_text(value: Any, where: str) -> None:
    """Refuse what no ROS string can carry.

    Args:
        value: What was given.
        where: Its name in errors.

    Raises:
        PromptError: No text, too long, or with such a character.
    """
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARACTERS:
        raise PromptError(f"{where} must be a text of at most {MAX_TEXT_CHARACTERS} characters")
    if "\0" in value or any(0xD800 <= ord(one) < 0xE000 for one in value):
        raise PromptError(f"{where} has a character that no ROS string can carry")


def _new(kind: str) -> Any:
    """An empty message of a type like ``seem_ros/Click``, None for a plain value."""
    if "/" not in kind:
        return None
    package, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)()


def to_plain(message: Any) -> Any:
    """A message as plain values; data of images are left out, small compressed pictures become data URLs."""
    if isinstance(message, CompressedImage):
        data = bytes(message.data)
        if not data or len(data) > MAX_INLINE_BYTES:
            return {"bytes": len(data)}
        kind = "png" if data[:4] == b"\x89PNG" else "jpeg"
        return {"bytes": len(data), "url": f"data:image/{kind};base64,{base64.b64encode(data).decode()}"}
    if hasattr(message, "get_fields_and_field_types"):
        kinds = message.get_fields_and_field_types()
        if {"sec", "nanosec"} == set(kinds):
            return f"{message.sec}.{message.nanosec:09d}"
        return {
            name: to_plain(getattr(message, name))
            if kind != "sequence<uint8>"
            else {"bytes": len(getattr(message, name))}
            for name, kind in kinds.items()
        }
    if isinstance(message, float):
        return message if math.isfinite(message) else None
    if isinstance(message, (str, int, bool)):
        return message
    if isinstance(message, bytes):
        return message[0] if len(message) == 1 else len(message)
    return [to_plain(one) for one in message]


def call_line(service: str, kind: str, values: dict[str, Any]) -> str:
    """The shell line that makes the same call.

    A picture does not fit into a line; a comment stands in its place.
    """
    spoken, pictures = _without_pictures(values)
    text = yaml.safe_dump(spoken, default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False).strip()
    note = (
        f"  # and {pictures} picture{'s' if pictures > 1 else ''}, which a shell line cannot carry" if pictures else ""
    )
    return f"ros2 service call {service} {kind} {shlex.quote(text)}{note}"


def _without_pictures(values: Any) -> tuple[Any, int]:
    if isinstance(values, dict):
        if set(values) == {"picture"}:
            return {}, 1
        parts = {name: _without_pictures(one) for name, one in values.items()}
        return {name: one for name, (one, _) in parts.items()}, sum(count for _, count in parts.values())
    if isinstance(values, list):
        entries = [_without_pictures(one) for one in values]
        return [one for one, _ in entries], sum(count for _, count in entries)
    return values, 0


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
