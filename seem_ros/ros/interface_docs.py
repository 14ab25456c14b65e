# SPDX-License-Identifier: Apache-2.0
"""The parameters, topics and services as text: config/seem.yaml and docs/reference/ are made of this."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from seem_ros.ros.camera.publisher import TOPICS, VISION_TOPICS
from seem_ros.ros.click_subscriber import CLICK_TOPICS
from seem_ros.ros.find.action_server import ACTIONS
from seem_ros.ros.parameters import table
from seem_ros.ros.services import SERVICES

INPUTS = {
    "image": ("sensor_msgs/Image or CompressedImage", "The camera; compressed also as image/compressed."),
    "depth": ("sensor_msgs/Image", "Registered to the image, 16UC1 millimetres or 32FC1 metres; optional."),
    "camera_info": ("sensor_msgs/CameraInfo", "Calibration, for positions; optional."),
}


def value_text(value: Any) -> str:
    """A parameter's value as YAML and as people write it."""
    return f"{value:g}" if isinstance(value, float) and value != int(value) else json.dumps(value)


def yaml_text() -> str:
    """config/seem.yaml: every parameter with its description, range and default."""
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# Every parameter of the node with its default. Written by scripts/write_reference.py.",
        "/**:",
        "  ros__parameters:",
    ]
    group = ""
    for row in table():
        prefix, _, name = row.name.rpartition(".")
        if prefix != group:
            lines.append(f"    {prefix}:")
            group = prefix
        indent = "      " if prefix else "    "
        notes = [row.description[0].upper() + row.description[1:]]
        if row.allowed():
            notes.append(f"Allowed: {row.allowed()}.")
        if not row.changeable:
            notes.append("Read when the node is configured.")
        text = " ".join(note if note.endswith(".") else f"{note}." for note in notes)
        lines += [f"{indent}# {line}" for line in textwrap.wrap(text, 110)]
        lines.append(f"{indent}{name}: {value_text(row.default)}")
    return "\n".join(lines) + "\n"


def _kind(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    return f"{kind.__module__.split('.')[0]}/{kind.__name__}"


def table_rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def documentation_tables() -> dict[str, str]:
    """The tables by name, in Markdown."""
    published = {name: (_kind(kind), text) for name, (kind, text) in TOPICS.items()}
    published |= {name: (f"vision_msgs/{kind}", text) for name, (kind, text) in VISION_TOPICS.items()}
    published["/diagnostics"] = ("diagnostic_msgs/DiagnosticArray", "Rate, latency per stage, drops, backend, memory.")
    heard = dict(INPUTS) | {f"~/{name}": (_kind(kind), text) for name, (kind, text) in CLICK_TOPICS.items()}
    return {
        "services": table_rows(
            ("Service", "Type", "What it does"),
            [(f"`~/{name}`", f"`{_kind(kind)}`", text) for name, (kind, text) in SERVICES.items()],
        ),
        "actions": table_rows(
            ("Action", "Type", "What it does"),
            [(f"`~/{name}`", f"`{_kind(kind)}`", text) for name, (kind, text) in ACTIONS.items()],
        ),
        "published": table_rows(
            ("Topic", "Type", "What it is"),
            [
                (f"`{name if name.startswith('/') else '~/' + name}`", f"`{kind}`", text)
                for name, (kind, text) in published.items()
            ],
        ),
        "subscribed": table_rows(
            ("Topic", "Type", "What it is"), [(f"`{name}`", f"`{kind}`", text) for name, (kind, text) in heard.items()]
        ),
        "parameters": table_rows(
            ("Parameter", "Default", "Allowed", "While running", "What it does"),
            [
                (
                    f"`{row.name}`",
                    f"`{value_text(row.default)}`",
                    row.allowed(),
                    "yes" if row.changeable else "no",
                    row.description,
                )
                for row in table()
            ],
        ),
    }
