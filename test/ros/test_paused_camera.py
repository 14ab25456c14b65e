# SPDX-License-Identifier: Apache-2.0
"""A bag that is paused, a camera that sends one picture: what calls change is seen at once, though no frame comes."""

from array import array

import numpy as np
import pytest
from colour_backend import scene
from geometry_msgs.msg import Point, PointStamped
from harness import Camera, wait_for
from std_msgs.msg import Header

from seem_ros.msg import Click, Prompt, SegmentArray, TargetArray
from seem_ros.ros.messages.images import ns_to_stamp, stamp_to_ns
from seem_ros.srv import Refine, RemoveTargets, Rename, Segment, Undo

BLOBS = {(30, 30): "red", (90, 60): "green"}


@pytest.fixture(scope="module")
def paused(client, start_node):
    """A camera that has sent some pictures and sends no more."""
    start_node("history_frames:=40")
    camera = Camera(client, "image", lambda index: scene(BLOBS))
    segments = client.listen(SegmentArray, "/seem/segments")
    targets = client.listen(TargetArray, "/seem/targets")
    wait_for(lambda: len(segments) > 5 and len(targets) > 5, "frames", 60)
    camera.pause()
    wait_for(lambda: stamp_to_ns(segments[-1].header.stamp) == camera.stamps_ns[-1], "the last frame")
    yield camera, segments, targets
    camera.close()


def click(x, y, negative=False):
    return Prompt(clicks=[Click(x=float(x), y=float(y), negative=negative)])


def test_every_call_on_targets_is_seen_though_no_frame_comes(client, paused):
    camera, segments, targets = paused
    stamp_ns, length = camera.stamps_ns[-1], len(camera.stamps_ns)
    stamp = ns_to_stamp(stamp_ns)

    def told(condition, what):
        wait_for(lambda: condition(segments[-1], targets[-1]), what)
        assert stamp_to_ns(segments[-1].header.stamp) == stamp_to_ns(targets[-1].header.stamp) == stamp_ns

    def place(seen):
        return [(round(one.centroid.x), round(one.centroid.y), one.area) for one in seen.segments]

    request = Segment.Request(prompts=[click(90, 60)], track=True, stamp=stamp)
    (target,) = client.call(Segment, "/seem/segment", request).target_ids
    told(lambda seen, heard: place(seen) == [(90, 60, 256)] and len(heard.targets) == 1, "the target")
    assert targets[-1].targets[0].target_id == segments[-1].segments[0].target_id == target
    labels = np.frombuffer(segments[-1].labels.data, np.uint8).reshape(96, 128)
    assert (labels == segments[-1].segments[0].value).sum() == 256 and labels[60, 90]
    assert client.call(Rename, "/seem/rename", Rename.Request(target_id=target, label="the cup")).success
    told(lambda seen, heard: heard.targets[0].label == seen.segments[0].label == "the cup", "the name")
    # more clicks there than on the first thing: the colour model takes the middle of what they are on
    there = Prompt(clicks=[Click(x=28.0, y=30.0), Click(x=32.0, y=30.0)])
    elsewhere = Refine.Request(target_id=target, prompt=there, stamp=stamp)
    assert client.call(Refine, "/seem/refine", elsewhere).success
    told(lambda seen, _: place(seen) == [(30, 30, 256)], "the refined mask")
    assert client.call(Undo, "/seem/undo", Undo.Request(target_id=target)).success
    told(lambda seen, _: place(seen) == [(90, 60, 256)], "the mask before")
    assert client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(target_ids=[target])).success
    told(lambda seen, heard: not heard.targets and not seen.segments, "no target")
    assert len(camera.stamps_ns) == length


def test_nothing_is_published_twice_without_a_change(client, paused):
    camera, segments, targets = paused
    before = len(segments), len(targets)
    stamp = ns_to_stamp(camera.stamps_ns[-1])
    only_asked = Segment.Request(prompts=[Prompt(text="red")], stamp=stamp)
    assert client.call(Segment, "/seem/segment", only_asked).segment_indices == array("i", [0])
    assert client.call(Segment, "/seem/segment", Segment.Request(prompts=[Prompt(text="red")], track=True, stamp=stamp))
    wait_for(lambda: targets[-1].targets, "the target that was started")
    assert (len(segments), len(targets)) == (before[0] + 1, before[1] + 1)


def test_a_click_of_a_tool_with_its_own_clock_means_the_picture_that_stands(client, paused):
    camera, _, targets = paused
    client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(all=True))
    wait_for(lambda: not targets[-1].targets, "no targets")
    stands = Segment.Request(prompts=[Prompt(text="red")])
    wait_for(lambda: "is gone" in client.call(Segment, "/seem/segment", stands).message, "a camera that is gone", 10)
    clicks = client.publisher(PointStamped, "/seem/click")
    wait_for(lambda: clicks.get_subscription_count() > 0, "the node's ear")
    header = Header(stamp=ns_to_stamp(1_700_000_000_000_000_000))
    clicks.publish(PointStamped(header=header, point=Point(x=90.0, y=60.0)))
    wait_for(lambda: targets[-1].targets, "the target that was clicked on")
    assert targets[-1].targets[0].label == "green"
    assert stamp_to_ns(targets[-1].header.stamp) == camera.stamps_ns[-1]
