# SPDX-License-Identifier: Apache-2.0
"""The model card of a package, README.md, written from what is known and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seem_ros.errors import PackageError
from seem_ros.files import write_atomically
from seem_ros.runtime.package import Package

CARD_FILE = "README.md"
#: Fields of a card that are for people and not for the package's description.
TOLD = ("made_by", "data", "figures")
_FIRST_LINE = "<!-- written by seem_ros.tools.export; yours once this line is gone -->"


def model_card(package: Package, told: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        package: what it is about.
        told: `made_by` (a mapping), `data` (mappings with name, pictures, objects, licence) and `figures` (name ->
            number); any may be missing, and the card says so.
    """
    spec = package.spec
    things = [entry.name for entry in spec.vocabulary if entry.is_thing]
    stuff = [entry.name for entry in spec.vocabulary if not entry.is_thing]
    megabytes = sum(path.stat().st_size for path in package.folder.iterdir() if path.is_file()) / 1e6
    lines = [
        _FIRST_LINE,
        f"# {spec.name}",
        "",
        f"Input {spec.input_hw[0]}x{spec.input_hw[1]} (height x width), {megabytes:.0f} MB.",
        "",
    ]
    if spec.vocabulary:
        lines += [f"Things: {', '.join(things) or 'none'}. Stuff: {', '.join(stuff) or 'none'}.", ""]
    lines += ["## Made by", ""]
    made = told.get("made_by") or {}
    lines += [f"- {key}: {value}" for key, value in made.items()] or ["Not told."]
    lines += ["", "## Data", ""]
    data: Sequence[Mapping[str, Any]] = told.get("data") or ()
    if data:
        lines += ["| Set | Pictures | Objects | Licence |", "|---|---|---|---|"]
        lines += [
            "| "
            + " | ".join(
                str(one.get(key, "not told")).replace("|", "/") for key in ("name", "pictures", "objects", "licence")
            )
            + " |"
            for one in data
        ]
    else:
        lines += ["Not told."]
    lines += ["", "## Figures", ""]
    figures = told.get("figures") or {}
    lines += [f"- {key}: {value}" for key, value in figures.items()] or [
        "None measured. `python -m seem_ros.tools.evaluate` measures it on your data."
    ]
    return "\n".join(lines) + "\n"


def write_model_card(package: Package, told: Mapping[str, Any]) -> bool:
    """Writes the card beside the package's files, unless a person wrote one; returns whether it was written.

    Raises:
        PackageError: it cannot be written.
    """
    path = Path(package.folder) / CARD_FILE
    try:
        if path.is_file() and not path.read_text(encoding="utf-8").startswith(_FIRST_LINE):
            return False
        write_atomically(path, model_card(package, told).encode())
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError(f"the card {path} cannot be written: {getattr(error, 'strerror', '') or error}") from error
    return True
