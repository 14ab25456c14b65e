# SPDX-License-Identifier: Apache-2.0
"""Results as a table on the terminal and as a JSON file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seem_ros.errors import DataError


class Report:
    """Sections of results, each a mapping from a row's name to its numbers."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        """Args: about: what was run on what; goes into the JSON file."""
        self._about = dict(about)
        self._sections: dict[str, dict[str, dict[str, Any]]] = {}

    def add(self, section: str, row: str, numbers: Mapping[str, Any]) -> None:
        """Add a row's numbers to a section; a further call with the same names adds to the row."""
        self._sections.setdefault(section, {}).setdefault(row, {}).update(numbers)

    def get(self, section: str, row: str) -> Mapping[str, Any]:
        """A row's numbers. Raises DataError when there is none."""
        try:
            return self._sections[section][row]
        except KeyError as error:
            raise DataError(f"the report has no row {row!r} in {section!r}") from error

    @property
    def about(self) -> dict[str, Any]:
        """What was run on what."""
        return dict(self._about)

    def numbers(self) -> Iterator[tuple[str, str, str, float]]:
        """Every number: section, row, measure, value; texts are left out."""
        for section, rows in self._sections.items():
            for row, numbers in rows.items():
                for measure, value in numbers.items():
                    if isinstance(value, (int, float)) and not isinstance(value, bool):
                        yield section, row, measure, value

    def number(self, section: str, row: str, measure: str) -> float | None:
        """One number; None where there is none."""
        value = self._sections.get(section, {}).get(row, {}).get(measure)
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def text(self) -> str:
        """All sections as aligned tables."""
        blocks = []
        for section, rows in self._sections.items():
            columns = list(dict.fromkeys(column for numbers in rows.values() for column in numbers))
            table = [["", *columns]] + [
                [row, *(_show(numbers.get(column)) for column in columns)] for row, numbers in rows.items()
            ]
            blocks.append(f"== {section}\n" + "\n".join(_aligned(table)))
        return "\n\n".join(blocks)

    def write(self, path: Path | str) -> None:
        """Save as JSON (NaN becomes null), complete or not at all. Raises DataError when it cannot be written."""
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(
                json.dumps(_plain({"about": self._about, "results": self._sections}), indent=1) + "\n", encoding="utf-8"
            )
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise DataError(f"the report {path} cannot be written: {error.strerror or error}") from error


def _show(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}"
    return str(value)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        )
        for row in table
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value if isinstance(value, (str, int, bool)) or value is None else str(value)
