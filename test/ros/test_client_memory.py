# SPDX-License-Identifier: Apache-2.0
"""The typed client about what lasts: rounds taken back, names, waits, objects that are remembered."""

import threading
import time

import pytest
from colour_backend import scene
from harness import Camera

from seem_ros.errors import ServiceError, ServiceTimeoutError
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.ros.client import SeemClient

RED, BLUE, YELLOW = (40, 30), (90, 60), (40, 70)
PICTURE = scene({RED: "red", BLUE: "blue", YELLOW: "yellow"})


@pytest.fixture(scope="module")
def seem(private_ros, start_node, client):
    start_node(remaps=["image:=/memory/image"], name="memory_node")
    camera = Camera(client, "/memory/image", lambda _: PICTURE)
    with SeemClient(name="memory_node", timeout_s=20.0) as made:
        made.targets()  # the node runs and hears the camera
        yield made
    camera.close()


@pytest.fixture(autouse=True)
def nothing_left(seem):
    yield
    seem.remove_all_targets()
    for known in seem.objects(thumbnails=False):
        seem.forget(known.name)


def test_a_round_is_taken_back_and_a_target_renamed(seem):
    (target_id,) = seem.segment(["red"], track=True).target_ids
    seem.refine(target_id, Prompt(clicks=(Click(*BLUE),)))
    back = seem.undo(target_id)
    assert round(back.segment.centroid_xy_px[0] + 0.5) == RED[0] and back.rounds_left == 0
    with pytest.raises(ServiceError, match="no round to take back"):
        seem.undo(target_id)
    assert seem.rename(target_id, "my mug") == "my mug" and seem.rename(target_id) == "red"


def test_an_object_is_taught_listed_found_and_forgotten(seem):
    known = seem.teach("my thing", prompt="yellow")
    assert known.name == "my thing" and len(known.taught_ns) == len(known.thumbnails) == 1
    assert abs(known.taught_ns[0] - time.time_ns()) < 60e9 and known.thumbnails[0][:2] == b"\xff\xd8"
    (target_id,) = seem.segment(["my thing"], track=True).target_ids
    assert len(seem.teach("my thing", target_id).taught_ns) == 2
    assert [one.name for one in seem.objects()] == ["my thing"]
    assert (
        len(seem.teach("other", prompt=Prompt(clicks=(Click(64, 48),)), picture=scene({(64, 48): "red"})).taught_ns)
        == 1
    )
    assert seem.forget("my thing") == ("other",)
    with pytest.raises(ServiceError, match="no object 'my thing' is remembered"):
        seem.forget("my thing")


def test_what_is_seen_is_found_and_what_is_not_is_told_after_its_time(seem):
    reply = seem.find("red", seconds=10)
    assert reply.found and reply.target.label == "red" and reply.message == ""
    told = []
    reply = seem.find("green", 0.5, on_progress=lambda presence, frames: told.append(frames))
    assert not reply.found and reply.target is None and "not seen within 0.5 s" in reply.message
    assert told and reply.frames_looked_at >= max(told)
    assert "above 0" in seem.find("red", 0.0).message


def test_a_wait_can_be_cancelled_and_does_not_block(seem):
    finding = seem.find_async("green", 60.0)
    with pytest.raises(TimeoutError, match=r"not ended within 0\.3 s; the wait goes on"):
        finding.result(0.3)
    finding.cancel()
    assert "cancelled" in finding.result(10.0).message


def test_a_node_that_is_not_there_is_told_in_time():
    nobody = SeemClient(name="nobody", timeout_s=0.3)
    with nobody, pytest.raises(ServiceTimeoutError, match=r"nobody offers /nobody/find after 0\.3 s"):
        nobody.find("red", 5.0)


def test_closing_the_client_ends_a_wait(seem):
    other = SeemClient(name="memory_node")
    waits, ended = threading.Event(), threading.Event()
    finding = other.find_async("green", 60.0, on_progress=lambda presence, frames: waits.set())
    finding.future.add_done_callback(lambda _: ended.set())
    assert waits.wait(20)
    other.close()
    assert ended.wait(5)
    with pytest.raises(ServiceError, match="closed"):
        finding.result()
