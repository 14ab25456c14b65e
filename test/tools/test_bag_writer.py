# SPDX-License-Identifier: Apache-2.0
"""Bags that the recorder writes, read back by the library's reader and by our own."""

import json

import numpy as np
import pytest

from seem_ros.datasets.media import open_media
from seem_ros.errors import DataError
from seem_ros.sim.ground_truth import RenderedFrame, TrueInstance
from seem_ros.tools.bag_writer import FIRST_STAMP_NS, BagWriter

pytest.importorskip("rosbags")
STEP_NS = 66_666_667


def _frame(index: int) -> RenderedFrame:
    rng = np.random.default_rng(index)
    ids = np.zeros((48, 64), np.uint8)
    ids[10:30, 10 + index : 30 + index] = 1
    lens = np.array([[60.0, 0, 31.5], [0, 61.0, 23.5], [0, 0, 1]])
    return RenderedFrame(
        index,
        index * STEP_NS,
        rng.integers(0, 256, (48, 64, 3)).astype(np.uint8),
        ids,
        rng.random((48, 64)).astype(np.float32),
        lens,
        np.eye(4),
        {},
        (TrueInstance.thing(1, "mug", "red", None, "plain"),),
    )


def _written(folder, **options):
    with BagWriter(folder, **options) as bag:
        for index in range(3):
            bag.add(_frame(index))
    return folder


def test_pictures_depth_calibration_and_truth_read_back_as_they_were(tmp_path):
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    folder = _written(tmp_path / "bag")
    assert [path.suffix for path in folder.glob("bag*")] == [".mcap"]
    with AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
        found = {}
        for connection, time_ns, raw in reader.messages():
            found.setdefault(connection.topic, []).append((time_ns, reader.deserialize(raw, connection.msgtype)))
    assert {topic: len(messages) for topic, messages in found.items()} == {
        "/tabletop/image": 3,
        "/tabletop/camera_info": 3,
        "/tabletop/depth": 3,
        "/tabletop/labels": 3,
        "/tabletop/names": 1,
    }
    assert json.loads(found["/tabletop/names"][0][1].data) == {"1": "red mug"}
    for index in range(3):
        frame = _frame(index)
        for topic, kind, wanted in (
            ("image", np.uint8, frame.rgb),
            ("depth", np.float32, frame.depth_m),
            ("labels", np.uint8, frame.ids),
        ):
            time_ns, message = found[f"/tabletop/{topic}"][index]
            assert np.array_equal(np.frombuffer(message.data, kind).reshape(wanted.shape), wanted)
            stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            assert time_ns == stamp_ns == FIRST_STAMP_NS + index * STEP_NS
        info = found["/tabletop/camera_info"][index][1]
        assert (info.width, info.height) == (64, 48)
        assert np.allclose(np.reshape(info.k, (3, 3)), frame.intrinsics)
        assert np.allclose(np.reshape(info.p, (3, 4))[:, :3], frame.intrinsics)


def test_a_recorded_bag_is_footage_for_the_other_tools(tmp_path):
    pytest.importorskip("rosbags")
    media = open_media(str(_written(tmp_path / "bag")))
    frames = [frame for _, frame in media.frames]
    assert len(frames) == 3
    assert np.array_equal(frames[1].rgb, _frame(1).rgb)


def test_depth_may_be_left_out_and_a_folder_that_is_there_is_kept(tmp_path):
    folder = _written(tmp_path / "bag", depth=False)
    media = (folder / "bag.mcap").read_bytes()
    assert b"/tabletop/labels" in media and b"/tabletop/depth" not in media
    with pytest.raises(DataError, match="exists already"):
        BagWriter(folder)
