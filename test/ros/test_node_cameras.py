# SPDX-License-Identifier: Apache-2.0
"""Cameras as drivers really send them: stamps, clocks, calibration, durability, silence, deep pixels, clicks."""

import itertools
import time
from fractions import Fraction

import numpy as np
import pytest
from colour_backend import scene
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PointStamped
from harness import BEST_EFFORT, MS, RELIABLE, Camera, down_and_up, wait_for
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from seem_ros.msg import Click, Prompt, SegmentArray, Target, TargetArray
from seem_ros.ros.messages.images import array_to_image, array_to_jpeg, ns_to_stamp, stamp_to_ns
from seem_ros.srv import Refine, RemoveTargets, Segment, Undo

PICTURE = scene({(30, 30): "red", (90, 60): "green"})
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RED = Prompt(text="red")
K = [100.0, 0.0, 64.0, 0.0, 100.0, 48.0, 0.0, 0.0, 1.0]


def header(stamp_ns, frame_id="optical"):
    return Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id)


def image(stamp_ns):
    return array_to_image(PICTURE, header(stamp_ns))


def depth(stamp_ns, metres):
    return array_to_image(np.full((96, 128), round(metres * 1000), np.uint16), header(stamp_ns), "16UC1")


def info(stamp_ns=0):
    return CameraInfo(header=header(stamp_ns), height=96, width=128, k=K)


def ask(client, node, prompt=RED, **more):
    return client.call(Segment, f"/{node}/segment", Segment.Request(prompts=[prompt], **more), 60)


class Diagnostics:
    """The newest status of a node's camera and of its model."""

    def __init__(self, client, node):
        self._heard, self._node = client.listen(DiagnosticArray, "/diagnostics"), node

    def status(self, what="camera camera"):
        for array in reversed(self._heard):
            for one in array.status:
                if one.name == f"{self._node}: {what}":
                    return one
        return None

    def message(self, what="camera camera"):
        status = self.status(what)
        return status.message if status else ""

    def value(self, key):
        status = self.status()
        return next((pair.value for pair in status.values if pair.key == key), None) if status else None


@pytest.fixture(autouse=True)
def no_targets_left(client, request):
    """A test that fails leaves the next ones an empty node."""
    yield
    if "bench" in request.fixturenames:
        client.call(RemoveTargets, "/bench/remove_targets", RemoveTargets.Request(all=True))


@pytest.fixture(scope="module")
def bench(client, start_node):
    """A node with a camera with depth that sends what a test publishes.

    Its subscription to pictures is reliable from the start: while the node exchanges one for another, as it does where
    the publisher tells, nobody hears a picture that is sent once.
    """
    remaps = ("image:=/bench/color/image_raw", "depth:=/bench/depth")
    parameters = ("diagnostics_rate_hz:=10.0", "camera_timeout_s:=0.7", "reliability:=reliable")
    node = start_node(*parameters, remaps=remaps, name="bench")
    pictures = client.publisher(Image, "/bench/color/image_raw")
    depths = client.publisher(Image, "/bench/depth", BEST_EFFORT)
    infos = client.publisher(CameraInfo, "/bench/color/camera_info")
    diagnostics = Diagnostics(client, "bench")
    wait_for(pictures.get_subscription_count, "a subscription to pictures")
    wait_for(lambda: "listening to" in diagnostics.message(), "the node to see its camera")
    wait_for(depths.get_subscription_count, "a subscription to depth")
    return node, pictures, depths, infos


def test_a_single_picture_without_a_stamp_is_answered_at_any_age(client, bench):
    _, pictures, _, _ = bench
    pictures.publish(image(0))
    assert ask(client, "bench").success
    time.sleep(1.0)  # the camera's time-out is part of what is tested
    late = ask(client, "bench")
    assert late.success and late.result.segments and "one picture only" in late.message


def test_a_frame_without_stamps_can_be_named_as_the_refusal_says(client, bench):
    _, pictures, _, _ = bench
    pictures.publish(image(0))
    pictures.publish(image(0))
    gone = wait_for(lambda: (answer := ask(client, "bench")) and not answer.success and answer, "the refusal")
    sec, nanosec = gone.message.rsplit(" ", 1)[1].split(".")
    named = ask(client, "bench", stamp=ns_to_stamp(int(sec) * 1000 * MS + int(nanosec)))
    assert named.success and named.result.segments, named.message


def test_depth_without_camera_info_is_said_in_the_answer_the_log_and_diagnostics(client, bench):
    node, pictures, depths, _ = bench
    diagnostics = Diagnostics(client, "bench")
    client.listen(SegmentArray, "/bench/segments")

    def said():
        depths.publish(depth(5000 * MS, 1.0))
        pictures.publish(image(5000 * MS))
        return "no camera_info has come on /bench/color/camera_info" in ask(client, "bench").message

    wait_for(said, "the reason in the answer")
    wait_for(lambda: "camera_info" in diagnostics.message(), "diagnostics")
    assert int(diagnostics.value("frames_without_depth")) > 0
    assert node.log.count("no camera_info has come") == 1


def test_depth_without_stamps_follows_what_moves_away(client, bench):
    _, pictures, depths, infos = bench
    segments = client.listen(SegmentArray, "/bench/segments")

    def placed(metres):
        segments.clear()
        depths.publish(depth(0, metres))
        time.sleep(0.06)  # the pace of a camera: by arrival alone faster pairs cannot be told apart
        pictures.publish(image(0))
        wait_for(lambda: segments and segments[-1].segments, "a segment")
        record = segments[-1].segments[0]
        return record.position.z if record.has_position else None

    pictures.publish(image(0))
    assert ask(client, "bench", track=True).target_ids[0]
    wait_for(lambda: infos.publish(info()) or placed(1.0) is not None, "a position")
    distances = [1.1 + 0.1 * step for step in range(10)]
    assert [placed(metres) for metres in distances] == pytest.approx(distances, abs=0.01)
    client.call(RemoveTargets, "/bench/remove_targets", RemoveTargets.Request(all=True))


def test_neighbours_in_swapped_order_lose_no_target_and_are_counted(client, bench):
    _, pictures, _, _ = bench
    targets, diagnostics = client.listen(TargetArray, "/bench/targets"), Diagnostics(client, "bench")
    start, states, late = 100_000 * MS, [], 0
    pictures.publish(image(start - 100 * MS))
    wait_for(lambda: targets, "the first picture")
    assert ask(client, "bench", track=True).target_ids[0]
    order = [0, 1, 2, 4, 3, 5, 6, 8, 7, 9, 10]
    for position, index in enumerate(order):
        targets.clear()
        pictures.publish(image(start + index * 100 * MS))
        if index > max(order[:position], default=-1):
            wait_for(lambda: targets, "the targets of a picture")
            states.append(targets[-1].targets[0].state)
        else:
            late += 1
            wait_for(lambda late=late: diagnostics.value("frames_late") == str(late), "the count in diagnostics")
    assert set(states) == {Target.TRACKED} and late == 2
    assert ask(client, "bench", stamp=ns_to_stamp(start + 100 * MS)).success  # nothing was forgotten
    client.call(RemoveTargets, "/bench/remove_targets", RemoveTargets.Request(all=True))


def show(client, pictures, *messages):
    """Publish pictures, each when the one before is kept: of what comes at once the node hears the last one."""

    def is_kept(stamp):
        answer = ask(client, "bench", stamp=stamp)
        return answer.success or "truncated" in answer.message

    for message in messages:
        pictures.publish(message)
        wait_for(lambda stamp=message.header.stamp: is_kept(stamp), "the picture")


def test_a_broken_picture_in_between_costs_rounds_on_an_older_one_nothing(client, bench):
    _, pictures, _, _ = bench
    old, newest = 200_000 * MS, 200_200 * MS
    broken = Image(header=header(200_100 * MS), height=96, width=128, step=384, encoding="rgb8", data=bytes(5))
    show(client, pictures, image(old), broken, image(newest))
    started = ask(client, "bench", track=True, stamp=ns_to_stamp(old))
    assert started.success and started.target_ids[0], started.message
    target, there = started.target_ids[0], Prompt(clicks=[Click(x=30.0, y=30.0)])
    request = Refine.Request(target_id=target, prompt=there, stamp=ns_to_stamp(old))
    refined = client.call(Refine, "/bench/refine", request)
    undone = client.call(Undo, "/bench/undo", Undo.Request(target_id=target))
    for answer in (started, refined, undone):
        assert answer.success, answer.message
        assert answer.result.header == header(newest) and len(answer.result.segments) == 1


def test_what_is_not_found_on_an_older_picture_is_answered_about_that_picture_whatever_size_came_since(client, bench):
    node, pictures, _, _ = bench
    old, newest = 250_000 * MS, 250_100 * MS
    larger = array_to_image(scene({(60, 60): "red"}, height=192, width=256), header(newest))
    show(client, pictures, image(old), larger)
    blue, stamp = Prompt(text="blue"), ns_to_stamp(old)
    answers = [ask(client, "bench", blue, track=True, stamp=stamp, panoptic=panoptic) for panoptic in (False, True)]
    target = ask(client, "bench", track=True).target_ids[0]
    answers.append(client.call(Refine, "/bench/refine", Refine.Request(target_id=target, prompt=blue, stamp=stamp)))
    for answer in answers:
        assert answer.success, answer.message
        assert answer.result.header == header(old) and "nothing found" in answer.message
        assert (answer.result.labels.width, answer.result.labels.height) == (128, 96)
    assert {one.label for one in answers[1].result.segments} >= {"red", "green"}
    assert "internal error" not in node.log


def test_a_broken_picture_is_an_error_in_diagnostics_until_all_is_well_again(client, bench):
    _, pictures, _, _ = bench
    diagnostics = Diagnostics(client, "bench")
    client.listen(SegmentArray, "/bench/segments")
    broken = Image(header=header(300_000 * MS), height=96, width=128, step=384, encoding="rgb8", data=bytes(5))
    wait_for(lambda: diagnostics.status(), "diagnostics")

    def level(message):
        pictures.publish(message)
        return diagnostics.status().level

    wait_for(lambda: level(broken) == b"\x02", "an error")
    wait_for(lambda: level(image(300_100 * MS)) != b"\x02", "all well again")


def test_deep_pixels_are_scaled_by_content_and_that_is_said_once(client, bench):
    node, pictures, _, _ = bench
    diagnostics = Diagnostics(client, "bench")
    client.listen(SegmentArray, "/bench/segments")
    deep = array_to_image(PICTURE.astype(np.uint16) * 16, header(400_000 * MS), "rgb16")

    def scaled():
        pictures.publish(deep)
        return "values" in (diagnostics.value("deep_pixels") or "")

    wait_for(scaled, "the scale in diagnostics")
    answer = ask(client, "bench")
    assert answer.success and [record.label for record in answer.result.segments] == ["red"]
    assert node.log.count("scaled by content") == 1


def test_a_click_in_another_frame_starts_nothing_whatever_its_depth(client, bench):
    node, pictures, _, _ = bench
    targets, clicks = client.listen(TargetArray, "/bench/targets"), client.publisher(PointStamped, "/bench/click")
    wait_for(clicks.get_subscription_count, "the node to listen")
    pictures.publish(image(500_000 * MS))
    for z in (0.0, -0.2, 0.7):
        before = node.log.count("the image in 'optical'")
        clicks.publish(PointStamped(header=Header(frame_id="map"), point=Point(x=30.0, y=30.0, z=z)))
        wait_for(lambda before=before: node.log.count("the image in 'optical'") > before, "a refusal")
    del targets[:]
    pictures.publish(image(500_100 * MS))
    wait_for(lambda: targets, "a picture's targets")
    assert not targets[-1].targets
    # a point in the picture's own frame is where the lens sees it
    clicks.publish(PointStamped(header=header(0), point=Point(x=-0.34, y=-0.18, z=1.0)))
    wait_for(lambda: pictures.publish(image(500_200 * MS)) or targets[-1].targets, "a target")
    client.call(RemoveTargets, "/bench/remove_targets", RemoveTargets.Request(all=True))


def test_ids_are_not_used_again_after_clean_up_and_configure(client, bench):
    _, pictures, _, _ = bench

    def start():
        pictures.publish(image(time.time_ns()))
        answer = ask(client, "bench", track=True)
        return answer.success and answer.target_ids[0]

    first = wait_for(start, "a target")
    down_and_up(client, "/bench")
    assert wait_for(start, "another target") > first


def test_nothing_of_all_that_was_an_internal_error(bench):
    assert "Traceback" not in bench[0].log and "internal error" not in bench[0].log, bench[0].log[-2000:]


def test_what_was_latched_before_the_node_came_is_used(client, start_node):
    pictures = client.publisher(Image, "/still/color/image_raw", LATCHED)
    infos = client.publisher(CameraInfo, "/still/color/camera_info", LATCHED)
    depths = client.publisher(Image, "/still/depth", LATCHED)
    pictures.publish(image(7000 * MS))
    infos.publish(info())
    depths.publish(depth(7000 * MS, 1.5))
    remaps = ("image:=/still/color/image_raw", "depth:=/still/depth")
    node = start_node(remaps=remaps, name="still")

    def position():
        answer = ask(client, "still")
        return answer.success and answer.result.segments and answer.result.segments[0].position.z

    assert wait_for(position, "a position", 60) == pytest.approx(1.5, abs=0.01)
    node.stop()


def test_calibration_is_found_beside_a_compressed_topic_and_a_bare_name(client, start_node):
    for name, topic in (("packed_info", "/packed_info/color/image_raw/compressed"), ("bare", "image_raw")):
        node = start_node(remaps=(f"image:={topic}", f"depth:=/{name}/depth"), name=name)
        beside = "/camera_info" if name == "bare" else f"/{name}/color/camera_info"
        infos = client.publisher(CameraInfo, beside)
        wait_for(infos.get_subscription_count, f"the node to listen to {beside}")
        node.stop()


def test_simulated_time_without_a_clock_is_said_and_a_compressed_camera_is_found(client, start_node):
    node = start_node("use_sim_time:=true", "diagnostics_rate_hz:=5.0", remaps=("image:=/sim/image",), name="sim")
    diagnostics = Diagnostics(client, "sim")
    camera = Camera(
        client,
        "/sim/image/compressed",
        lambda index: PICTURE,
        kind=CompressedImage,
        convert=lambda rgb, header: array_to_jpeg(rgb, header, 95),
    )
    wait_for(lambda: ask(client, "sim").success, "an answer", 30)
    wait_for(lambda: "/clock" in diagnostics.message("model"), "a word in diagnostics")
    wait_for(lambda: node.log.count("no time has come on /clock") == 1, "a word in the log")
    camera.close()
    node.stop()


def test_a_camera_that_never_came_went_away_or_is_back_is_said_once(client, start_node):
    other = client.publisher(Image, "/elsewhere/image")
    node = start_node("camera_timeout_s:=0.5", "call_timeout_s:=2.0", remaps=("image:=/mute/image",), name="mute")
    wait_for(lambda: "no picture has come yet" in node.log, "a warning", 30)
    warning = next(line for line in node.log.splitlines() if "no picture has come yet" in line)
    assert (
        "/elsewhere/image" in warning and "nobody publishes /mute/image" in warning and "/mute/overlay" not in warning
    )
    camera = Camera(client, "/mute/image", lambda index: PICTURE)
    wait_for(lambda: "pictures come" in node.log, "the good news")
    camera.pause()
    wait_for(lambda: "no picture for" in node.log, "another warning")
    camera.resume()
    wait_for(lambda: node.log.count("pictures come") == 2, "the good news again")
    assert node.log.count("no picture has come yet") == node.log.count("no picture for") == 1
    camera.close()
    node.stop()
    client.node.destroy_publisher(other)


def test_the_first_call_waits_for_the_first_picture(client, start_node):
    node = start_node("call_timeout_s:=15.0", remaps=("image:=/eager/image",), name="eager")
    # refused at once; from here on the two have found each other, and no answer is lost
    assert "prompt" in client.call(Segment, "/eager/segment", Segment.Request()).message
    future = client.send(Segment, "/eager/segment", Segment.Request(prompts=[RED]))
    wait_for(lambda: "listening" in node.log, "the node to listen")
    camera = Camera(client, "/eager/image", lambda index: PICTURE, qos=RELIABLE)
    answer = client.wait(future, "an answer")
    assert answer.success and answer.result.segments, answer.message
    camera.close()
    node.stop()


@pytest.mark.parametrize(("codec", "encoder"), [("h264", "libx264"), ("h265", "libx265")])
def test_a_camera_that_streams_video_is_a_camera(client, start_node, codec, encoder):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt, context.time_base = 128, 96, "yuv420p", Fraction(1, 20)
    context.options = {"tune": "zerolatency", "crf": "10", "g": "10"}

    def packet(rgb, header):
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts = next(numbers)
        data = b"".join(bytes(one) for one in context.encode(frame))
        return CompressedImage(header=header, format=codec, data=data)

    numbers = itertools.count()
    node = start_node(remaps=(f"image:=/{codec}/image/compressed",), name=codec)
    camera = Camera(client, f"/{codec}/image/compressed", lambda index: PICTURE, kind=CompressedImage, convert=packet)
    answer = wait_for(lambda: (one := ask(client, codec)).success and one.result.segments and one, "an answer", 30)
    assert (answer.result.labels.width, answer.result.header.frame_id) == (128, "optical")
    assert stamp_to_ns(answer.result.header.stamp) in camera.stamps_ns
    camera.close()
    assert "Traceback" not in node.log
    node.stop()


def test_a_click_prompt_on_a_12_bit_scene_marks_what_it_marks_on_8_bits(client, start_node):
    node = start_node(remaps=("image:=/deep/image",), name="deep")
    pictures = client.publisher(Image, "/deep/image")
    wait_for(pictures.get_subscription_count, "the node to listen")
    masks = []
    for message in (image(1000 * MS), array_to_image(PICTURE.astype(np.uint16) * 16, header(2000 * MS), "rgb16")):

        def answered(message=message):
            pictures.publish(message)
            answer = ask(client, "deep", Prompt(clicks=[Click(x=30.0, y=30.0)]))
            return answer if answer.success and answer.result.header == message.header else None

        labels = wait_for(answered, "an answer").result.labels
        masks.append(np.frombuffer(labels.data, np.uint8) > 0)
    assert masks[0].sum() == 256 and (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() >= 0.9
    node.stop()
