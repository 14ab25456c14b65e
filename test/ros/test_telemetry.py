# SPDX-License-Identifier: Apache-2.0
"""The node, the tools and the libraries below them look up nobody, connect to nobody and leave no ids behind.

A small library is preloaded into each process: it writes down every name that is looked up and every connection that
leaves the machine, and lets none through.
"""

from __future__ import annotations

import importlib.metadata
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from harness import ROOT, Camera, NodeProcess, wait_for
from preloaded import preloaded_library

from seem_ros.msg import Click, Prompt
from seem_ros.privacy import SWITCHES
from seem_ros.srv import Segment

SENDS_AFTER_S = 12.0  # ONNX Runtime 1.32 looks up its collector ten seconds after it was loaded

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


@pytest.fixture(scope="module")
def watcher(tmp_path_factory) -> Path:
    return preloaded_library("watch_network", tmp_path_factory.mktemp("watch"), "watching the network")


def _environment(watcher: Path, home: Path, log: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in (*SWITCHES, "XDG_CACHE_HOME", "SEEM_ROS_CACHE")}
    return kept | {"LD_PRELOAD": str(watcher), "WATCH_LOG": str(log), "HOME": str(home)}


def _noticed(log: Path) -> list[str]:
    own = {"localhost", socket.gethostname()}
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if line.partition(" ")[2] not in own]


def _left(home: Path) -> list[str]:
    """Files below the home folder that are none of ours."""
    files = (str(p.relative_to(home)) for p in home.rglob("*") if p.is_file())
    ours = (".cache/seem_ros/", ".ros/", ".cache/torch", ".config/matplotlib")
    return [name for name in files if not name.startswith(ours)]


def test_the_libraries_send_nothing_and_leave_no_ids(watcher, tmp_path):
    script = USE_EVERYTHING.format(first="", model=str(ROOT / "models/lite"), seconds=SENDS_AFTER_S / 2)
    environment = _environment(watcher, tmp_path / "home", tmp_path / "log")
    (tmp_path / "home").mkdir()
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "used", done.stderr
    assert _noticed(tmp_path / "log") == []
    assert _left(tmp_path / "home") == []


def test_the_watcher_sees_what_would_be_sent_without_the_switches(watcher, tmp_path):
    if not list(importlib.metadata.distributions(name="openvino-telemetry")):
        pytest.skip("OpenVINO's sender is not installed")
    try_it = "try: socket.create_connection(('192.0.2.1', 9), 1)\nexcept OSError: pass"
    first = f"import openvino_telemetry, socket\n{try_it}"
    script = USE_EVERYTHING.format(first=first, model=str(ROOT / "models/lite"), seconds=1.0)
    environment = _environment(watcher, tmp_path / "home", tmp_path / "log") | {"ORT_DISABLE_TELEMETRY": "0"}
    (tmp_path / "home").mkdir()
    environment.pop("CI", None)  # there the senders keep quiet by themselves
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "used", done.stderr
    assert "connect 192.0.2.1" in _noticed(tmp_path / "log")
    assert any("google" in line for line in _noticed(tmp_path / "log"))
    assert any(name.startswith("intel/") for name in _left(tmp_path / "home"))


def test_a_node_at_work_talks_to_this_machine_only(watcher, tmp_path, client, monkeypatch):
    (tmp_path / "home").mkdir()
    for name, value in _environment(watcher, tmp_path / "home", tmp_path / "log").items():
        monkeypatch.setenv(name, value)
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    node = NodeProcess(ROOT / "scripts" / "seem", "panoptic:=true", remaps=("image:=watched/image",), name="watched")
    camera = Camera(client, "watched/image", lambda index: np.full((240, 320, 3), index % 256, np.uint8))
    try:
        asked = Segment.Request(prompts=[Prompt(text="mug"), Prompt(clicks=[Click(x=9.0, y=9.0)])], track=True)
        wait_for(lambda: client.call(Segment, "/watched/segment", asked).success, "an answer", 60)
        end = time.monotonic() + SENDS_AFTER_S
        while time.monotonic() < end:
            assert client.call(Segment, "/watched/segment", asked) is not None
    finally:
        camera.close()
        node.stop()
    assert _noticed(tmp_path / "log") == []
    assert _left(tmp_path / "home") == []
