# SPDX-License-Identifier: Apache-2.0
"""An official model by its name: fetched, exported, kept, once; with a narrow network's weights over a local hub."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from local_hub import LocalHub
from narrow_official import MODEL, released_file

from seem_ros.errors import BackendError, CheckpointError
from seem_ros.export import official
from seem_ros.runtime.loader import load_backend
from seem_ros.runtime.official import preparation
from seem_ros.runtime.official.names import REPOSITORY
from seem_ros.runtime.official.preparation import Preparation, prepared_package

WORKER = Path(__file__).parents[1] / "narrow_official.py"
WAIT_S = 300.0  # an export beside busy cores


@pytest.fixture(scope="module")
def hub():
    made = LocalHub(f"{REPOSITORY}/resolve/main/seem_{MODEL}.pt", released_file())
    yield made
    made.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where everything is kept."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def here(monkeypatch, hub, home):
    """Models are made by the narrow worker and kept in `home`."""
    monkeypatch.setattr(preparation, "COMMAND", (sys.executable, str(WORKER)))
    for name, value in (
        ("HF_ENDPOINT", hub.address),
        ("HF_HUB_CACHE", str(home / "hub")),
        ("SEEM_ROS_WEIGHTS", str(home / "weights")),
        ("SEEM_ROS_CACHE", str(home)),
    ):
        monkeypatch.setenv(name, value)


def until(condition, what):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def stopped_midway(hub, home):
    """Begins to fetch and stops in the middle; the message of that, and the file that is left."""
    hub.gate.clear()
    work, raised = Preparation(MODEL, [].append), []

    def run():
        try:
            work.run()
        except BackendError as error:
            raised.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    part = f".seem_{MODEL}.pt.*.part"
    until(lambda: any(path.stat().st_size for path in (home / "weights").glob(part)), "the first quarter")
    work.stop()
    thread.join(5)
    hub.gate.set()
    assert not thread.is_alive()
    (left,) = (home / "weights").glob(part)
    return raised, left


def test_it_can_be_stopped_while_it_fetches_and_goes_on_there_the_next_time(hub, home):
    raised, left = stopped_midway(hub, home)
    assert raised == [f"preparing {MODEL} was stopped"]
    assert 0 < left.stat().st_size < len(hub.content)


@pytest.mark.long
def test_two_processes_at_once_make_it_once_tell_how_far_it_is_and_keep_it(hub, home):
    stopped_midway(hub, home)
    hub.ranges.clear()
    said: list[list[str]] = [[], []]
    packages = {}

    def run(number):
        packages[number] = prepared_package(MODEL, said[number].append)

    both = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(WAIT_S)
    assert {package.folder for package in packages.values()} == {home / "models" / MODEL}
    assert len(hub.ranges) == 1 and hub.ranges[0] > 0  # went on where it was stopped
    worker, waiter = sorted(said, key=len, reverse=True)
    assert waiter == [f"another process makes {MODEL}; waiting for it"]
    assert f"checking seem_{MODEL}.pt" in worker and f"reading seem_{MODEL}.pt" in worker
    assert any(line.startswith(f"exporting {MODEL}: tracing image_encoder, 1 of ") for line in worker)


@pytest.mark.long
def test_what_is_kept_is_opened_without_hub_or_tool_and_answers(hub, home, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(preparation, "COMMAND", ("/nothing",))
    before = len(hub.ranges)
    with load_backend(MODEL, "onnxruntime", threads=1) as backend:
        features = backend.encode_image(np.zeros((64, 96, 3), np.uint8))
        assert backend.spec.name == MODEL and features is not None
    assert len(hub.ranges) == before


@pytest.mark.long
def test_a_kept_package_that_was_damaged_is_made_again(home, monkeypatch, tmp_path):
    folder, said = home / "models" / MODEL, []
    shutil.copytree(folder, tmp_path / MODEL)
    copy = f'rm -r "$1/{MODEL}" && cp -r {tmp_path}/{MODEL} "$1/" && echo "{preparation.READY}$1/{MODEL}"'
    monkeypatch.setattr(preparation, "COMMAND", ("sh", "-c", copy, "maker"))
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    package = prepared_package(MODEL, said.append)
    assert "altered or damaged" in said[0] and "it is made again" in said[0]
    assert package.path(path.name).read_bytes() != content


def test_a_checkpoint_that_cannot_be_fetched_says_what_to_put_where(home, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(CheckpointError) as caught:
        prepared_package("focall_v1", [].append, tmp_path)
    assert f"{REPOSITORY}/resolve/main/seem_focall_v1.pt" in str(caught.value)
    assert str(home / "weights") in str(caught.value) and "Traceback" not in str(caught.value)


def test_a_process_that_was_killed_is_told_by_its_signal(monkeypatch, tmp_path):
    monkeypatch.setattr(preparation, "COMMAND", ("sh", "-c", "kill -9 $$"))
    with pytest.raises(BackendError, match="ended by signal 9"):
        prepared_package(MODEL, [].append, tmp_path)


def test_without_torch_it_is_told_before_anything_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(official, "_NEEDS", ("os", "no_such_module"))
    with pytest.raises(BackendError, match=r"needs no_such_module: pip install 'huggingface_hub.* 'torch>="):
        official.make_package(MODEL, tmp_path, [].append)
    assert os.listdir(tmp_path) == []
