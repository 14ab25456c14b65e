# SPDX-License-Identifier: Apache-2.0
"""Up and down ten times, killed and restarted, started with what cannot work."""

import signal
import time

import pytest
from colour_backend import scene
from harness import ROOT, Camera, NodeProcess, ports_left, wait_for
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from seem_ros.msg import Prompt, SegmentArray
from seem_ros.srv import Segment

REQUEST = Segment.Request(prompts=[Prompt(text="red")])
pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def camera(client):
    made = Camera(client, "image", lambda index: scene({(60, 40): "red"}))
    yield made
    made.close()


def change(client, name, transition):
    return client.call(
        ChangeState, f"/{name}/change_state", ChangeState.Request(transition=Transition(id=transition)), 60
    ).success


def state_of(client, name):
    return client.call(GetState, f"/{name}/get_state", GetState.Request(), 60).current_state.id


def services_of(client, name):
    return sorted(
        service
        for service, _ in client.node.get_service_names_and_types_by_node(name, "/")
        if service.rsplit("/", 1)[1] in ("segment", "refine", "remove_targets", "set_vocabulary", "enable")
    )


def test_ten_times_down_and_up_leave_one_of_each_service_and_no_memory_behind(client, camera, start_node):
    node = start_node(name="cycled")
    wait_for(lambda: client.call(Segment, "/cycled/segment", REQUEST, 60).success, "the first answer", 60)
    memory = []
    for _ in range(10):
        assert change(client, "cycled", Transition.TRANSITION_DEACTIVATE)
        refused = client.call(Segment, "/cycled/segment", REQUEST)
        assert not refused.success and "not active" in refused.message
        assert change(client, "cycled", Transition.TRANSITION_CLEANUP)
        assert state_of(client, "cycled") == State.PRIMARY_STATE_UNCONFIGURED
        assert change(client, "cycled", Transition.TRANSITION_CONFIGURE)
        assert change(client, "cycled", Transition.TRANSITION_ACTIVATE)
        wait_for(lambda: client.call(Segment, "/cycled/segment", REQUEST).success, "an answer after activation")
        memory.append(node.memory_mb())
    wait_for(lambda: len(services_of(client, "cycled")) == 5, "five services")
    assert max(memory[-3:]) < memory[1] * 1.05 + 2, memory
    assert "Traceback" not in node.log, node.log[-2000:]
    assert node.stop() == 0


def test_targets_survive_deactivation_but_not_cleanup(client, camera, start_node):
    start_node(name="paused")
    heard = client.listen(SegmentArray, "/paused/segments")
    tracked = Segment.Request(prompts=[Prompt(text="red")], track=True)
    wait_for(lambda: client.call(Segment, "/paused/segment", tracked, 60).success, "a target", 60)
    change(client, "paused", Transition.TRANSITION_DEACTIVATE)
    heard.clear()
    change(client, "paused", Transition.TRANSITION_ACTIVATE)
    wait_for(lambda: heard and heard[-1].segments and heard[-1].segments[0].target_id == 1, "the target again")
    for transition in (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    ):
        assert change(client, "paused", transition)
    heard.clear()
    wait_for(lambda: heard and not heard[-1].segments, "frames without targets")


def test_a_transition_that_cannot_be_made_is_refused_and_changes_nothing(client, start_node):
    start_node("autostart:=false", name="asleep")
    assert not change(client, "asleep", Transition.TRANSITION_ACTIVATE)
    assert state_of(client, "asleep") == State.PRIMARY_STATE_UNCONFIGURED
    assert change(client, "asleep", Transition.TRANSITION_CONFIGURE)
    assert not change(client, "asleep", Transition.TRANSITION_CONFIGURE)
    assert state_of(client, "asleep") == State.PRIMARY_STATE_INACTIVE


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_node_that_was_killed_is_replaced_by_another_one(client, camera, start_node, how, monkeypatch):
    # Over sockets: a process that is killed while it holds a lock in Fast DDS's shared memory may leave the camera's
    # driver, which here lives with the tests, waiting for it for ever.
    monkeypatch.setenv("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")
    name = f"mortal_{int(how)}"
    first = start_node(name=name)
    wait_for(lambda: client.call(Segment, f"/{name}/segment", REQUEST, 60).success, "an answer", 60)
    assert first.stop(how) == (0 if how == signal.SIGINT else -9)
    start_node(name=name)
    deadline = time.monotonic() + 120
    while True:  # a call that raced the old node's departure is not answered: ask again
        try:
            response = client.call(Segment, f"/{name}/segment", REQUEST, 10)
            if response.success:
                break
        except AssertionError:
            pass
        assert time.monotonic() < deadline, "the second node never answered"


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("overlay_alpha:=7.0", "overlay_alpha"),
        ("cameras:=[bad name]", "camera"),
        ("max_rate_hz:=fast", "max_rate_hz"),
        ("tracker.max_targets:=500", "at most 255"),
    ],
)
def test_parameters_that_cannot_be_used_are_told_at_the_start(start_node, parameter, words):
    node = start_node(parameter, name="refused")
    wait_for(lambda: node.process.poll() is not None, "the end", 60)
    assert node.process.returncode == 2
    assert words in node.log and "Traceback" not in node.log, node.log


def test_a_node_that_shall_not_start_by_itself_waits_for_its_manager(client, camera, start_node):
    start_node("autostart:=false", name="managed")
    assert state_of(client, "managed") == State.PRIMARY_STATE_UNCONFIGURED
    assert change(client, "managed", Transition.TRANSITION_CONFIGURE)
    assert change(client, "managed", Transition.TRANSITION_ACTIVATE)
    wait_for(lambda: client.call(Segment, "/managed/segment", REQUEST).success, "an answer", 60)


def test_ctrl_c_while_calls_wait_leaves_no_stray_lines(client, start_node):
    node = start_node("call_timeout_s:=20.0", remaps=("image:=/nobody/image",), name="leaving")
    wait_for(lambda: "listening" in node.log, "the node to listen", 60)
    futures = [client.send(Segment, "/leaving/segment", REQUEST) for _ in range(4)]
    wait_for(lambda: client.node.count_clients("/leaving/segment") > 0, "the calls")
    time.sleep(0.5)  # so that they have arrived and wait for a picture; nothing tells when
    assert node.stop() == 0
    assert "exception" not in node.log and "Traceback" not in node.log, node.log
    assert not any(future.done() and future.result().success for future in futures)


SLOW_NODE = """
import sys, time
sys.path.insert(0, {perception!r})
from colour_backend import ColourBackend
from seem_ros.perception.segmenter import Segmenter
from seem_ros.ros.node import main

def load(settings):
    print("loading", flush=True)
    time.sleep(1.5)
    return Segmenter(ColourBackend(), settings.segmenter_config())

sys.exit(main(load=load))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_being_ended_while_the_model_is_loaded_leaves_no_stray_lines(tmp_path, private_ros, how):
    script = tmp_path / "slow_node.py"
    script.write_text(SLOW_NODE.format(perception=str(ROOT / "test" / "perception")))
    node = NodeProcess(script, name="hasty")
    wait_for(lambda: "loading" in node.log, "the model to be loaded", 60)
    before = ports_left()
    assert node.stop(how) == 0
    assert node.log.splitlines() == ["loading"]
    assert ports_left() == before, "whoever opened this port would go on talking to nobody, and not to the next node"


def test_parameters_are_taken_as_people_write_them_and_a_mistyped_one_is_said(client, start_node, tmp_path):
    from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
    from rcl_interfaces.srv import GetParameters, SetParameters

    path = tmp_path / "params.yaml"
    path.write_text("/**:\n  ros__parameters:\n    max_rate_hz: 5\n    kamera_timeout_s: 3.0\n")
    node = start_node(name="written", extra=("--params-file", str(path)))
    wait_for(lambda: "listening" in node.log, "the node to listen", 60)
    assert "there is no parameter kamera_timeout_s" in node.log and "did you mean camera_timeout_s" in node.log
    whole = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=7)
    request = SetParameters.Request(parameters=[Parameter(name="max_rate_hz", value=whole)])
    assert client.call(SetParameters, "/written/set_parameters", request).results[0].successful
    asked = client.call(GetParameters, "/written/get_parameters", GetParameters.Request(names=["max_rate_hz"]))
    assert asked.values[0].double_value == 7.0
    node.stop()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/**:\n  ros__parameters:\n    cameras: []\n", "cameras must name 1 to 16 cameras, got 0"),
        ("seem:\n  max_rate_hz: 5\n", "ros__parameters"),
    ],
    ids=["no camera", "wrong form"],
)
def test_a_parameter_file_that_cannot_be_used_is_told_in_a_line(start_node, tmp_path, text, words):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    node = start_node(name="refused", extra=("--params-file", str(path)))
    wait_for(lambda: node.process.poll() is not None, "the end", 60)
    assert node.process.returncode == 2 and words in node.log and "Traceback" not in node.log
