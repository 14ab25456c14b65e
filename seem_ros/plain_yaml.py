# SPDX-License-Identifier: Apache-2.0
"""YAML files as plain values: nothing in a file can run, grow without limit or raise anything but one error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 8 << 20  # a vocabulary of ten thousand words has 0.2 MB
MAX_DEPTH = 32
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml_mapping(path: Path, error: type[Exception]) -> dict[str, Any]:
    """The mapping that a YAML file holds; {} for an empty file.

    Args:
        path: The file.
        error: What to raise.

    Raises:
        error: It cannot be read, is too large, is no YAML, holds aliases (a few hundred bytes of them grow to
            gigabytes) or no mapping; one line that names the file.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise error(f"{path} has {size:,} bytes, at most {MAX_BYTES:,} are read")
        text = path.read_text(encoding="utf-8")
        _check_events(text, path, error)
        plain = yaml.load(text, _LOADER)
    except (OSError, ValueError, OverflowError, RecursionError, yaml.YAMLError) as reason:
        if isinstance(reason, error):
            raise
        raise error(f"{path} cannot be read: {' '.join(str(reason).split())[:300]}") from reason
    plain = {} if plain is None else plain
    if not isinstance(plain, dict) or not all(isinstance(key, str) for key in plain):
        raise error(f"{path} must hold a mapping from names to values, got {type(plain).__name__}")
    return plain


def _check_events(text: str, path: Path, error: type[Exception]) -> None:
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise error(
                f"{path} uses a YAML alias (*{str(event.anchor)[:40]}), which is not allowed here: write it out"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise error(f"{path} is nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
