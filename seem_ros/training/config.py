# SPDX-License-Identifier: Apache-2.0
"""Reads what decides a training run from one file of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from seem_ros.errors import DataError
from seem_ros.plain_yaml import read_yaml_mapping


def field_values(kind: Any, path: str | Path, changes: Mapping[str, object]) -> dict[str, Any]:
    """The fields of a configuration that a YAML file sets.

    Args:
        kind: a dataclass all of whose fields have defaults, whose types the values must have.
        path: the file.
        changes: win over it; None changes nothing.

    Raises:
        DataError: the file is missing, names a field that does not exist, or gives one a value of another type.
    """
    values = read_yaml_mapping(Path(path), DataError)
    values.update({key: value for key, value in changes.items() if value is not None})
    defaults = {
        one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(kind)
    }
    unknown = sorted(set(values) - set(defaults))
    if unknown:
        raise DataError(f"{path}: unknown field {unknown[0]!r}; allowed are {', '.join(sorted(defaults))}")
    for name, value in values.items():
        wanted = type(defaults[name])
        if wanted is tuple and type(value) is list:  # YAML has no tuples
            value = values[name] = tuple(value)
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise DataError(f"{path}: {name} must be {wanted.__name__}, got {str(value)[:60]!r}")
    return values
