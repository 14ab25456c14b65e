# SPDX-License-Identifier: Apache-2.0
"""The libraries below the node look up nobody, connect to nobody and leave no ids behind."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from network_watch import SENDS_AFTER_S, NetworkWatch

ROOT = Path(__file__).parents[2]

USE_EVERYTHING = """
import sys, time
{first}
from seem_ros.perception.segmenter import Segmenter
import importlib.util
import numpy as np
for name in ("torch", "timm", "transformers", "huggingface_hub", "tokenizers", "onnx", "mujoco", "rosbags", "cv2"):
    if importlib.util.find_spec(name):
        __import__(name)
for backend in ("openvino", "onnxruntime"):
    if importlib.util.find_spec(backend):
        with Segmenter.load({model!r}, backend=backend) as segmenter:
            segmenter.panoptic(frame=np.zeros((240, 320, 3), np.uint8))
            time.sleep({seconds})
print("used")
"""


def test_the_libraries_send_nothing_and_leave_no_ids(tmp_path):
    watch = NetworkWatch(tmp_path)
    script = USE_EVERYTHING.format(first="", model=str(ROOT / "models/lite"), seconds=SENDS_AFTER_S / 2)
    environment = watch.environment()
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "used", done.stderr
    assert watch.noticed() == []
    assert watch.left() == []


def test_the_watcher_sees_what_would_be_sent_without_the_switches(tmp_path):
    if not list(importlib.metadata.distributions(name="openvino-telemetry")):
        pytest.skip("OpenVINO's sender is not installed")
    watch = NetworkWatch(tmp_path)
    try_it = "try: socket.create_connection(('192.0.2.1', 9), 1)\nexcept OSError: pass"
    first = f"import openvino_telemetry, socket\n{try_it}"
    script = USE_EVERYTHING.format(first=first, model=str(ROOT / "models/lite"), seconds=1.0)
    environment = watch.environment() | {"ORT_DISABLE_TELEMETRY": "0"}
    environment.pop("CI", None)  # there the senders keep quiet by themselves
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "used", done.stderr
    assert "connect 192.0.2.1" in watch.noticed()
    assert any("google" in line for line in watch.noticed())
    assert any(name.startswith("intel/") for name in watch.left())
