# SPDX-License-Identifier: Apache-2.0
"""A model that hangs or computes for long: calls are answered, transitions complete, the node goes on or ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from action_msgs.msg import GoalStatus
from colour_backend import scene
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from hanging_node import BUSY, HANGS, RAISES
from harness import Camera, NodeProcess, wait_for
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.action import ActionClient
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from seem_ros.action import Find
from seem_ros.msg import Prompt, SegmentArray
from seem_ros.ros.messages.images import array_to_image, stamp_to_ns
from seem_ros.srv import Segment

HERE = Path(__file__).parent
ASKED = {"prompts": [Prompt(text="red")]}


def picture(first=None):
    made = scene({(30, 30): "red"})
    if first is not None:
        made[:] = first
    return made


class Seen:
    """What the camera shows: its first pixels, where they are to mean something, and the stamps so far."""

    def __init__(self):
        self.first, self.stamps_ns = None, []


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def node(client, request, seen):
    name = f"model_{len(request.node.name)}_{request.node.name.count('u')}"
    watchdog = getattr(request, "param", "watchdog_s:=2.0")
    parameters = (watchdog, "call_timeout_s:=1.5", "diagnostics_rate_hz:=10.0")
    started = NodeProcess(HERE / "hanging_node.py", *parameters, remaps=(f"image:={name}/image",), name=name)
    camera = Camera(client, f"{name}/image", lambda index: picture(seen.first), rate_hz=5.0)
    seen.stamps_ns = camera.stamps_ns
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


def wait_for_blue(client, node):
    """A goal that ends by the node's doing alone; its result, which is still to come."""
    actions = ActionClient(client.node, Find, f"/{node.name}/find")
    assert actions.wait_for_server(20)
    feedback = []
    goal = Find.Goal(prompt=Prompt(text="blue"), timeout_s=3600.0)
    accepted = client.wait(actions.send_goal_async(goal, feedback_callback=feedback.append), "the goal's acceptance")
    wait_for(lambda: feedback, "feedback")
    return accepted.get_result_async()


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


def test_who_waits_for_something_to_be_seen_is_told_when_the_model_hangs_and_is_replaced(client, node):
    waits = wait_for_blue(client, node)
    ask_about(client, node, HANGS)
    ended = client.wait(waits, "the goal's result")
    assert ended.status == GoalStatus.STATUS_ABORTED and not ended.result.success
    assert ended.result.message == "the model hung and was replaced; ask again"
    wait_for(lambda: "a fresh model serves" in node.log, "a fresh model")
    assert not wait_for_blue(client, node).done()


@pytest.mark.parametrize("node", ["watchdog_s:=0.0"], indirect=True)
def test_who_waits_for_something_to_be_seen_is_told_when_the_node_is_deactivated_while_its_model_is_busy(client, node):
    waits = wait_for_blue(client, node)
    ask_about(client, node, BUSY)
    assert change(client, node, Transition.TRANSITION_DEACTIVATE)[0]
    ended = client.wait(waits, "the goal's result", 5.0)
    assert ended.status == GoalStatus.STATUS_ABORTED and ended.result.message == "the node was deactivated"
    assert change(client, node, Transition.TRANSITION_CLEANUP)[0]
    assert "Traceback" not in node.log


def test_a_node_that_was_disabled_stays_so_when_its_model_hangs_and_is_replaced(client, node, seen):
    heard = client.listen(SegmentArray, f"/{node.name}/segments")
    wait_for(lambda: heard, "results")
    assert client.call(SetBool, f"/{node.name}/enable", SetBool.Request(data=False)).success
    ask_about(client, node, HANGS)
    wait_for(lambda: "a fresh model serves" in node.log, "a fresh model")
    wait_for(lambda: client.call(Segment, f"/{node.name}/segment", Segment.Request(**ASKED)).success, "an answer")
    count = len(seen.stamps_ns)
    wait_for(lambda: len(seen.stamps_ns) > count + 8, "some frames")
    assert not [one for one in heard if stamp_to_ns(one.header.stamp) >= seen.stamps_ns[count]]
    assert client.call(SetBool, f"/{node.name}/enable", SetBool.Request(data=True)).success
    wait_for(lambda: stamp_to_ns(heard[-1].header.stamp) >= seen.stamps_ns[count], "results again")


def test_an_error_of_a_model_is_gone_from_diagnostics_with_the_model(client, node, seen):
    told = client.listen(DiagnosticArray, "/diagnostics")

    def is_said(level, words):
        newest = [one for array in told[-1:] for one in array.status if one.name == f"{node.name}: model"]
        return any(one.level == level and words in one.message for one in newest)

    tracked = Segment.Request(**ASKED, track=True)
    wait_for(lambda: client.call(Segment, f"/{node.name}/segment", tracked).success, "a target")
    seen.first = RAISES
    wait_for(lambda: is_said(DiagnosticStatus.ERROR, "the driver said no"), "the error")
    seen.first = None
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        assert change(client, node, transition)[0]
    told.clear()
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert change(client, node, transition)[0]
    wait_for(lambda: is_said(DiagnosticStatus.OK, ""), "a model without an error")


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
