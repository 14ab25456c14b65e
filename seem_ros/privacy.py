# SPDX-License-Identifier: Apache-2.0
"""What is set in a process before any library is loaded: no telemetry (a robot does not phone home), bounded pictures.

ONNX Runtime from 1.32 on and OpenVINO send usage data by default and keep ids below the home folder; hub clients count
their users. None of the other dependencies was seen to (see docs/guides/security.md).
"""

from __future__ import annotations

import os
import sys

# Read by ONNX Runtime when it initialises, by huggingface_hub and transformers when they are imported, by Ray when it
# starts; the last is the general convention. Who wants one of them on sets it before.
SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DO_NOT_TRACK": "1",
}
# OpenVINO has no switch of its own short of a file below the home folder. Where this package cannot be imported it
# uses its stand-in, which does nothing.
# Read by OpenCV when it is loaded: a file of a few kilobytes may claim to be a picture of gigabytes. Larger than any
# picture that is taken (8192 x 8192), and refused before it is decoded.
LIMITS = {"OPENCV_IO_MAX_IMAGE_PIXELS": str(8192 * 8192)}
_SENDER = "openvino_telemetry"


def switch_off_telemetry() -> None:
    """Called when `seem_ros` is imported, which is before it imports any library."""
    for name, value in {**SWITCHES, **LIMITS}.items():
        os.environ.setdefault(name, value)
    if _SENDER not in sys.modules:
        sys.modules[_SENDER] = None  # type: ignore[assignment]  # Python's own way to forbid an import
