# SPDX-License-Identifier: Apache-2.0
"""Over DDS: rounds taken back, targets renamed, and objects that are taught, outlive the node, and are forgotten."""

import signal

import numpy as np
import pytest
from colour_backend import scene
from harness import Camera, wait_for
from std_msgs.msg import Header

from seem_ros.msg import Click, Prompt, Reference, Target, TargetArray
from seem_ros.ros.messages.images import array_to_image, ns_to_stamp
from seem_ros.srv import Forget, Objects, Refine, RemoveTargets, Rename, Segment, Teach, Undo

RED, BLUE, YELLOW = (30, 30), (90, 60), (30, 70)
PICTURE = scene({RED: "red", BLUE: "blue", YELLOW: "yellow"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("taught") / "objects"


@pytest.fixture(scope="module")
def node(start_node, folder):
    return start_node("call_timeout_s:=4.0", f"objects_dir:={folder}")


@pytest.fixture(scope="module")
def camera(client, node):
    made = Camera(client, "image", lambda index: PICTURE)
    ready = Segment.Request(prompts=[Prompt(text="red")])
    wait_for(lambda: client.call(Segment, "/seem/segment", ready).success, "the first answer", 60)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_left(client, camera):
    yield
    client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(all=True))
    for one in client.call(Objects, "/seem/objects", Objects.Request(names_only=True)).objects:
        client.call(Forget, "/seem/forget", Forget.Request(name=one.name))


def click(at):
    return Prompt(clicks=[Click(x=float(at[0]), y=float(at[1]))])


def start(client, text):
    answer = client.call(
        Segment, "/seem/segment", Segment.Request(prompts=[Prompt(text=text, label="first name")], track=True)
    )
    assert answer.success, answer.message
    return answer.target_ids[0]


def teach(client, name, **more):
    return client.call(Teach, "/seem/teach", Teach.Request(name=name, **more))


def find(client, text, name="seem", **more):
    answer = client.call(Segment, f"/{name}/segment", Segment.Request(prompts=[Prompt(text=text)], **more))
    assert answer.success, answer.message
    index = answer.segment_indices[0]
    return (None if index < 0 else centre(answer.result.segments[index])), answer.message


def centre(segment):
    return round(segment.centroid.x + 0.5), round(segment.centroid.y + 0.5)


def label_of(client, heard, target_id):
    labels = [one.label for array in heard[-1:] for one in array.targets if one.target_id == target_id]
    return labels[0] if labels else None


# ----------------------------------------------------------------------------------------------------- undo and rename


def test_a_round_is_taken_back_with_its_mask_and_its_name(client, camera):
    target_id = start(client, "red")
    asked = Refine.Request(target_id=target_id, prompt=Prompt(clicks=click(BLUE).clicks, label="second name"))
    refined = client.call(Refine, "/seem/refine", asked)
    assert refined.success and centre(refined.result.segments[refined.segment_index]) == BLUE
    back = client.call(Undo, "/seem/undo", Undo.Request(target_id=target_id))
    assert back.success, back.message
    record = back.result.segments[back.segment_index]
    assert centre(record) == RED and record.label == "first name"
    assert (back.state, back.rounds_left, back.target_id) == (Target.TRACKED, 0, target_id)
    again = client.call(Undo, "/seem/undo", Undo.Request(target_id=target_id))
    assert not again.success and "no round to take back" in again.message


def test_a_target_is_renamed_and_named_by_the_model_again(client, camera):
    heard = client.listen(TargetArray, "/seem/targets")
    target_id = start(client, "red")
    renamed = client.call(Rename, "/seem/rename", Rename.Request(target_id=target_id, label="  my   mug "))
    assert renamed.success and renamed.label == "my mug"
    wait_for(lambda: label_of(client, heard, target_id) == "my mug", "the new name on ~/targets")
    renamed = client.call(Rename, "/seem/rename", Rename.Request(target_id=target_id))
    assert renamed.success and renamed.label == "red"
    wait_for(lambda: label_of(client, heard, target_id) == "red", "the model's name on ~/targets")


def test_unknown_targets_and_endless_names_are_refused(client, camera):
    target_id = start(client, "red")
    for kind, name, request in (
        (Undo, "undo", Undo.Request(target_id=999)),
        (Rename, "rename", Rename.Request(target_id=999, label="x")),
    ):
        answer = client.call(kind, f"/seem/{name}", request)
        assert not answer.success and "no target 999" in answer.message
    answer = client.call(Rename, "/seem/rename", Rename.Request(target_id=target_id, label="x" * 10_000))
    assert not answer.success and "200 characters, got 10000" in answer.message


# ------------------------------------------------------------------------------------------------------ taught objects


def test_a_target_that_is_taught_is_found_by_its_name_and_the_answer_says_so(client, camera):
    answer = teach(client, "my mug", target_id=start(client, "yellow"))
    assert answer.success and answer.object.name == "my mug" and len(answer.object.thumbnails) == 1
    assert "remembered by 1 view" in answer.message
    place, message = find(client, "My mug")
    assert place == YELLOW and "'my mug' is the object that was taught (1 view)" in message


def test_a_taught_name_beats_the_vocabulary_until_it_is_forgotten(client, camera):
    assert find(client, "red")[0] == RED
    assert teach(client, "red", prompt=Prompt(text="blue")).success
    assert find(client, "red")[0] == BLUE
    forgotten = client.call(Forget, "/seem/forget", Forget.Request(name="red"))
    assert forgotten.success and list(forgotten.remaining) == []
    assert find(client, "red")[0] == RED


@pytest.mark.parametrize("how", ["prompt", "click", "mask", "picture"])
def test_it_can_be_taught_by_any_prompt_on_a_frame_or_a_picture_of_ones_own(client, camera, how):
    mask = np.zeros((96, 128), np.uint8)
    mask[YELLOW[1] - 8 : YELLOW[1] + 8, YELLOW[0] - 8 : YELLOW[0] + 8] = 255
    request = {
        "prompt": {"prompt": Prompt(text="yellow")},
        "click": {"prompt": click(YELLOW), "stamp": ns_to_stamp(camera.stamps_ns[-2])},
        "mask": {"prompt": Prompt(mask=array_to_image(mask, Header()))},
        "picture": {"prompt": click((64, 48)), "image": array_to_image(scene({(64, 48): "yellow"}), Header())},
    }[how]
    answer = teach(client, "the thing", **request)
    assert answer.success, answer.message
    assert find(client, "the thing")[0] == YELLOW


def test_several_views_are_listed_with_pictures_and_one_can_be_forgotten(client, camera):
    teach(client, "thing", prompt=Prompt(text="yellow"))
    assert "2 views" in teach(client, "thing", prompt=Prompt(text="blue")).message
    listed = client.call(Objects, "/seem/objects", Objects.Request())
    assert listed.success and [one.name for one in listed.objects] == ["thing"]
    assert len(listed.objects[0].thumbnails) == len(listed.objects[0].taught) == 2
    assert all(one.format.startswith("jpeg") and len(one.data) > 100 for one in listed.objects[0].thumbnails)
    assert client.call(Forget, "/seem/forget", Forget.Request(name="thing", views=[0])).success
    short = client.call(Objects, "/seem/objects", Objects.Request(names_only=True))
    assert len(short.objects[0].taught) == 1 and not short.objects[0].thumbnails
    assert find(client, "thing")[0] == BLUE
    assert "1 view" in teach(client, "thing", prompt=Prompt(text="yellow"), replace=True).message
    assert find(client, "thing")[0] == YELLOW


EMPTY = np.zeros((96, 128), np.uint8)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"name": ""}, "needs a letter or a digit"),
        ({"name": "../.."}, "needs a letter or a digit"),
        ({"name": "x" * 10_000}, "100 characters, got 10000"),
        ({"name": "a"}, "either a target_id or a prompt"),
        ({"name": "a", "target_id": 999}, "no target 999"),
        ({"name": "a", "target_id": 1, "prompt": Prompt(text="red")}, "either a target_id or a prompt"),
        ({"name": "a", "prompt": Prompt(mask=array_to_image(EMPTY, Header()))}, "at least one pixel"),
        ({"name": "a", "prompt": Prompt(text="green")}, "nothing to remember: nothing found for 'green'"),
        ({"name": "a", "prompt": Prompt(text="red"), "camera": "none"}, "no camera 'none'"),
        ({"name": "a", "prompt": Prompt(text="red"), "stamp": ns_to_stamp(7)}, "no frame of stamp"),
        (
            {"name": "a", "prompt": Prompt(text="red"), "camera": "camera", "image": array_to_image(PICTURE, Header())},
            "neither target_id, camera nor stamp",
        ),
        ({"name": "a", "prompt": Prompt(reference=Reference(image=array_to_image(PICTURE, Header())))}, "no region"),
    ],
)
def test_a_lesson_that_cannot_be_is_refused_with_the_reason_and_nothing_is_kept(client, camera, request_, words):
    answer = client.call(Teach, "/seem/teach", Teach.Request(**request_))
    assert not answer.success and words in answer.message
    assert not client.call(Objects, "/seem/objects", Objects.Request()).objects


def test_a_target_out_of_sight_for_long_is_not_taught_and_the_answer_says_to_show_it(client, start_node):
    start_node("history_frames:=2", name="short", remaps=["image:=/short/image"])
    shown = [PICTURE]
    own = Camera(client, "/short/image", lambda index: shown[0])
    heard = client.listen(TargetArray, "/short/targets")
    request = Segment.Request(prompts=[Prompt(text="yellow")], track=True)
    try:
        found = wait_for(lambda: client.call(Segment, "/short/segment", request).target_ids, "the first answer", 60)
        shown[0] = scene({RED: "red", BLUE: "blue"})
        wait_for(lambda: heard and any(one.frames_unseen > 3 for one in heard[-1].targets), "pictures without it")
        answer = client.call(Teach, "/short/teach", Teach.Request(name="thing", target_id=found[0]))
        assert not answer.success
        assert f"target {found[0]} is not seen now, it is" in answer.message and "show it, then teach" in answer.message
    finally:
        own.close()


def test_forgetting_what_is_not_there_names_what_is(client, camera):
    teach(client, "thing", prompt=Prompt(text="yellow"))
    answer = client.call(Forget, "/seem/forget", Forget.Request(name="mug"))
    assert not answer.success and "no object 'mug' is remembered; remembered are: 'thing'" in answer.message
    answer = client.call(Forget, "/seem/forget", Forget.Request(name="thing", views=[3]))
    assert not answer.success and "views 0 to 0, got 3" in answer.message


def test_a_folder_that_takes_nothing_is_said_and_the_node_goes_on(client, camera, start_node):
    other = start_node("objects_dir:=/proc/nowhere", name="full")
    try:
        ready = Segment.Request(prompts=[Prompt(text="red")])
        wait_for(lambda: client.call(Segment, "/full/segment", ready).success, "the first answer", 60)
        answer = client.call(Teach, "/full/teach", Teach.Request(name="mug", prompt=Prompt(text="red")))
        assert not answer.success and "'mug' cannot be kept in /proc/nowhere" in answer.message
        assert not client.call(Objects, "/full/objects", Objects.Request()).objects
        assert find(client, "red", "full")[0] == RED
    finally:
        other.stop()


def test_an_object_outlives_the_node_even_a_kill_and_a_broken_view_is_named(client, camera, start_node, tmp_path):
    folder = tmp_path / "objects"
    first = start_node(f"objects_dir:={folder}", name="before")
    ready = Segment.Request(prompts=[Prompt(text="red")])
    wait_for(lambda: client.call(Segment, "/before/segment", ready).success, "the first answer", 60)
    for name in ("my mug", "broken"):
        assert client.call(Teach, "/before/teach", Teach.Request(name=name, prompt=Prompt(text="yellow"))).success
    first.stop(signal.SIGKILL)
    damaged = next(folder.glob("broken-*/*/picture.png"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    second = start_node(f"objects_dir:={folder}", "cameras:=[elsewhere]", name="after")
    wait_for(lambda: client.call(Segment, "/after/segment", ready).success, "the first answer", 60)
    place, message = find(client, "my mug", "after")
    assert place == YELLOW and "was taught" in message
    names = [one.name for one in client.call(Objects, "/after/objects", Objects.Request()).objects]
    assert names == ["my mug"]
    assert f"{damaged.parent} is left out" in second.log and "1 taught objects: 'my mug'" in second.log
    second.stop()
