# SPDX-License-Identifier: Apache-2.0
"""Writes a clip of the simulated tabletop as a ROS 2 bag in MCAP, without ROS installed.

Topics as the tabletop camera's: /tabletop/image (rgb8), /tabletop/camera_info, /tabletop/depth (32FC1, metres),
/tabletop/labels (mono8, ids of the truth, 0 = nothing) and /tabletop/names (std_msgs/String, once: JSON, id to name).
Stamps are simulated time; they begin at one second, because a stamp of zero means "newest" to the node.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.ground_truth import RenderedFrame

PREFIX, FRAME_ID = "/tabletop/", "tabletop_camera_optical_frame"
FIRST_STAMP_NS = 1_000_000_000
_ENCODINGS = {(np.dtype(np.uint8), 3): "rgb8", (np.dtype(np.uint8), 2): "mono8", (np.dtype(np.float32), 2): "32FC1"}
_TOPICS = {
    "image": "sensor_msgs/msg/Image",
    "camera_info": "sensor_msgs/msg/CameraInfo",
    "depth": "sensor_msgs/msg/Image",
    "labels": "sensor_msgs/msg/Image",
    "names": "std_msgs/msg/String",
}


class BagWriter:
    """Writes one bag, a folder that `ros2 bag play` takes. Use as a context manager.

    Args:
        folder: To make; must not exist.
        depth: Whether depth is written.

    Raises:
        DataError: The rosbags package is missing, the folder exists already or cannot be written.
    """

    def __init__(self, folder: Path, depth: bool = True) -> None:
        try:
            from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
            from rosbags.typesys import Stores, get_typestore
        except ImportError as error:
            raise DataError(
                f"writing a bag needs another package ({error.name} is missing): pip install rosbags"
            ) from error
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._first_ns: int | None = None
        try:
            self._writer = Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise DataError(f"the bag {folder} cannot be written: {error}") from error
        self._connections = {
            name: self._writer.add_connection(PREFIX + name, kind, typestore=self._store)
            for name, kind in _TOPICS.items()
            if depth or name != "depth"
        }

    def add(self, frame: RenderedFrame) -> None:
        """Writes one frame.

        Raises:
            DataError: The disk is full.
        """
        if self._first_ns is None:
            self._first_ns = frame.stamp_ns
            names = json.dumps({str(item.id): item.name for item in frame.instances})
            self._write("names", FIRST_STAMP_NS, self._message("names", data=names))
        stamp_ns = frame.stamp_ns - self._first_ns + FIRST_STAMP_NS
        header = self._header(stamp_ns)
        self._write("camera_info", stamp_ns, self._camera_info(header, frame))
        pictures = {"image": frame.rgb, "depth": frame.depth_m.astype(np.float32), "labels": frame.ids}
        for name, pixels in pictures.items():
            if name in self._connections:
                self._write(name, stamp_ns, self._image(header, pixels))

    def _message(self, topic: str, **values: object) -> object:
        return self._store.types[_TOPICS[topic]](**values)

    def _header(self, stamp_ns: int) -> object:
        time = self._store.types["builtin_interfaces/msg/Time"](
            sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000
        )
        return self._store.types["std_msgs/msg/Header"](stamp=time, frame_id=FRAME_ID)

    def _image(self, header: object, pixels: np.ndarray) -> object:
        height, width = pixels.shape[:2]
        data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
        return self._message(
            "image",
            header=header,
            height=height,
            width=width,
            encoding=_ENCODINGS[pixels.dtype, pixels.ndim],
            is_bigendian=int(sys.byteorder == "big"),
            step=data.size // height,
            data=data,
        )

    def _camera_info(self, header: object, frame: RenderedFrame) -> object:
        height, width = frame.ids.shape
        k = np.asarray(frame.intrinsics, np.float64)
        region = self._store.types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self._message(
            "camera_info",
            header=header,
            height=height,
            width=width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=k.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.hstack([k, np.zeros((3, 1))]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=region,
        )

    def _write(self, topic: str, stamp_ns: int, message: object) -> None:
        try:
            self._writer.write(self._connections[topic], stamp_ns, self._store.serialize_cdr(message, _TOPICS[topic]))
        except OSError as error:
            raise DataError(f"the bag {self._writer.path} cannot be written: {error.strerror or error}") from error

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
