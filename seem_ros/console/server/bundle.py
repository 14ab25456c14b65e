# SPDX-License-Identifier: Apache-2.0
"""Everything that a report about one picture needs, as one ZIP file."""

from __future__ import annotations

import io
import json
import platform
import zipfile
from typing import Any

import cv2
import numpy as np
import yaml

import seem_ros
from seem_ros.console.pictures.wire import unpack

README = """What a browser console of seem_ros saved.

picture.jpg       the camera's picture as it was shown
labels.png        its label image, 0 = nothing (16 bits where a value needs them)
segments.json     stamp, camera, and the record of each label value
calls.txt         the calls that were made, as shell lines, with their answers
parameters.yaml   the node's parameters, as `--params-file` takes them
diagnostics.json  what the node said about itself
versions.json     of the software
"""


def write_bundle(
    packed: bytes,
    node: str,
    calls: list[dict[str, Any]],
    parameters: list[dict[str, Any]],
    diagnostics: list[dict[str, Any]],
) -> bytes:
    """A ZIP file.

    Args:
        packed: The picture with its segments, as the console has sent it.
        node: The node's name.
        calls: The log.
        parameters: Of the node.
        diagnostics: Of the node.

    Raises:
        FrameError: ``packed`` is not such a picture.
    """
    picture = unpack(packed)
    values = {one["name"]: one["value"] for one in parameters}
    files = {
        "README.txt": README.encode(),
        "picture.jpg": picture.jpeg,
        "segments.json": _json({key: picture.header.get(key) for key in ("camera", "stamp", "source", "segments")}),
        "calls.txt": "".join(
            f"# {one['time']}  {one['took_ms']} ms  {'done' if one['success'] else 'refused'}  {one['message']}\n"
            f"{one['line']}\n"
            for one in calls
        ).encode(),
        "parameters.yaml": yaml.safe_dump({node: {"ros__parameters": values}}, sort_keys=True).encode(),
        "diagnostics.json": _json(diagnostics),
        "versions.json": _json(
            {
                "seem_ros": seem_ros.__version__,
                "python": platform.python_version(),
                "numpy": np.__version__,
                "opencv": cv2.__version__,
                "system": platform.platform(),
            }
        ),
    }
    if picture.labels is not None:
        labels = picture.labels
        narrow = labels.astype(np.uint8) if labels.max() < 256 else labels
        files["labels.png"] = cv2.imencode(".png", narrow)[1].tobytes()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return written.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()
