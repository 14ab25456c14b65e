# SPDX-License-Identifier: Apache-2.0
"""Waiting for things over DDS: found when they show up, cancelled, too late, refused, and cheap together."""

import math
from array import array

import pytest
from action_msgs.msg import GoalStatus
from colour_backend import scene
from harness import Camera, wait_for
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.action import ActionClient

from seem_ros.action import Find
from seem_ros.msg import Click, Prompt, Target, TargetArray
from seem_ros.ros.messages.images import stamp_to_ns
from seem_ros.srv import RemoveTargets, Segment, Teach

RED, BLUE, GREEN = (30, 30), (90, 60), (30, 70)


class Stage:
    """What the camera sees now; the stamps of the first frames after a change are noted."""

    def __init__(self):
        self.blobs = {RED: "red"}

    def picture(self, index):
        return scene(dict(self.blobs))


class Wait:
    """A goal that was sent."""

    def __init__(self, client, actions, timeout_s=20.0, **prompt):
        self.feedback = []
        camera = prompt.pop("camera", "")
        goal = Find.Goal(prompt=Prompt(**prompt), timeout_s=timeout_s, camera=camera)
        sent = actions.send_goal_async(goal, feedback_callback=lambda message: self.feedback.append(message.feedback))
        self.handle = client.wait(sent, "the goal's acceptance")
        assert self.handle.accepted
        self._client, self._result = client, self.handle.get_result_async()

    @property
    def is_over(self):
        return self._result.done()

    def result(self, timeout_s=20.0):
        answer = self._client.wait(self._result, "the goal's result", timeout_s)
        return answer.status, answer.result

    def cancel(self):
        return self._client.wait(self.handle.cancel_goal_async(), "the answer to the cancellation")


@pytest.fixture(scope="module")
def stage():
    return Stage()


@pytest.fixture(scope="module")
def node(start_node, tmp_path_factory):
    return start_node("call_timeout_s:=4.0", f"objects_dir:={tmp_path_factory.mktemp('taught')}")


@pytest.fixture(scope="module")
def camera(client, node, stage):
    made = Camera(client, "image", stage.picture)
    ready = Segment.Request(prompts=[Prompt(text="red")])
    wait_for(lambda: client.call(Segment, "/seem/segment", ready).success, "the first answer", 60)
    yield made
    made.close()


@pytest.fixture(scope="module")
def actions(client, camera):
    made = ActionClient(client.node, Find, "/seem/find")
    assert made.wait_for_server(20)
    yield made
    made.destroy()


@pytest.fixture(autouse=True)
def as_before(client, stage, camera):
    stage.blobs = {RED: "red"}
    camera.resume()
    asked = Segment.Request(prompts=[Prompt(text=name) for name in ("red", "blue", "green", "yellow")])

    def as_it_should_be():
        answer = client.call(Segment, "/seem/segment", asked)
        return answer.success and [index >= 0 for index in answer.segment_indices] == [True, False, False, False]

    wait_for(as_it_should_be, "frames of the bare stage")
    yield
    client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(all=True))


def test_what_is_there_already_is_found_at_once_and_followed(client, actions, camera):
    status, result = Wait(client, actions, text="red", label="my mug").result()
    assert status == GoalStatus.STATUS_SUCCEEDED and result.success, result.message
    assert result.target.target_id and result.target.state == Target.TRACKED and result.target.label == "my mug"
    assert result.frames_looked_at <= 3 and result.best_presence > 0.5
    assert stamp_to_ns(result.header.stamp) in camera.stamps_ns and result.header.frame_id == "optical"
    status, again = Wait(client, actions, text="red").result()
    assert status == GoalStatus.STATUS_SUCCEEDED and again.target.target_id == result.target.target_id


def test_it_is_found_within_three_frames_of_showing_up_with_feedback_until_then(client, actions, camera, stage):
    wait = Wait(client, actions, text="blue")
    wait_for(lambda: len(wait.feedback) >= 3, "feedback of three frames")
    assert not wait.is_over and wait.feedback[-1].best_presence < 0.5
    assert wait.feedback[-1].frames_looked_at > wait.feedback[0].frames_looked_at
    camera.pause()
    done = client.listen(TargetArray, "/seem/targets")
    stage.blobs[BLUE] = "blue"
    shown_ns = []
    while not wait.is_over:  # one after the other: of what comes faster than it looks, a busy machine skips some
        shown_ns.append(camera.publish_one())
        assert len(shown_ns) < 20
        wait_for(
            lambda: wait.is_over or any(stamp_to_ns(one.header.stamp) == shown_ns[-1] for one in done), "its targets"
        )
    _, result = wait.result()
    assert result.success, result.message
    assert stamp_to_ns(result.header.stamp) in shown_ns[:3]
    assert (round(result.target.centroid.x + 0.5), round(result.target.centroid.y + 0.5)) == BLUE


def test_several_wait_together_and_each_is_answered_by_itself(client, actions, stage):
    waits = {name: Wait(client, actions, text=name) for name in ("blue", "green", "yellow")}
    stage.blobs[GREEN] = "green"
    assert waits["green"].result()[1].success
    assert not waits["blue"].is_over
    stage.blobs[BLUE] = "blue"
    assert waits["blue"].result()[1].success
    assert not waits["yellow"].is_over
    waits["yellow"].cancel()
    assert waits["yellow"].result()[0] == GoalStatus.STATUS_CANCELED


def test_a_cancelled_wait_ends_as_cancelled_also_while_no_frame_comes(client, actions, camera):
    wait = Wait(client, actions, text="blue")
    wait_for(lambda: wait.feedback, "feedback")
    camera.pause()
    assert wait.cancel().goals_canceling
    status, result = wait.result(5.0)
    assert status == GoalStatus.STATUS_CANCELED and not result.success and "cancelled after" in result.message
    assert result.frames_looked_at >= 1


def test_when_the_time_is_over_the_answer_tells_how_close_it_came(client, actions):
    status, result = Wait(client, actions, timeout_s=0.6, text="blue").result(5.0)
    assert status == GoalStatus.STATUS_ABORTED and not result.success
    assert "not seen within 0.6 s" in result.message and "0.50 needed" in result.message


def test_the_time_is_over_also_while_no_frame_comes_and_says_so(client, actions, camera):
    camera.pause()
    status, result = Wait(client, actions, timeout_s=0.5, text="blue").result(5.0)
    assert status == GoalStatus.STATUS_ABORTED and "no frame was looked at; listening to /image" in result.message


def test_a_taught_object_is_waited_for_by_its_name(client, actions, stage):
    stage.blobs[GREEN] = "yellow"
    lesson = Teach.Request(name="my thing", prompt=Prompt(text="yellow"))
    wait_for(lambda: client.call(Teach, "/seem/teach", lesson).success, "the lesson")
    del stage.blobs[GREEN]
    asked = Segment.Request(prompts=[Prompt(text="yellow")])
    wait_for(lambda: client.call(Segment, "/seem/segment", asked).segment_indices == array("i", [-1]), "its end")
    wait = Wait(client, actions, text="my thing")
    wait_for(lambda: len(wait.feedback) >= 2, "feedback")
    stage.blobs[BLUE] = "yellow"
    result = wait.result()[1]
    assert result.success and result.target.label == "my thing"
    assert (round(result.target.centroid.x + 0.5), round(result.target.centroid.y + 0.5)) == BLUE


@pytest.mark.parametrize(
    ("timeout_s", "prompt", "words"),
    [
        (0.0, {"text": "red"}, "timeout_s must be above 0"),
        (-1.0, {"text": "red"}, "timeout_s must be above 0"),
        (math.nan, {"text": "red"}, "got nan"),
        (math.inf, {"text": "red"}, "got inf"),
        (365 * 86_400.0, {"text": "red"}, "at most 86400 seconds"),
        (5.0, {}, "an empty prompt"),
        (5.0, {"clicks": [Click(x=3.0, y=3.0)]}, "say nothing about pictures to come"),
        (5.0, {"text": "red", "camera": "none"}, "no camera 'none'"),
        (5.0, {"text": "flurbl"}, "never trained on 'flurbl'"),
        (5.0, {"text": "red", "label": "x" * 10_000}, "200 characters"),
    ],
)
def test_what_cannot_be_waited_for_is_answered_at_once_with_the_reason(client, actions, timeout_s, prompt, words):
    status, result = Wait(client, actions, timeout_s, **prompt).result(5.0)
    assert status == GoalStatus.STATUS_ABORTED and not result.success and words in result.message


def test_when_the_node_is_deactivated_nobody_waits_in_vain(client, camera, start_node):
    other = start_node(name="stopped")
    actions = ActionClient(client.node, Find, "/stopped/find")
    try:
        assert actions.wait_for_server(20)
        ready = Segment.Request(prompts=[Prompt(text="red")])
        wait_for(lambda: client.call(Segment, "/stopped/segment", ready).success, "the first answer", 60)
        wait = Wait(client, actions, text="blue")
        wait_for(lambda: wait.feedback, "feedback")
        down = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
        assert client.call(ChangeState, "/stopped/change_state", down).success
        assert "the node was deactivated" in wait.result(5.0)[1].message
        assert "the node is not active" in Wait(client, actions, text="red").result(5.0)[1].message
    finally:
        actions.destroy()
        other.stop()
    assert "Traceback" not in other.log


def test_the_seventeenth_wait_is_refused_and_the_others_go_on(client, actions):
    waits = [Wait(client, actions, text="blue") for _ in range(16)]
    assert "16 things are waited for" in Wait(client, actions, text="green").result()[1].message
    for wait in waits:
        assert not wait.is_over
        wait.cancel()
    assert {wait.result()[0] for wait in waits} == {GoalStatus.STATUS_CANCELED}
    assert Wait(client, actions, text="red").result()[1].success
