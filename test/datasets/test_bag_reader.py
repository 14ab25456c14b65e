# SPDX-License-Identifier: Apache-2.0
"""Bags as they lie on robots' disks: encodings, several topics, depth, no metadata, compression, broken pictures."""

import itertools
import json
import shutil
from fractions import Fraction

import cv2
import numpy as np
import pytest
from colour_backend import ColourBackend, scene

pytest.importorskip("rosbags", reason="rosbags is not installed")

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.typesys import Stores, get_typestore

from seem_ros.datasets.media import open_media
from seem_ros.errors import DataError
from seem_ros.perception.segmenter import Segmenter
from seem_ros.tools.segment import build_parser, run

STORE = get_typestore(Stores.ROS2_HUMBLE)
TYPES = STORE.types
IMAGE, COMPRESSED, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
START_NS, STEP_NS = 5_000_000_000, 100_000_000
HEIGHT, WIDTH = 96, 128


def header(stamp_ns):
    stamp = TYPES["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
    return TYPES["std_msgs/msg/Header"](stamp, "lens")


def image(pixels, encoding, stamp_ns, height=HEIGHT, width=WIDTH, step=None):
    rows = np.ascontiguousarray(pixels)
    data = rows.view(np.uint8).reshape(-1)
    return TYPES[IMAGE](header(stamp_ns), height, width, encoding, 0, step or rows.nbytes // len(rows), data)


def packed(rgb, text, stamp_ns):
    return TYPES[COMPRESSED](header(stamp_ns), text, cv2.imencode(".png", rgb[:, :, ::-1])[1].ravel())


def info(stamp_ns):
    region = TYPES["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k = np.array([100.0, 0, 64, 0, 100, 48, 0, 0, 1])
    return TYPES[INFO](
        header(stamp_ns), HEIGHT, WIDTH, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), np.zeros(12), 0, 0, region
    )


def picture(index):
    return scene({(20 + 4 * index, 40): "red", (100, 70): "blue"})


def write(path, topics, storage="sqlite3", count=6, compression=None):
    """A bag; topics: name -> (type, function from number and stamp to message)."""
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections = {name: writer.add_connection(name, kind, typestore=STORE) for name, (kind, _) in topics.items()}
        for index in range(count):
            stamp_ns = START_NS + index * STEP_NS
            for name, (kind, make) in topics.items():
                data = STORE.serialize_cdr(make(index, stamp_ns), kind)
                writer.write(connections[name], stamp_ns, data)
    return path


def colour(index, stamp_ns):
    return image(picture(index), "rgb8", stamp_ns)


def grey(index, stamp_ns):
    return image(picture(index)[:, :, 0], "mono8", stamp_ns)


def depth(index, stamp_ns):
    return image(np.full((HEIGHT, WIDTH), 1500, np.uint16), "16UC1", stamp_ns)


def segment(*arguments):
    return run(build_parser().parse_args([str(one) for one in arguments]), Segmenter(ColourBackend()))


def nv12(rgb, padding):
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    pair = planes[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    rows = np.vstack([planes[:HEIGHT], np.dstack(list(pair)).reshape(HEIGHT // 2, WIDTH)])
    return np.pad(rows, ((0, 0), (0, padding)))


@pytest.mark.parametrize(
    "make",
    [
        lambda i, ns: image(nv12(picture(i), 0), "nv12", ns, step=WIDTH),
        lambda i, ns: image(nv12(picture(i), 32), "nv12", ns, step=WIDTH + 32),
        lambda i, ns: image(np.pad(picture(i).reshape(HEIGHT, -1), ((0, 0), (0, 16))), "rgb8", ns, step=WIDTH * 3 + 16),
        lambda i, ns: image(picture(i).astype(np.uint16) * 16, "rgb16", ns),
    ],
    ids=["nv12", "nv12 padded", "rgb8 padded", "12 bit"],
)
def test_bags_are_decoded_as_topics_are(tmp_path, make):
    write(tmp_path / "bag", {"/camera/image_raw": (IMAGE, make)})
    assert segment(tmp_path / "bag", "--text", "red", "--out", tmp_path / "o", "--no-overlay") == 1
    frames = json.loads((tmp_path / "o/segments.json").read_text())["frames"]
    assert [len(frame["segments"]) for frame in frames] == [1] * 6


@pytest.mark.parametrize("encoding", ["8UC1", "16UC1", "mono16"])
def test_grey_encodings_are_read(tmp_path, encoding):
    dtype = np.uint8 if encoding == "8UC1" else np.uint16

    def make(index, stamp_ns):
        return image(picture(index)[:, :, 0].astype(dtype), encoding, stamp_ns)

    write(tmp_path / "bag", {"/thermal": (IMAGE, make)})
    frames = list(open_media(str(tmp_path / "bag")).frames)
    assert len(frames) == 6 and frames[0][1].rgb.std() > 20


def test_a_broken_picture_is_counted_reported_and_skipped(tmp_path, capsys):
    def make(index, stamp_ns):
        good = packed(picture(index), "png", stamp_ns)
        return good if index != 2 else TYPES[COMPRESSED](header(stamp_ns), "png", np.zeros(20, np.uint8))

    write(tmp_path / "bag", {"/camera/image_raw/compressed": (COMPRESSED, make)})
    assert segment(tmp_path / "bag", "--text", "red", "--out", tmp_path / "o", "--no-overlay") == 1
    report = json.loads((tmp_path / "o/segments.json").read_text())
    assert [frame["name"][-1] for frame in report["frames"]] == ["0", "1", "3", "4", "5"]
    assert len(report["skipped"]) == 1 and "frame_000002" in report["skipped"][0]
    assert "skipped: frame_000002" in capsys.readouterr().err


def test_a_bag_of_broken_pictures_alone_is_an_error(tmp_path):
    write(tmp_path / "bag", {"/camera": (IMAGE, lambda i, ns: image(picture(i), "purple12", ns))})
    with pytest.raises(DataError, match=r"none can be read: .*'purple12'"):
        list(open_media(str(tmp_path / "bag")).frames)


RGBD = {
    "/camera/color/image_raw": (IMAGE, colour),
    "/camera/aligned_depth_to_color/image_raw": (IMAGE, depth),
    "/camera/infra1/image_rect_raw": (IMAGE, grey),
}


@pytest.mark.parametrize("order", itertools.permutations(RGBD), ids=lambda order: order[0].split("/")[2])
def test_the_colour_topic_of_an_rgbd_camera_is_taken_whatever_was_recorded_first(tmp_path, order):
    write(tmp_path / "bag", {name: RGBD[name] for name in order}, storage="mcap", count=3)
    assert "/camera/color/image_raw" in open_media(str(tmp_path / "bag")).name


@pytest.mark.parametrize("first", ["colour", "depth"])
def test_positions_come_from_the_depth_of_the_bag(tmp_path, first):
    names = list(RGBD) if first == "colour" else list(reversed(RGBD))
    topics = {name: RGBD[name] for name in names} | {"/camera/color/camera_info": (INFO, lambda i, ns: info(ns))}
    write(tmp_path / "bag", topics)
    assert segment(tmp_path / "bag", "--text", "red", "--out", tmp_path / "o", "--no-overlay") == 1
    frames = json.loads((tmp_path / "o/segments.json").read_text())["frames"]
    assert len(frames) == 6
    for index, frame in enumerate(frames[1:], 1):  # calibration comes with the first picture
        x, _, z = frame["segments"][0]["position_m"]
        assert (x, z) == pytest.approx(((19.5 + 4 * index - 64) / 100 * 1.5, 1.5), abs=0.02)


def robot_with_two_cameras(depth_mm, make=colour):
    """Topics of a camera in front and one at the wrist; depth in millimetres by camera, for those that have it."""
    topics = {}
    for name in ("front", "wrist"):
        topics[f"/{name}/color/image_raw"] = (IMAGE, make)
        topics[f"/{name}/color/camera_info"] = (INFO, lambda i, ns: info(ns))
    for name, value in depth_mm.items():
        plane = np.full((HEIGHT, WIDTH), value, np.uint16)
        topic = f"/{name}/aligned_depth_to_color/image_raw"
        topics[topic] = (IMAGE, lambda i, ns, plane=plane: image(plane, "16UC1", ns))
    return topics


def depth_of_last_frame(bag, topic):
    depth_m = list(open_media(str(bag), topic).frames)[-1][1].depth_m
    return None if depth_m is None else round(float(depth_m[0, 0]), 3)


def test_of_two_cameras_each_has_its_own_depth(tmp_path):
    write(tmp_path / "bag", robot_with_two_cameras({"front": 3000, "wrist": 400}))
    assert depth_of_last_frame(tmp_path / "bag", "/front/color/image_raw") == 3.0
    assert depth_of_last_frame(tmp_path / "bag", "/wrist/color/image_raw") == 0.4


@pytest.mark.parametrize("make", [colour, grey], ids=["colour", "grey"])
def test_a_camera_without_depth_does_not_get_another_cameras(tmp_path, make):
    write(tmp_path / "bag", robot_with_two_cameras({"front": 3000}, make))
    assert depth_of_last_frame(tmp_path / "bag", "/front/color/image_raw") == 3.0
    assert depth_of_last_frame(tmp_path / "bag", "/wrist/color/image_raw") is None


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_bags_without_metadata_open_whole_and_file_by_file(tmp_path, storage):
    for part in range(2):
        write(tmp_path / f"part{part}", {"/camera": (IMAGE, colour)}, storage)
    folder = tmp_path / "split"
    folder.mkdir()
    suffix = "mcap" if storage == "mcap" else "db3"
    for part in range(2):
        shutil.copy(next((tmp_path / f"part{part}").glob(f"*.{suffix}")), folder / f"rec_{part}.{suffix}")
    assert len(list(open_media(str(folder / f"rec_1.{suffix}")).frames)) == 6
    assert len(list(open_media(str(folder)).frames)) == 12


@pytest.mark.parametrize("mode", ["FILE", "MESSAGE"])
def test_compressed_bags_open_with_metadata_and_the_packed_file_without(tmp_path, mode):
    write(tmp_path / "bag", {"/camera": (IMAGE, colour)}, compression=CompressionMode[mode])
    assert len(list(open_media(str(tmp_path / "bag")).frames)) == 6
    file = next(one for one in (tmp_path / "bag").iterdir() if one.name != "metadata.yaml")
    assert len(list(open_media(str(file)).frames)) == 6
    if mode == "FILE":
        (tmp_path / "bag" / "metadata.yaml").unlink()
        assert file.suffix == ".zstd" and len(list(open_media(str(tmp_path / "bag")).frames)) == 6
        file.write_bytes(b"rubbish")
        with pytest.raises(DataError, match="cannot be decompressed"):
            open_media(str(file))


def test_results_are_written_into_a_bag_that_has_them_as_the_node_publishes_them(tmp_path):
    from rosbags.highlevel import AnyReader

    write(tmp_path / "bag", {"/camera": (IMAGE, colour)})
    assert segment(tmp_path / "bag", "--text", "red", "--out", tmp_path / "o", "--bag", tmp_path / "results") == 1
    with AnyReader([tmp_path / "results"], default_typestore=STORE) as reader:
        found = {}
        for connection, time_ns, data in reader.messages():
            found.setdefault(connection.topic, []).append((time_ns, reader.deserialize(data, connection.msgtype)))
    assert {name: len(messages) for name, messages in found.items()} == {
        "/seem/segments": 6,
        "/seem/labels": 6,
        "/seem/overlay/compressed": 6,
    }
    time_ns, last = found["/seem/segments"][-1]
    assert time_ns == START_NS + 5 * STEP_NS and last.header.frame_id == "lens"
    record = last.segments[0]
    assert (record.label, record.target_id) == ("red", 1) and last.labels.encoding == "mono8"
    assert (last.labels.data == record.value).sum() == record.area
    with pytest.raises(DataError, match="results"):
        segment(tmp_path / "bag", "--text", "red", "--out", tmp_path / "o2", "--bag", tmp_path / "results")


def test_a_bag_of_results_has_the_oriented_boxes_of_targets(tmp_path):
    from rosbags.highlevel import AnyReader

    write(tmp_path / "bag", RGBD | {"/camera/color/camera_info": (INFO, lambda i, ns: info(ns))})
    assert segment(tmp_path / "bag", "--text", "red", "--out", tmp_path / "o", "--bag", tmp_path / "results") == 1
    (told,) = json.loads((tmp_path / "o/segments.json").read_text())["frames"][-1]["segments"]
    with AnyReader([tmp_path / "results"], default_typestore=STORE) as reader:
        connections = [one for one in reader.connections if one.topic == "/seem/segments"]
        messages = [reader.deserialize(data, one.msgtype) for one, _, data in reader.messages(connections)]
    (record,) = messages[-1].segments
    assert record.has_oriented_box
    for mine, wanted, names in (
        (record.oriented_pose.position, told["oriented_box"]["centre_m"], "xyz"),
        (record.oriented_pose.orientation, told["oriented_box"]["quaternion_xyzw"], "xyzw"),
        (record.oriented_size, told["oriented_box"]["size_m"], "xyz"),
    ):
        assert [getattr(mine, name) for name in names] == pytest.approx(wanted, abs=1e-3)
    assert min(record.oriented_size.x, record.oriented_size.y) > 0.1


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_video_packets_in_a_bag_are_decoded(tmp_path, codec):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    encoder = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[codec], "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 10), {"tune": "zerolatency", "crf": "10"}
    packets = []
    for index in range(6):
        frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
        frame.pts = index
        packets += [bytes(one) for one in encoder.encode(frame)]
    packets += [bytes(one) for one in encoder.encode(None)]

    def make(index, stamp_ns):
        return TYPES[COMPRESSED](header(stamp_ns), codec, np.frombuffer(packets[index], np.uint8))

    write(tmp_path / "bag", {"/camera/video": (COMPRESSED, make)})
    media = open_media(str(tmp_path / "bag"))
    frames = list(media.frames)
    assert len(frames) == 6 and not media.skipped
    assert np.abs(frames[4][1].rgb[40, 36].astype(int) - picture(4)[40, 36]).max() < 30
