# SPDX-License-Identifier: Apache-2.0
"""What is published and listened to: every topic, two cameras, compressed and best-effort input, depth, loops."""

import numpy as np
import pytest
from colour_backend import scene
from diagnostic_msgs.msg import DiagnosticArray
from harness import BEST_EFFORT, RELIABLE, Camera, down_and_up, wait_for
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from seem_ros.msg import Click, Prompt, SegmentArray, Target, TargetArray
from seem_ros.ros.camera.publisher import LATCHED
from seem_ros.ros.messages.images import array_to_image, array_to_jpeg, compressed_to_rgb, image_to_rgb, stamp_to_ns
from seem_ros.srv import RemoveTargets, Segment


def picture(index):
    """A red blob that moves, a green one that stands still."""
    return scene({(30 + 2 * abs(index % 20 - 10), 30): "red", (90, 60): "green"})


def ask(client, node, text="red", **more):
    """Segment until it succeeds: the camera may not have been heard yet."""
    request = Segment.Request(prompts=[Prompt(text=text)], **more)
    answers = []

    def succeeded():
        answers.append(client.call(Segment, f"/{node}/segment", request))
        return answers[-1].success

    wait_for(succeeded, "an answer", 60)
    return answers[-1]


@pytest.mark.parametrize("qos", [RELIABLE, BEST_EFFORT], ids=["reliable", "best_effort"])
def test_a_camera_of_any_reliability_is_heard_also_when_it_comes_later(client, start_node, qos):
    name = "late_reliable" if qos is RELIABLE else "late_best_effort"
    node = start_node(remaps=(f"image:=/{name}/image",), name=name)
    request = Segment.Request(prompts=[Prompt(text="red")])

    def refused():
        # on a slow machine the first call is asked several times, and only so many may wait
        before = client.call(Segment, f"/{name}/segment", request, 60)
        assert not before.success
        return "sent no frame yet" in before.message and f"/{name}/image" in before.message

    wait_for(refused, "being told that there is no frame yet", 60)
    camera = Camera(client, f"/{name}/image", picture, qos=qos)
    assert ask(client, name).result.segments
    wanted = "reliable" if qos is RELIABLE else "best effort"
    wait_for(lambda: f"(raw, {wanted})" in node.log, "a subscription that fits")
    camera.close()
    node.stop()


def test_a_forced_reliability_that_cannot_work_is_said(client, start_node):
    node = start_node("reliability:=reliable", remaps=("image:=/forced/image",), name="forced")
    camera = Camera(client, "/forced/image", picture, qos=BEST_EFFORT)
    wait_for(lambda: "nothing can arrive" in node.log, "a warning", 60)
    response = client.call(Segment, "/forced/segment", Segment.Request(prompts=[Prompt(text="red")]))
    assert not response.success and "best effort" in response.message
    camera.close()
    node.stop()


def test_compressed_images_are_found_beside_the_raw_topic(client, start_node):
    node = start_node(remaps=("image:=/packed/image",), name="packed")
    camera = Camera(
        client,
        "/packed/image/compressed",
        picture,
        kind=CompressedImage,
        convert=lambda rgb, header: array_to_jpeg(rgb, header, 95),
    )
    response = ask(client, "packed")
    assert (response.result.labels.width, response.result.labels.height) == (128, 96)
    assert stamp_to_ns(response.result.header.stamp) in camera.stamps_ns
    camera.close()
    node.stop()


@pytest.fixture(scope="module")
def two(client, start_node):
    """A node with two cameras; the second sees yellow instead of green, is larger, and publishes bgr8."""
    start_node('cameras:=["front","rear"]', "label_encoding:=mono16", name="two")
    front = Camera(client, "/front/image", picture, frame_id="front_optical")

    def bgr(rgb, header):
        return array_to_image(np.ascontiguousarray(rgb[:, :, ::-1]), header, "bgr8")

    rear = Camera(
        client,
        "/rear/image",
        lambda index: scene({(100, 80): "yellow"}, height=192, width=256),
        convert=bgr,
        frame_id="rear_optical",
        start_ns=500_000_000_000,
    )
    ask(client, "two", "red", camera="front")
    ask(client, "two", "yellow", camera="rear")
    yield front, rear
    front.close()
    rear.close()


def test_two_cameras_have_their_own_topics_headers_and_targets_and_ids_are_unique(client, two):
    front, rear = two
    heard = {name: client.listen(SegmentArray, f"/two/{name}/segments") for name in ("front", "rear")}
    first = ask(client, "two", "red", camera="front", track=True).target_ids[0]
    second = ask(client, "two", "yellow", camera="rear", track=True).target_ids[0]
    assert first and second and first != second
    for messages in heard.values():
        messages.clear()
    wait_for(lambda: all(len(messages) > 5 for messages in heard.values()), "frames of both")
    for name, camera, target, size in (("front", front, first, (128, 96)), ("rear", rear, second, (256, 192))):
        for message in heard[name][2:]:
            assert message.header.frame_id == f"{name}_optical" and message.camera == name
            assert stamp_to_ns(message.header.stamp) in camera.stamps_ns
            assert (message.labels.width, message.labels.height) == size and message.labels.encoding == "mono16"
            assert [record.target_id for record in message.segments] == [target]
    gone = client.call(RemoveTargets, "/two/remove_targets", RemoveTargets.Request(all=True, camera="rear"))
    assert list(gone.removed) == [second] and list(gone.remaining) == [first]
    client.call(RemoveTargets, "/two/remove_targets", RemoveTargets.Request(all=True))


@pytest.fixture(scope="module")
def rich(client, start_node):
    """A node with one camera with depth, listened to on every topic, with a target."""
    remaps = ("image:=/rich/image", "depth:=/rich/depth", "camera_info:=/rich/camera_info")
    node = start_node("panoptic:=true", "diagnostics_rate_hz:=10.0", "depth_wait_s:=0.05", remaps=remaps, name="rich")
    depth = client.publisher(Image, "/rich/depth", BEST_EFFORT)
    info = client.publisher(CameraInfo, "/rich/camera_info", BEST_EFFORT)

    def with_depth(rgb, header):
        calibration = CameraInfo(header=header, height=96, width=128)
        calibration.k = [100.0, 0.0, 64.0, 0.0, 100.0, 48.0, 0.0, 0.0, 1.0]
        info.publish(calibration)
        depth.publish(array_to_image(np.full((96, 128), 1500, np.uint16), header, "16UC1"))
        return array_to_image(rgb, header)

    camera = Camera(client, "/rich/image", picture, convert=with_depth)
    kinds = {
        "segments": SegmentArray,
        "labels": Image,
        "overlay": Image,
        "overlay/compressed": CompressedImage,
        "targets": TargetArray,
        "markers": MarkerArray,
        "points": PointCloud2,
        "class_mask": Image,
        "confidence": Image,
    }
    heard = {name: client.listen(kind, f"/rich/{name}") for name, kind in kinds.items()}
    heard["diagnostics"] = client.listen(DiagnosticArray, "/diagnostics")
    ask(client, "rich", "green", track=True)
    yield camera, heard, node
    camera.close()


def test_every_topic_is_published_with_the_images_header_at_its_size(rich):
    camera, heard, _ = rich
    topics = {name: messages for name, messages in heard.items() if name != "diagnostics"}
    wait_for(lambda: all(len(messages) > 3 for messages in topics.values()), "messages on every topic")
    for name, messages in topics.items():
        message = messages[-1].markers[0] if name == "markers" else messages[-1]
        assert message.header.frame_id == "optical", name
        assert stamp_to_ns(message.header.stamp) in camera.stamps_ns, name
    for name in ("labels", "overlay", "class_mask", "confidence"):
        assert (topics[name][-1].width, topics[name][-1].height) == (128, 96), name
    assert image_to_rgb(topics["overlay"][-1]).shape == compressed_to_rgb(topics["overlay/compressed"][-1]).shape


def test_depth_gives_positions_in_the_optical_frame(rich):
    _, heard, _ = rich
    record = wait_for(
        lambda: next(
            (
                one
                for message in heard["segments"][-3:]
                for one in message.segments
                if one.target_id and one.has_position
            ),
            None,
        ),
        "a position",
    )
    assert record.position.z == pytest.approx(1.5, abs=0.01)
    assert record.position.x == pytest.approx((89.5 - 64) / 100 * 1.5, abs=0.02)
    assert record.size.x == pytest.approx(16 / 100 * 1.5, abs=0.06)  # its visible core


def test_the_panoptic_output_and_the_target_share_the_label_image(rich):
    _, heard, _ = rich

    def with_both():
        for message in heard["segments"][-3:]:
            if {bool(record.target_id) for record in message.segments} == {True, False}:
                return message
        return None

    message = wait_for(with_both, "a target beside the vocabulary")
    labels = np.frombuffer(message.labels.data, np.uint8).reshape(96, 128)
    target = next(record for record in message.segments if record.target_id)
    assert (labels == target.value).sum() == target.area == 256
    assert {record.label for record in message.segments if not record.target_id} <= {"red", "green", "blue", "grey"}


def test_diagnostics_tell_rate_latency_backend_and_targets(rich):
    _, heard, _ = rich

    def newest():
        arrays = [one for one in heard["diagnostics"] if len(one.status) == 2]
        values = {pair.key: pair.value for status in arrays[-1].status for pair in status.values} if arrays else {}
        # diagnostics come once a second: the first ones may be older than the target or the first full window
        return values if values.get("targets") == "1" and float(values["published_hz"]) > 2 else None

    values = wait_for(newest, "diagnostics with the target")
    assert values["backend"] == "colour" and values["targets"] == "1" and values["targets_tracked"] == "1"
    assert float(values["published_hz"]) > 2 and float(values["latency_p99_ms"]) >= float(values["latency_p95_ms"]) > 0
    assert float(values["resident_memory_mb"]) > 10 and int(values["frames_received"]) > 0


def test_a_loop_back_in_time_keeps_the_target_and_the_stream(rich):
    camera, heard, _ = rich
    wait_for(lambda: len(camera.stamps_ns) > 5 and heard["targets"], "some frames")
    middle = camera.stamps_ns[-1]
    camera.rewind()

    def in_the_new_round():
        first = next((i for i, m in enumerate(heard["targets"]) if stamp_to_ns(m.header.stamp) == middle), None)
        later = heard["targets"][first + 1 :] if first is not None else heard["targets"]
        return any(
            len(message.targets) == 1
            and message.targets[0].state == Target.TRACKED
            and stamp_to_ns(message.header.stamp) < middle
            for message in later
        )

    heard["targets"].clear()
    wait_for(in_the_new_round, "the target in the new round")


def test_frames_that_cannot_be_read_are_said_and_the_stream_goes_on(client, rich):
    camera, heard, node = rich
    publisher = client.publisher(Image, "/rich/image")
    camera.pause()
    short = Image(height=10, width=10, step=30, encoding="rgb8", data=bytes(5))
    wait_for(lambda: publisher.publish(short) or "truncated" in node.log, "a warning")  # the first may be lost
    camera.resume()
    heard["segments"].clear()
    wait_for(lambda: len(heard["segments"]) > 3, "frames again")


def test_a_camera_that_changes_its_resolution_goes_on(client, start_node):
    node = start_node(remaps=("image:=/resized/image",), name="resized")
    size = {"height": 96, "width": 128}
    camera = Camera(client, "/resized/image", lambda index: scene({(60, 40): "red"}, **size))
    heard = client.listen(SegmentArray, "/resized/segments")
    ask(client, "resized", track=True)
    size.update(height=144, width=192)
    wait_for(lambda: heard and heard[-1].labels.width == 192, "the new size")
    assert client.call(
        Segment, "/resized/segment", Segment.Request(prompts=[Prompt(clicks=[Click(x=60.0, y=40.0)])])
    ).success
    camera.close()
    assert "Traceback" not in node.log
    node.stop()


def test_nothing_is_computed_when_nobody_listens_and_nothing_is_tracked(client, start_node):
    node = start_node("diagnostics_rate_hz:=10.0", remaps=("image:=/quiet/image",), name="quiet")
    camera = Camera(client, "/quiet/image", picture)
    diagnostics = client.listen(DiagnosticArray, "/diagnostics")
    ask(client, "quiet")

    def values():
        for array in reversed(diagnostics[-20:]):
            for status in array.status:
                if status.name == "quiet: camera camera":
                    return {pair.key: pair.value for pair in status.values}
        return None

    first = wait_for(values, "diagnostics")
    wait_for(lambda: int(values()["frames_received"]) > int(first["frames_received"]) + 5, "frames")
    assert values()["frames_published"] == first["frames_published"] == "0"
    assert values()["frames_dropped"] == "0"  # kept for stamped prompts, and not missed by anybody
    results = client.listen(SegmentArray, "/quiet/segments")
    wait_for(lambda: len(results) > 3, "results for a listener that came late")
    camera.close()
    node.stop()


def test_class_numbers_mean_the_same_as_long_as_the_node_lives(client, start_node):
    node = start_node("panoptic:=true", remaps=("image:=/numbered/image",), name="numbered")
    blobs = {(90, 60): "blue"}
    camera = Camera(client, "/numbered/image", lambda index: scene(dict(blobs)))
    masks = client.listen(Image, "/numbered/class_mask")

    def numbers():
        """Of blue and of green, in the newest mask; 0 = not there."""
        mask = np.frombuffer(masks[-1].data, np.uint8).reshape(96, 128) if masks else np.zeros((96, 128))
        return int(mask[60, 90]), int(mask[30, 30])

    blue, _ = wait_for(lambda: numbers()[0] and numbers(), "a number of blue", 60)
    blobs.clear()
    blobs[30, 30] = "green"
    down_and_up(client, "/numbered")
    _, green = wait_for(lambda: numbers()[1] and numbers(), "a number of green")
    assert green != blue
    blobs[90, 60] = "blue"
    wait_for(lambda: numbers()[0], "blue again")
    assert numbers() == (blue, green)
    camera.close()
    node.stop()


def test_detections_and_latched_class_names_are_there_where_vision_msgs_is(client, start_node):
    vision_msgs = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not on PyPI")
    node = start_node(remaps=("image:=/visible/image",), name="visible")
    camera = Camera(client, "/visible/image", picture)
    boxes = client.listen(vision_msgs.Detection2DArray, "/visible/detections")
    ask(client, "visible", "green", track=True)
    found = wait_for(lambda: next((one for one in boxes[-2:] if one.detections), None), "a detection")
    detection = found.detections[0]
    assert (detection.id, detection.bbox.size_x, detection.bbox.center.position.x) == ("1", 16.0, 90.0)
    latched = client.listen(vision_msgs.LabelInfo, "/visible/label_info", LATCHED)  # long after it was told
    names = {one.class_name for one in wait_for(lambda: latched, "the class names")[-1].class_map}
    assert {"green", "nothing"} <= names and detection.results[0].hypothesis.class_id == "green"
    camera.close()
    node.stop()
