# SPDX-License-Identifier: Apache-2.0
"""Writes what was found into a ROS 2 bag, as the node would have published it; no ROS needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.oriented_box import OrientedBox
from seem_ros.perception.structures.segments import Segment, Segments

NS_PER_S = 1_000_000_000
# Format 8 of metadata.yaml is what Humble reads as well as what is newer.
BAG_VERSION = 8
TOPICS = {
    "/seem/segments": "seem_ros/msg/SegmentArray",
    "/seem/labels": "sensor_msgs/msg/Image",
    "/seem/overlay/compressed": "sensor_msgs/msg/CompressedImage",
}
_JPEG_QUALITY = 80


def definitions() -> Path:
    """The folder of the package's .msg files: of the source tree, or of the installed package.

    Raises:
        DataError: There is none.
    """
    here = Path(__file__).resolve()
    places = [here.parents[2] / "msg"]
    # <prefix>/lib/python3.x/site-packages/seem_ros/datasets/result_bag.py beside <prefix>/share/seem_ros/msg
    places += [parent / "share" / "seem_ros" / "msg" for parent in here.parents]
    for place in places:
        if (place / "SegmentArray.msg").is_file():
            return place
    raise DataError("the .msg files of seem_ros were not found: --bag works from the source tree or a ROS workspace")


class ResultBag:
    """One bag in MCAP, a folder that `ros2 bag play` takes beside the source's. Close it at the end.

    Args:
        folder: To make; must not exist.

    Raises:
        DataError: rosbags is missing, or the folder exists or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
            from rosbags.typesys import Stores, get_types_from_msg, get_typestore
        except ImportError as error:
            raise DataError(f"writing a bag needs rosbags ({error.name} is missing): pip install rosbags") from error
        self._folder, self._store = folder, get_typestore(Stores.ROS2_HUMBLE)
        found: dict[str, Any] = {}
        for file in sorted(definitions().glob("*.msg")):
            found |= get_types_from_msg(file.read_text(), f"seem_ros/msg/{file.stem}")
        self._store.register(found)
        try:
            self._writer = Writer(folder, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise DataError(f"the bag {folder} cannot be written: {error}") from error
        self._connections = {
            topic: self._writer.add_connection(topic, kind, typestore=self._store) for topic, kind in TOPICS.items()
        }

    def add(self, frame: Frame, segments: Segments, overlay_rgb: np.ndarray) -> None:
        """One frame's results, at the frame's time.

        Args:
            frame: The picture.
            segments: Of it.
            overlay_rgb: uint8 [H, W, 3], the picture with its segments.

        Raises:
            DataError: The disk is full.
        """
        header = self._header(frame)
        labels = self._image(header, segments.labels)
        records = [self._record(segment) for segment in segments]
        jpeg = cv2.imencode(".jpg", overlay_rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].ravel()
        messages = {
            "/seem/segments": self._make(
                "seem_ros/msg/SegmentArray",
                header=header,
                camera=frame.camera,
                position_frame=segments.position_frame or frame.frame_id,
                segments=records,
                labels=labels,
            ),
            "/seem/labels": labels,
            "/seem/overlay/compressed": self._make(
                "sensor_msgs/msg/CompressedImage", header=header, format="jpeg", data=jpeg
            ),
        }
        for topic, message in messages.items():
            data = self._store.serialize_cdr(message, TOPICS[topic])
            try:
                self._writer.write(self._connections[topic], frame.stamp_ns, data)
            except OSError as error:
                raise DataError(f"the bag {self._folder} cannot be written: {error.strerror or error}") from error

    def _make(self, kind: str, **values: Any) -> Any:
        """A message; fields without a value are what ROS fills in."""
        fields = self._store.fielddefs[kind][1]
        return self._store.types[kind](
            **{name: values[name] if name in values else self._default(*what) for name, what in fields}
        )

    def _default(self, node: Any, what: Any) -> Any:
        from rosbags.interfaces import Nodetype

        if node == Nodetype.NAME:
            return self._make(what)
        if node == Nodetype.BASE:
            return {"string": "", "bool": False}.get(what[0], 0.0 if what[0].startswith("float") else 0)
        item, length = what
        if item[0] == Nodetype.BASE and item[1][0] != "string":
            return np.zeros(length if node == Nodetype.ARRAY else 0, np.dtype(item[1][0]))
        return []

    def _header(self, frame: Frame) -> Any:
        stamp = self._make(
            "builtin_interfaces/msg/Time", sec=frame.stamp_ns // NS_PER_S, nanosec=frame.stamp_ns % NS_PER_S
        )
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=frame.frame_id)

    def _image(self, header: Any, labels: np.ndarray) -> Any:
        data = np.ascontiguousarray(labels).view(np.uint8).reshape(-1)
        return self._make(
            "sensor_msgs/msg/Image",
            header=header,
            height=labels.shape[0],
            width=labels.shape[1],
            encoding="mono8" if labels.dtype == np.uint8 else "mono16",
            is_bigendian=int(sys.byteorder == "big"),
            step=data.size // labels.shape[0],
            data=data,
        )

    def _record(self, segment: Segment) -> Any:
        position, size = segment.position_m, segment.size_m or (0.0, 0.0, 0.0)
        x0, y0, x1, y1 = (float(value) for value in segment.box_xyxy_px)
        return self._make(
            "seem_ros/msg/SegmentRecord",
            value=segment.value,
            target_id=segment.target_id,
            is_thing=segment.is_thing,
            label=segment.label,
            label_score=float(segment.label_score),
            mask_score=float(segment.mask_score),
            presence=float(segment.presence),
            box=self._make("seem_ros/msg/Box", x0=x0, y0=y0, x1=x1, y1=y1),
            area=segment.area_px,
            centroid=self._make("seem_ros/msg/Pixel", x=segment.centroid_xy_px[0], y=segment.centroid_xy_px[1]),
            has_position=position is not None,
            position=self._vector("geometry_msgs/msg/Point", position or (0.0, 0.0, 0.0)),
            size=self._vector("geometry_msgs/msg/Vector3", size),
            **self._oriented(segment.oriented_box),
        )

    def _oriented(self, box: OrientedBox | None) -> dict[str, Any]:
        """The fields of a record that tell its oriented box; none where it has no such box."""
        if box is None:
            return {}
        x, y, z, w = (float(value) for value in box.quaternion_xyzw)
        pose = self._make(
            "geometry_msgs/msg/Pose",
            position=self._vector("geometry_msgs/msg/Point", box.centre_m),
            orientation=self._make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
        )
        size = self._vector("geometry_msgs/msg/Vector3", box.size_m)
        return {"has_oriented_box": True, "oriented_pose": pose, "oriented_size": size}

    def _vector(self, kind: str, xyz: tuple[float, float, float]) -> Any:
        x, y, z = (float(value) for value in xyz)
        return self._make(kind, x=x, y=y, z=z)

    def close(self) -> None:
        """Finish the bag; without that it has no metadata."""
        self._writer.close()
