# SPDX-License-Identifier: Apache-2.0
"""model:=focalt_v1 on the node: it fetches, says how far it is while it answers, and goes on; offline it says how."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from colour_backend import scene
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, ports_left, wait_for
from std_msgs.msg import Header

from seem_ros.msg import Prompt
from seem_ros.ros.messages.images import array_to_image
from seem_ros.runtime.official.names import REPOSITORY
from seem_ros.srv import Segment

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "runtime"))
from local_hub import LocalHub  # noqa: E402

BUSY_S = 120.0  # two processes start one after the other, perhaps beside busy cores
MODEL, FILE = "focalt_v1", "seem_focalt_v1.pt"
ASKED = Segment.Request(image=array_to_image(scene({(60, 40): "red"}), Header()), prompts=[Prompt(text="red cube")])


@pytest.fixture
def hub(monkeypatch, tmp_path):
    made = LocalHub(f"{REPOSITORY}/resolve/main/{FILE}", np.random.default_rng(0).bytes(6_000_000))
    for name, value in (
        ("HF_ENDPOINT", made.address),
        ("HF_HUB_CACHE", tmp_path / "hub"),
        ("SEEM_ROS_WEIGHTS", tmp_path),
    ):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(HERE.parents[1]), os.environ.get("PYTHONPATH", ""))))
    yield made
    made.close()


@pytest.fixture
def start(tmp_path):
    started = []

    def run(name):
        parameters = (f"model:={MODEL}", f"cache_dir:={tmp_path / 'cache'}", "call_timeout_s:=20.0")
        started.append(NodeProcess(HERE / "official_node.py", *parameters, name=name))
        return started[-1]

    yield run
    for node in started:
        node.stop()


def makers(node):
    """Processes that the node has started and that still run."""
    children = Path(f"/proc/{node.process.pid}/task")
    return [pid for task in children.glob("*/children") for pid in task.read_text().split()]


def test_it_answers_while_it_fetches_says_how_far_it_is_and_serves_when_it_is_done(client, hub, start):
    hub.gate.clear()
    node = start("fetching")
    heard = client.listen(DiagnosticArray, "/diagnostics")
    answer = client.call(Segment, "/fetching/segment", ASKED, BUSY_S)
    wait_for(lambda: hub.ranges, "the fetch", BUSY_S)
    wait_for(lambda: f"model {MODEL}: fetching {FILE}: " in node.log, "a line in the log")
    answer = client.call(Segment, "/fetching/segment", ASKED)
    assert not answer.success and answer.message.startswith(f"the node is not active: fetching {FILE}: ")
    assert "% of 6 MB" in answer.message
    hub.gate.set()
    wait_for(lambda: client.call(Segment, "/fetching/segment", ASKED, BUSY_S).success, "an answer", BUSY_S)
    told = [one for array in heard for one in array.status if one.name == "fetching: preparation"]
    assert told and told[-1].level == b"\x01" and told[-1].values[0].value == MODEL
    assert "Traceback" not in node.log and "internal error" not in node.log


@pytest.mark.alone
def test_ctrl_c_while_it_fetches_ends_node_and_fetch_and_keeps_what_came(client, hub, start, tmp_path):
    hub.gate.clear()
    node = start("leaving")
    wait_for(lambda: any(path.stat().st_size for path in tmp_path.glob(f".{FILE}.*.part")), "the first quarter", BUSY_S)
    (maker,) = makers(node)
    before = ports_left()
    assert node.stop() == 0
    assert ports_left() == before, "whoever opened this port would go on talking to nobody, and not to the next node"
    wait_for(lambda: not Path(f"/proc/{maker}").exists(), "the end of the fetch", 5)
    assert any(path.stat().st_size for path in tmp_path.glob(f".{FILE}.*.part"))
    assert "Traceback" not in node.log and "cannot configure" not in node.log, node.log


def test_without_a_network_it_says_what_to_put_where_to_the_log_and_to_every_caller(
    client, hub, start, monkeypatch, tmp_path
):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    node = start("offline")
    said = ("cannot configure", f"{REPOSITORY}/resolve/main/{FILE}", str(tmp_path))
    wait_for(lambda: all(one in node.log for one in said), "what to put where, in the log", BUSY_S)
    answer = client.call(Segment, "/offline/segment", ASKED, BUSY_S)
    assert not answer.success and f"{FILE} could not be fetched" in answer.message, (answer.message, node.log)
    assert str(tmp_path) in answer.message and node.process.poll() is None and "Traceback" not in node.log, node.log
