# SPDX-License-Identifier: Apache-2.0
"""Each service over DDS, the node in its own process: what it answers, and what it leaves unchanged when it refuses."""

import numpy as np
import pytest
from colour_backend import scene
from harness import Camera, Client, wait_for
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParametersAtomically
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from seem_ros.msg import Box, Click, Pixel, Polygon, Prompt, Reference, Scribble, SegmentArray, Target, TargetArray
from seem_ros.ros.messages.images import array_to_image, array_to_jpeg, ns_to_stamp, stamp_to_ns
from seem_ros.srv import Refine, RemoveTargets, Segment, SetVocabulary

BLOBS = {(30, 30): "red", (90, 60): "green", (30, 70): "blue"}


def picture(index):
    """Red moves to the right and back; the others stand still."""
    moved = dict(BLOBS)
    del moved[(30, 30)]
    return scene({(30 + 2 * abs(index % 20 - 10), 30): "red", **moved})


@pytest.fixture(scope="module")
def node(start_node):
    return start_node("call_timeout_s:=4.0", "camera_timeout_s:=1.0", "history_frames:=40")


@pytest.fixture(scope="module")
def camera(client, node):
    made = Camera(client, "image", picture)
    ready = Segment.Request(prompts=[Prompt(text="red")])
    wait_for(lambda: client.call(Segment, "/seem/segment", ready).success, "the first answer", 60)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_targets(client, camera):
    camera.resume()
    ready = Segment.Request(prompts=[Prompt(text="red")])  # the test before may have stopped the camera
    wait_for(lambda: client.call(Segment, "/seem/segment", ready).success, "frames again")
    yield
    client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(all=True))


def segment(client, *prompts, **more):
    return client.call(Segment, "/seem/segment", Segment.Request(prompts=list(prompts), **more))


def click(x, y, negative=False):
    return Prompt(clicks=[Click(x=float(x), y=float(y), negative=negative)])


def area_of(response, index=0):
    return response.result.segments[response.segment_indices[index]].area


def test_every_kind_of_prompt_finds_the_blob_it_means(client, camera):
    mask = np.zeros((96, 128), np.uint8)
    mask[62:78, 22:38] = 255
    reference = Reference(
        image=array_to_image(scene({(64, 48): "blue"}), Header()), boxes=[Box(x0=58.0, y0=42.0, x1=70.0, y1=54.0)]
    )
    corners = [Pixel(x=x, y=y) for x, y in ((24.0, 64.0), (36.0, 64.0), (36.0, 76.0), (24.0, 76.0))]
    prompts = [
        Prompt(text="the blue thing"),
        click(30, 70),
        Prompt(boxes=[Box(x0=22.0, y0=62.0, x1=38.0, y1=78.0)]),
        Prompt(scribbles=[Scribble(points=[Pixel(x=26.0, y=70.0), Pixel(x=34.0, y=70.0)])]),
        Prompt(polygons=[Polygon(points=corners)]),
        Prompt(mask=array_to_image(mask, Header())),
        Prompt(reference=reference),
    ]
    for prompt in prompts:
        response = segment(client, prompt)
        assert response.success, response.message
        found = response.result.segments[response.segment_indices[0]]
        assert abs(found.centroid.x - 29.5) < 1 and abs(found.centroid.y - 69.5) < 1
        assert found.area == 256 and found.target_id == 0
    assert list(response.target_ids) == [0]


def test_several_prompts_are_answered_in_their_order_on_one_picture(client, camera):
    response = segment(client, Prompt(text="green"), Prompt(text="yellow"), Prompt(text="blue"))
    assert response.success
    names = [response.result.segments[index].label if index >= 0 else None for index in response.segment_indices]
    assert names == ["green", None, "blue"]
    assert "nothing found" in response.message and "0.50 needed" in response.message
    labels = np.frombuffer(response.result.labels.data, np.uint8).reshape(96, 128)
    for record in response.result.segments:
        assert (labels == record.value).sum() == record.area
    assert response.result.header.frame_id == "optical"
    assert stamp_to_ns(response.result.header.stamp) in camera.stamps_ns


def test_a_target_keeps_its_id_value_and_header_from_frame_to_frame(client, camera):
    segments = client.listen(SegmentArray, "/seem/segments")
    targets = client.listen(TargetArray, "/seem/targets")
    started = segment(client, Prompt(text="red", label="my mug"), Prompt(text="green"), track=True)
    red, green = started.target_ids
    assert red and green and red != green
    del segments[:], targets[:]
    wait_for(lambda: len(segments) > 15 and len(targets) > 15, "frames with targets")
    values = {
        one.target_id: {
            record.value for message in segments[2:] for record in message.segments if record.target_id == one.target_id
        }
        for one in targets[-1].targets
    }
    assert set(values) == {red, green} and all(len(each) == 1 for each in values.values())
    for message in segments[2:]:
        assert stamp_to_ns(message.header.stamp) in camera.stamps_ns and message.header.frame_id == "optical"
        assert {record.label for record in message.segments} == {"my mug", "green"}
    assert {one.state for one in targets[-1].targets} == {Target.TRACKED}
    assert targets[-1].targets[0].label == "my mug"


def test_ids_are_never_reused(client, camera):
    first = segment(client, Prompt(text="red"), track=True).target_ids[0]
    assert client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(target_ids=[first])).success
    assert segment(client, Prompt(text="red"), track=True).target_ids[0] > first


def test_a_prompt_may_name_the_older_frame_it_was_drawn_on(client, camera):
    wait_for(lambda: len(camera.stamps_ns) > 10, "some frames")
    old = camera.stamps_ns[-8]
    index = len(camera.stamps_ns) - 8
    x = 30 + 2 * abs(index % 20 - 10)
    response = segment(client, click(x, 30), track=True, stamp=ns_to_stamp(old))
    assert response.success, response.message
    assert stamp_to_ns(response.result.header.stamp) > old  # replayed to now
    assert response.result.segments[0].area == 256
    alone = segment(client, click(x, 30), stamp=ns_to_stamp(old))
    assert stamp_to_ns(alone.result.header.stamp) == old


def test_a_stamp_that_is_not_kept_is_answered_with_the_range_that_is(client, camera):
    response = segment(client, Prompt(text="red"), stamp=ns_to_stamp(1_000_000_000))
    assert not response.success
    assert "no frame of stamp 1.000000000; kept are" in response.message


def test_a_target_is_refined_round_by_round_on_the_same_frame(client, camera):
    camera.pause()
    last = camera.stamps_ns[-1]  # the rounds are about one frame: the last one has come
    asked = Prompt(text="green")
    wait_for(lambda: stamp_to_ns(segment(client, asked).result.header.stamp) == last, "the last frame")
    target_id = segment(client, Prompt(text="green"), track=True).target_ids[0]
    request = Refine.Request(target_id=target_id, prompt=Prompt(clicks=[Click(x=90.0, y=60.0)]))
    response = client.call(Refine, "/seem/refine", request)
    assert response.success and response.state == Target.TRACKED
    assert response.result.segments[response.segment_index].target_id == target_id


def test_an_unknown_target_is_refused_and_the_living_ones_are_named(client, camera):
    target_id = segment(client, Prompt(text="green"), track=True).target_ids[0]
    request = Refine.Request(target_id=9999, prompt=Prompt(text="red"))
    for response in (
        client.call(Refine, "/seem/refine", request),
        client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(target_ids=[target_id, 9999])),
    ):
        assert not response.success and "no target 9999" in response.message and str(target_id) in response.message
    gone = client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(target_ids=[target_id]))
    assert gone.success and list(gone.removed) == [target_id] and not gone.remaining


def test_a_picture_in_the_request_is_segmented_raw_and_compressed(client, camera):
    other = scene({(40, 40): "yellow"}, height=120, width=160)
    header = Header(frame_id="elsewhere", stamp=ns_to_stamp(7_000_000_001))
    raw = segment(client, Prompt(text="yellow"), image=array_to_image(other, header))
    packed = segment(client, Prompt(text="yellow"), compressed_image=array_to_jpeg(other, header, 95))
    for response in (raw, packed):
        assert response.success, response.message
        assert (response.result.labels.width, response.result.labels.height) == (160, 120)
        assert response.result.header == header
    refused = segment(client, Prompt(text="yellow"), image=array_to_image(other, header), track=True)
    assert not refused.success and "goes with neither" in refused.message


def test_a_label_is_tidied_and_carried_by_whatever_was_found_for_its_prompt(client, camera):
    prompts = [Prompt(text="green", label="  my \n mug "), Prompt(text="yellow", label="not there"), click(30, 70)]
    own = array_to_image(scene(BLOBS), Header())
    for more in ({}, {"panoptic": True}, {"image": own}, {"track": True}):
        answer = segment(client, *prompts, **more)
        assert answer.success, answer.message
        names = [answer.result.segments[index].label if index >= 0 else None for index in answer.segment_indices]
        assert names == ["my mug", None, "blue"], more
    request = Refine.Request(target_id=answer.target_ids[0], prompt=click(90, 60))
    request.prompt.label = " the\tcup"
    refined = client.call(Refine, "/seem/refine", request)
    assert refined.success and refined.result.segments[refined.segment_index].label == "the cup"


def test_the_vocabulary_is_changed_by_a_call_and_the_parameters_say_so(client, camera):
    request = SetVocabulary.Request(things=["red", "green"], stuff=["grey"])
    response = client.call(SetVocabulary, "/seem/set_vocabulary", request)
    assert response.success and list(response.things) == ["red", "green"] and list(response.stuff) == ["grey"]
    got = client.call(GetParameters, "/seem/get_parameters", GetParameters.Request(names=["things", "stuff"]))
    assert [value.string_value for value in got.values] == ["red, green", "grey"]
    everything = segment(client, panoptic=True)
    assert everything.success and {one.label for one in everything.result.segments} <= {"red", "green", "grey"}
    assert everything.result.segments
    bad = client.call(SetVocabulary, "/seem/set_vocabulary", SetVocabulary.Request(things=["red", "Red"]))
    assert not bad.success and "twice" in bad.message
    own = client.call(SetVocabulary, "/seem/set_vocabulary", SetVocabulary.Request())
    assert own.success and list(own.stuff) == ["grey"] and "blue" in own.things


def test_prompts_and_panoptic_together_share_a_label_image_without_clashes(client, camera):
    response = segment(client, Prompt(text="red"), track=True, panoptic=True)
    assert response.success, response.message
    values = [record.value for record in response.result.segments]
    assert len(set(values)) == len(values) > 1
    assert response.result.segments[response.segment_indices[0]].target_id == response.target_ids[0]


def test_a_disabled_node_lets_frames_pass_and_still_answers(client, camera):
    segments = client.listen(SegmentArray, "/seem/segments")
    segment(client, Prompt(text="red"), track=True)
    assert client.call(SetBool, "/seem/enable", SetBool.Request(data=False)).success
    count = len(camera.stamps_ns)
    wait_for(lambda: len(camera.stamps_ns) > count + 12, "some frames")
    answer = segment(client, Prompt(text="green"))
    assert answer.success and stamp_to_ns(answer.result.header.stamp) > camera.stamps_ns[count + 2]
    assert not [m for m in segments if stamp_to_ns(m.header.stamp) > camera.stamps_ns[count + 2]]
    assert client.call(SetBool, "/seem/enable", SetBool.Request(data=True)).success
    wait_for(lambda: segments, "frames again")


def set_parameters(client, **values):
    kinds = {
        bool: ("bool_value", ParameterType.PARAMETER_BOOL),
        float: ("double_value", ParameterType.PARAMETER_DOUBLE),
        str: ("string_value", ParameterType.PARAMETER_STRING),
        int: ("integer_value", ParameterType.PARAMETER_INTEGER),
    }
    parameters = []
    for name, value in values.items():
        field, kind = kinds[type(value)]
        parameters.append(Parameter(name=name.replace("__", "."), value=ParameterValue(type=kind, **{field: value})))
    request = SetParametersAtomically.Request(parameters=parameters)
    return client.call(SetParametersAtomically, "/seem/set_parameters_atomically", request).result


def doubles(client, *names):
    got = client.call(GetParameters, "/seem/get_parameters", GetParameters.Request(names=list(names)))
    return [value.double_value for value in got.values]


def test_getting_a_parameter_shows_what_rules_where_the_models_own_was_asked_for(client, camera):
    names = ("presence_threshold", "tracker.presence_found", "tracker.presence_lost")
    assert doubles(client, *names) == [0.5, 0.5, 0.35]
    assert set_parameters(client, tracker__presence_found=0.6, presence_threshold=0.4).successful
    assert doubles(client, *names) == [0.4, 0.6, 0.35]
    assert set_parameters(client, tracker__presence_found=-1.0, presence_threshold=-1.0).successful
    assert doubles(client, *names) == [0.5, 0.5, 0.35]


def test_parameters_change_while_running_and_are_checked_together(client, camera):
    assert set_parameters(client, presence_threshold=0.99, overlay_alpha=0.2).successful
    assert set_parameters(client, presence_threshold=-1.0, tracker__lost_after=20).successful
    for bad, words in (
        ({"depth_wait_s": 0.5, "call_timeout_s": 0.2}, "shorter than"),
        ({"model": "other"}, "read when the node is configured"),
        ({"tracker__presence_lost": 0.9}, "presence_found"),
        ({"unknown_words": "perhaps"}, "must be one of"),
    ):
        result = set_parameters(client, **bad)
        assert not result.successful and words in result.reason, result.reason
    assert not set_parameters(client, overlay_alpha=7.0).successful
    assert segment(client, Prompt(text="red")).success
    described = client.call(
        DescribeParameters, "/seem/describe_parameters", DescribeParameters.Request(names=["overlay_alpha"])
    ).descriptors[0]
    assert described.description and described.floating_point_range[0].to_value == 1.0


def test_answers_are_short_without_the_label_image_and_the_topic_keeps_it(client, camera):
    segments = client.listen(SegmentArray, "/seem/segments")
    assert set_parameters(client, answer_labels=False).successful
    try:
        response = segment(client, Prompt(text="red"), track=True)
        assert response.success and response.segment_indices[0] >= 0
        assert not response.result.labels.data and response.result.segments[0].area > 0
        wait_for(lambda: segments and segments[-1].segments, "the target on the topic")
        assert segments[-1].labels.width == 128 and len(segments[-1].labels.data) == 128 * 96
    finally:
        assert set_parameters(client, answer_labels=True).successful


def test_two_clients_at_once_get_their_own_answers_while_frames_go_on(client, camera):
    segments = client.listen(SegmentArray, "/seem/segments")
    request = {name: Segment.Request(prompts=[Prompt(text=name)]) for name in ("red", "green", "blue")}
    other = Client("other_client")
    futures = [
        (name, each.send(Segment, "/seem/segment", request[name]))
        for name in request
        for _ in range(3)
        for each in (client, other)
    ]
    busy = 0
    for name, future in futures:
        response = client.wait(future, "an answer")
        if response.success:
            assert [record.label for record in response.result.segments] == [name]
        else:
            assert "max_waiting_calls" in response.message
            busy += 1
    assert busy < len(futures)
    wait_for(lambda: len(segments) > 5, "frames in the meantime")
    other.close()


def test_clicks_by_topic_start_a_target_and_refine_it(client, camera):
    from geometry_msgs.msg import Point, PointStamped

    targets = client.listen(TargetArray, "/seem/targets")
    clicks = client.publisher(PointStamped, "/seem/click")
    pixels = client.publisher(Point, "/seem/click_pixel")
    wait_for(lambda: clicks.get_subscription_count() and pixels.get_subscription_count(), "the node to listen")
    clicks.publish(PointStamped(point=Point(x=90.0, y=60.0)))
    wait_for(lambda: targets and len(targets[-1].targets) == 1, "a target")
    pixels.publish(Point(x=30.0, y=70.0))
    wait_for(lambda: len(targets[-1].targets) == 2, "another one")
    pixels.publish(Point(x=30.0, y=71.0))  # on the target itself: a round, not another target
    clicks.publish(PointStamped(point=Point(x=-3.0, y=71.0)))
    heard = len(targets)
    wait_for(lambda: len(targets) > heard + 8, "more frames")
    assert len(targets[-1].targets) == 2


def _refusal(response):
    return None if response.success else response


def test_a_camera_that_is_gone_is_said_with_the_stamp_of_its_last_frame(client, camera):
    camera.pause()
    response = wait_for(lambda: _refusal(segment(client, Prompt(text="red"))), "a refusal")
    assert "is gone" in response.message
    last = ns_to_stamp(camera.stamps_ns[-1])
    assert segment(client, Prompt(text="red"), stamp=last).success


BAD = {
    "no prompt": {"prompts": []},
    "empty prompt": {"prompts": [Prompt()]},
    "outside": {"prompts": [click(500, 10)]},
    "negative coordinates": {"prompts": [click(-1, 10)]},
    "NaN": {"prompts": [click(float("nan"), 10)]},
    "infinite box": {"prompts": [Prompt(boxes=[Box(x0=0.0, y0=0.0, x1=float("inf"), y1=3.0)])]},
    "inverted box": {"prompts": [Prompt(boxes=[Box(x0=9.0, y0=0.0, x1=3.0, y1=3.0)])]},
    "only negative": {"prompts": [click(10, 10, negative=True)]},
    "10,000 characters": {"prompts": [Prompt(text="mug " * 2500)]},
    "mask of another size": {"prompts": [Prompt(mask=array_to_image(np.ones((5, 5), np.uint8), Header()))]},
    "empty mask": {"prompts": [Prompt(mask=array_to_image(np.zeros((96, 128), np.uint8), Header()))]},
    "mask of colours": {"prompts": [Prompt(mask=array_to_image(scene({}), Header()))]},
    "polygon of two corners": {"prompts": [Prompt(polygons=[Polygon(points=[Pixel(), Pixel(x=3.0)])])]},
    "unknown camera": {"prompts": [Prompt(text="red")], "camera": "rear"},
    "65 prompts": {"prompts": [Prompt(text="red")] * 65},
    "track without prompts": {"panoptic": True, "track": True},
    "wrong encoding": {
        "prompts": [Prompt(text="red")],
        "image": Image(height=2, width=2, step=6, encoding="abc", data=bytes(12)),
    },
    "wrong step": {
        "prompts": [Prompt(text="red")],
        "image": Image(height=2, width=2, step=3, encoding="rgb8", data=bytes(12)),
    },
    "truncated": {
        "prompts": [Prompt(text="red")],
        "image": Image(height=2, width=2, step=6, encoding="rgb8", data=bytes(7)),
    },
    "zero size": {"prompts": [Prompt(text="red")], "image": Image(encoding="rgb8", step=6, data=bytes(7))},
    "too large": {
        "prompts": [Prompt(text="red")],
        "image": Image(height=1, width=9000, step=27000, encoding="rgb8", data=bytes(27000)),
    },
    "rubbish jpeg": {
        "prompts": [Prompt(text="red")],
        "compressed_image": CompressedImage(format="jpeg", data=bytes(99)),
    },
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("track", [False, True])
def test_bad_input_is_refused_changes_nothing_and_the_node_answers_the_next_call(client, camera, name, track):
    targets = client.listen(TargetArray, "/seem/targets")
    bad = BAD[name]
    if track and not (bad.get("image") or bad.get("compressed_image") or bad.get("track")):
        bad = {**bad, "track": True}
    response = client.call(Segment, "/seem/segment", Segment.Request(**bad))
    assert not response.success and len(response.message) > 10, response
    assert "internal error" not in response.message
    assert not response.result.segments and not response.target_ids
    assert segment(client, Prompt(text="red")).success
    assert all(not message.targets for message in targets[-1:])


def test_8k_big_endian_and_64_targets_are_served(client, camera):
    large = np.full((4320, 7680), 90, np.uint8)
    large[100:2000, 100:2000] = 128
    response = client.call(
        Segment, "/seem/segment", Segment.Request(prompts=[click(500, 500)], image=array_to_image(large, Header())), 60
    )
    assert response.success or "no answer within" in response.message
    wide = scene({(40, 40): "green"}).astype(np.uint16) * 256
    swapped = Image(
        height=96, width=128, encoding="rgb16", is_bigendian=1, step=128 * 6, data=wide.astype(">u2").tobytes()
    )
    assert area_of(segment(client, Prompt(text="green"), image=swapped)) == 256
    many = segment(client, *[click(90, 60) for _ in range(64)], track=True)
    assert many.success, many.message
    # all 64 mean one object: the first became a target, and the others are answered with its id or refused with why
    assert segment(client, Prompt(text="red")).success


def test_nothing_of_all_that_reached_the_log_as_an_internal_error(client, camera, node):
    assert "internal error" not in node.log, node.log[-3000:]
    assert "Traceback" not in node.log
