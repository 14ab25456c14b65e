# SPDX-License-Identifier: Apache-2.0
"""The typed client against a real node over DDS: every call, in words and in time."""

import inspect
import runpy
import time
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest
import rclpy
from colour_backend import scene
from harness import Camera, wait_for
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import SetBool

from seem_ros.errors import FrameError, PromptError, SeemError, ServiceError, ServiceTimeoutError, TargetError
from seem_ros.msg import Click as ClickMessage
from seem_ros.msg import Prompt as PromptMessage
from seem_ros.perception.structures.prompts import Box, Click, Mask, Polygon, Prompt, Reference, Scribble
from seem_ros.perception.tracking.target import TargetState
from seem_ros.ros.client import SeemClient
from seem_ros.ros.messages.prompts import prompt_from_message, prompt_to_message

PICTURE = scene({(40, 30): "red", (90, 60): "blue", (140, 30): "green", (30, 70): "yellow"})
PICTURE[62:78, 22:38, 2] += 18  # a yellow that is not surely yellow: its presence is 0.7
PICK = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "pick.py"))["pick"]


@pytest.fixture(scope="module")
def seem(private_ros, start_node, client):
    start_node("cameras:=[front]", remaps=["image:=/client/image"], name="client_node")
    camera = Camera(client, "/client/image", lambda _: PICTURE)
    with SeemClient(name="client_node", timeout_s=20.0) as made:
        made.targets()  # the node runs and hears the camera
        yield made
    camera.close()


def test_a_planners_round_from_words_to_a_place_and_back(seem):
    found = seem.segment(["the red thing"], track=True)
    (target_id,), (record,) = found.target_ids, found.by_prompt
    assert target_id > 0 and record.target_id == target_id
    mask = found.segments.mask(record.value)
    assert mask.shape == PICTURE.shape[:2] and mask.sum() == record.area_px
    target = seem.wait_for_target(target_id)
    assert target.box.x0 == record.box_xyxy_px[0]
    refined = seem.refine(target_id, Prompt(clicks=(Click(*record.centroid_xy_px),)))
    assert (refined.target_id, refined.state, refined.segment.target_id) == (target_id, TargetState.TRACKED, target_id)
    removed = seem.remove_targets([target_id])
    assert (removed.removed, removed.remaining) == ((target_id,), ())
    wait_for(lambda: not seem.targets(), "the target's end")
    with pytest.raises(ServiceTimeoutError, match=f"target {target_id} being TRACKED within 0.2 s"):
        seem.wait_for_target(target_id, timeout_s=0.2)


def test_the_planner_of_the_examples_reaches_for_what_is_surely_there_and_leaves_no_target_behind(seem):
    assert PICK(seem, "the red thing").startswith("the red thing is target ")
    with pytest.raises(SeemError, match=r"the yellow thing at .*: presence 0\.7., 0\.80 needed"):
        PICK(seem, "the yellow thing")
    wait_for(lambda: not seem.targets(), "the targets' end")


def test_where_nothing_was_found_there_is_no_target_to_wait_for(seem):
    found = seem.segment("the grey thing", track=True)
    assert found.target_ids == (0,)
    with pytest.raises(TargetError, match="nothing was found, so no target was started"):
        seem.wait_for_target(found.target_ids[0])


def test_calls_at_one_time_are_all_answered(seem):
    colours = ("red", "blue", "green", "red")  # as many as may wait at once (max_waiting_calls)
    futures = [seem.segment_async([Prompt(text=f"the {colour} thing")]) for colour in colours]
    done, left = wait(futures, timeout=20)
    assert not left
    assert all(len(future.result().by_prompt) == 1 for future in done)


def test_a_picture_of_ones_own_needs_no_camera(seem):
    found = seem.segment(["the red thing"], picture=PICTURE)
    assert found.by_prompt[0] is not None and found.target_ids == (0,)


def test_every_call_can_be_waited_for_or_not():
    later = [name for name in dir(SeemClient) if name.endswith("_async")]
    assert {"segment_async", "refine_async", "teach_async", "find_async", "undo_async", "call_async"} <= set(later)
    for name in later:
        waiting = getattr(SeemClient, name.removesuffix("_async"))
        assert waiting.__name__ == name.removesuffix("_async") and waiting.__doc__ == getattr(SeemClient, name).__doc__
        assert list(inspect.signature(waiting).parameters) == list(
            inspect.signature(getattr(SeemClient, name)).parameters
        )


def test_a_label_travels_in_a_prompt_message(seem):
    found = seem.segment([PromptMessage(text="the red thing", label="my mug")], track=True)
    assert seem.wait_for_target(found.target_ids[0]).label == "my mug"
    assert seem.remove_all_targets().remaining == ()


def test_one_prompt_needs_no_list(seem):
    for prompt in ("the red thing", Prompt(text="the red thing"), PromptMessage(text="the red thing")):
        (record,) = seem.segment(prompt).by_prompt
        assert record is not None


def test_one_and_zero_and_numbers_of_numpy_are_as_good_as_pythons_own(seem):
    found = seem.segment([Prompt(clicks=(Click(40, 30, negative=np.bool_(False)),))], track=1, stamp_ns=np.int64(0))
    target_id = np.uint32(found.target_ids[0])
    assert seem.wait_for_target(target_id, TargetState.TRACKED).target_id == target_id
    message = PromptMessage(clicks=[ClickMessage(x=np.int64(41), y=31, negative=0)])  # as a caller writes pixels
    assert seem.refine(target_id, message).target_id == target_id
    assert "enabled" in seem.enable(1)
    assert seem.remove_targets(np.array([target_id])).removed == (target_id,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda seem: seem.segment([{"text": "mug"}]), r"prompts\[0\] must be words, a Prompt or .*, got dict"),
        (lambda seem: seem.segment(None), "prompts must be a list, got None"),
        (lambda seem: seem.segment([PromptMessage(label=5)]), r"prompts\[0\].label must be a string, got 5"),
        (lambda seem: seem.segment("mug", track="no"), "track must be True or False, got 'no'"),
        (lambda seem: seem.segment("mug", stamp_ns=1.5), "stamp_ns must be a whole number .*, got 1.5"),
        (lambda seem: seem.segment("mug", camera=0), "camera must be a string, got 0"),
        (lambda seem: seem.segment("mug", timeout_s="5"), "timeout_s must be a number, got '5'"),
        (lambda seem: seem.refine(-1, "mug"), "target_id must be a whole number from 0 to 4294967295, got -1"),
        (lambda seem: seem.undo(1 << 32), "target_id must be a whole number .*, got 4294967296"),
        (lambda seem: seem.rename(1, 5), "label must be a string, got 5"),
        (lambda seem: seem.remove_targets(1), "target_ids must be a list, got 1"),
        (lambda seem: seem.remove_targets(["1"]), r"target_ids\[0\] must be a whole number .*, got '1'"),
        (lambda seem: seem.remove_all_targets(camera=1), "camera must be a string, got 1"),
        (lambda seem: seem.set_vocabulary("mug, box"), r"things must be a list, .*; write things=\['mug', 'box'\]"),
        (lambda seem: seem.set_vocabulary(["mug", 5]), r"things\[1\] must be a string, got 5"),
        (lambda seem: seem.enable("off"), "on must be True or False, got 'off'"),
        (lambda seem: seem.find("mug", seconds="30"), "seconds must be a number, got '30'"),
        (lambda seem: seem.teach(5, 1), "name must be a string, got 5"),
        (lambda seem: seem.teach("mug", 1, replace="yes"), "replace must be True or False, got 'yes'"),
        (lambda seem: seem.objects(thumbnails="no"), "thumbnails must be True or False, got 'no'"),
        (lambda seem: seem.forget("mug", views=0), "views must be a list, got 0"),
        (lambda seem: seem.targets(camera=1), "camera must be a string, got 1"),
        (lambda seem: seem.wait_for_target("1"), "target_id must be a whole number .*, got '1'"),
        (lambda seem: seem.wait_for_target(1, ["GONE"]), r"states\[0\] must be one of .*LOST, got 'GONE'"),
        (lambda seem: seem.call(SetBool, "enable", SetBool.Request(data="no")), "data must be True or False, got 'no'"),
    ],
)
def test_what_a_message_cannot_hold_is_refused_by_its_name_and_the_process_lives(seem, call, words):
    with pytest.raises(PromptError, match=words):
        call(seem)


@pytest.mark.parametrize("picture", [[[0]], PICTURE[:0], PICTURE.astype(float), "photo.jpg"])
def test_a_picture_that_is_none_is_refused_and_the_cameras_is_not_used_instead(seem, picture):
    with pytest.raises(FrameError, match=r"uint8|float64"):
        seem.segment("the red thing", picture=picture)


def test_what_the_node_refuses_is_an_error_with_its_words(seem):
    with pytest.raises(ServiceError, match="there is nothing to look for"):
        seem.segment()
    with pytest.raises(ServiceError, match="there is no target 4711"):
        seem.refine(4711, "the red thing")
    with pytest.raises(ServiceError, match="which targets"):
        seem.remove_targets([])


def test_a_node_that_is_not_there_costs_the_time_out_and_no_more(seem):
    with SeemClient(name="nobody", timeout_s=0.3) as alone:
        begin = time.monotonic()
        with pytest.raises(ServiceTimeoutError, match=r"nobody offers /nobody/segment after 0.3 s"):
            alone.segment(["a mug"])
        future = alone.enable_async(timeout_s=0.2)
        with pytest.raises(ServiceTimeoutError):
            future.result()
        assert time.monotonic() - begin < 5


def test_waiting_ends_when_the_client_is_closed_or_the_caller_gives_up(private_ros):
    closing = SeemClient(name="nobody", timeout_s=60)
    future = closing.segment_async(["a mug"])
    closing.close()
    with pytest.raises(ServiceError, match="closed"):
        future.result(10)

    def gone():
        raise ServiceError("the process ended")

    giving_up = SeemClient(name="nobody", timeout_s=60, while_waiting=gone)
    with giving_up, pytest.raises(ServiceError, match="the process ended"):
        giving_up.enable()


def test_a_call_that_was_sent_is_answered_although_its_future_is_cancelled(seem, capfd):
    future = seem.segment_async(["the red thing"])
    assert not future.cancel()
    assert future.result(20).by_prompt[0] is not None
    assert "Traceback" not in capfd.readouterr().err


def test_a_node_of_ones_own_can_carry_the_calls(seem):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("planner", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    client = SeemClient(node, name="client_node", timeout_s=20.0)
    future = client.segment_async(["the red thing"])
    wait_for(lambda: executor.spin_once(timeout_sec=0.05) or future.done(), "an answer")
    assert future.result().by_prompt[0] is not None
    client.close()
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def test_every_part_of_a_prompt_survives_the_journey():
    mask = np.zeros((20, 30), np.uint8)
    mask[3:6, 4:9] = 1
    sent = Prompt(
        text="the red mug",
        clicks=(Click(1.5, 2), Click(3, 4, negative=True)),
        boxes=(Box(1, 2, 8, 9),),
        scribbles=(Scribble([(1, 1), (5, 5)], width_px=7, negative=True),),
        polygons=(Polygon([(0, 0), (5, 0), (5, 5)]),),
        masks=(Mask(mask, negative=True),),
        reference=Reference(np.full((20, 30, 3), 120, np.uint8), (Box(1, 1, 5, 5), Mask(mask))),
    )
    got = prompt_from_message(prompt_to_message(sent))
    assert (got.text, got.clicks, got.boxes) == (sent.text, sent.clicks, sent.boxes)
    for name in ("scribbles", "polygons"):
        (mine,), (theirs,) = getattr(sent, name), getattr(got, name)
        np.testing.assert_array_equal(mine.points_xy, theirs.points_xy)
        assert mine.negative == theirs.negative
    assert got.scribbles[0].width_px == 7
    np.testing.assert_array_equal(got.masks[0].mask, sent.masks[0].mask)
    assert got.masks[0].negative
    np.testing.assert_array_equal(got.reference.image, sent.reference.image)
    assert got.reference.shapes[0] == sent.reference.shapes[0]


def test_what_a_message_has_no_place_for_is_refused_before_it_is_sent():
    mask = np.ones((4, 4), np.uint8)
    for prompt, words in (
        (Prompt(text="a", boxes=[Box(0, 0, 2, 2, negative=True)]), "negative polygon"),
        (Prompt(masks=[Mask(mask), Mask(mask, negative=True)]), "both signs|positive and negative"),
        (Prompt(masks=[Mask(mask), Mask(np.ones((5, 5), np.uint8))]), "one size"),
    ):
        with pytest.raises(PromptError, match=words):
            prompt_to_message(prompt)
