# SPDX-License-Identifier: Apache-2.0
"""A model that hangs or computes for long: calls are answered, transitions complete, the node goes on or ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from colour_backend import scene
from hanging_node import BUSY, HANGS
from harness import Camera, NodeProcess, wait_for
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from std_msgs.msg import Header

from seem_ros.msg import Prompt
from seem_ros.ros.messages.images import array_to_image
from seem_ros.srv import Segment

HERE = Path(__file__).parent
ASKED = {"prompts": [Prompt(text="red")]}


def picture(first=None):
    made = scene({(30, 30): "red"})
    if first is not None:
        made[:] = first
    return made


@pytest.fixture
def node(client, request):
    name = f"model_{len(request.node.name)}_{request.node.name.count('u')}"
    started = NodeProcess(
        HERE / "hanging_node.py", "watchdog_s:=2.0", "call_timeout_s:=1.5", remaps=(f"image:={name}/image",), name=name
    )
    camera = Camera(client, f"{name}/image", lambda index: picture(), rate_hz=5.0)
    ask = Segment.Request(**ASKED)
    wait_for(lambda: client.call(Segment, f"/{name}/segment", ask).success, "the first answer", 60)
    yield started
    camera.close()
    started.stop(signal.SIGKILL)


def ask_about(client, node, first):
    """A call about a picture of the caller's own; the answer and how long it took."""
    begin = time.monotonic()
    image = array_to_image(picture(first), Header())
    answer = client.call(Segment, f"/{node.name}/segment", Segment.Request(image=image, **ASKED))
    return answer, time.monotonic() - begin


def change(client, node, transition):
    begin = time.monotonic()
    request = ChangeState.Request(transition=Transition(id=transition))
    return client.call(ChangeState, f"/{node.name}/change_state", request).success, time.monotonic() - begin


def state(client, node):
    return client.call(GetState, f"/{node.name}/get_state", GetState.Request()).current_state.id


def test_a_hung_model_is_written_off_and_a_fresh_one_serves_until_the_third_ends_the_process(client, node):
    for number in (1, 2):
        answer, took_s = ask_about(client, node, HANGS)
        assert not answer.success and "busy" in answer.message and took_s < 4
        wait_for(lambda number=number: node.log.count("a fresh model serves") == number, "a fresh model")
        wait_for(lambda: client.call(Segment, f"/{node.name}/segment", Segment.Request(**ASKED)).success, "an answer")
        assert state(client, node) == State.PRIMARY_STATE_ACTIVE
    ask_about(client, node, HANGS)
    wait_for(lambda: node.process.poll() is not None, "the end of the process")
    assert node.process.returncode == 3
    assert "ending with exit status 3" in node.log and "Traceback" not in node.log


def test_cleaning_up_while_the_model_is_busy_completes_and_the_node_can_be_configured_again(client, node):
    answer, _ = ask_about(client, node, BUSY)
    assert not answer.success
    good, took_s = change(client, node, Transition.TRANSITION_DEACTIVATE)
    assert good and took_s < 3
    good, took_s = change(client, node, Transition.TRANSITION_CLEANUP)
    assert good and took_s < 3 and state(client, node) == State.PRIMARY_STATE_UNCONFIGURED
    assert not change(client, node, Transition.TRANSITION_ACTIVATE)[0]
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert change(client, node, transition)[0]
    wait_for(lambda: client.call(Segment, f"/{node.name}/segment", Segment.Request(**ASKED)).success, "an answer")
    assert "internal error" not in node.log


@pytest.mark.parametrize("first", [BUSY, HANGS], ids=["busy", "hung"])
def test_a_node_whose_model_is_busy_or_hung_ends_within_two_seconds(client, node, first):
    image = array_to_image(picture(first), Header())
    client.send(Segment, f"/{node.name}/segment", Segment.Request(image=image, **ASKED))
    end = time.monotonic() + 0.5
    while time.monotonic() < end:  # the call is on its way and the model has it
        assert node.process.poll() is None
        time.sleep(0.05)
    begin = time.monotonic()
    status = node.stop()
    assert time.monotonic() - begin < 4.0  # two seconds, and what a busy machine adds
    assert status == 0 and "Traceback" not in node.log
