# SPDX-License-Identifier: Apache-2.0
"""The coloured, labeled point cloud of a frame with depth, and the markers of what has a position."""

from __future__ import annotations

import sys
from collections.abc import Collection

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from seem_ros.errors import FrameError
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.visualize import colour_of
from seem_ros.ros.messages.images import to_data
from seem_ros.ros.messages.results import box_pose

POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4"), ("label", "<u2"), ("", "<u2")])
FIELDS = [
    PointField(name="x", offset=0, datatype=PointField.FLOAT32, count=1),
    PointField(name="y", offset=4, datatype=PointField.FLOAT32, count=1),
    PointField(name="z", offset=8, datatype=PointField.FLOAT32, count=1),
    PointField(name="rgb", offset=12, datatype=PointField.FLOAT32, count=1),
    PointField(name="label", offset=16, datatype=PointField.UINT16, count=1),
]
NAME_HEIGHT_M = 0.04


def cloud(frame: Frame, segments: Segments, header: Header, stride: int) -> PointCloud2:
    """Points of all pixels with depth, in the camera's optical frame, metres.

    Fields: x, y, z, rgb (the segment's colour mixed with the picture's, packed as RViz expects), label (pixel value).

    Args:
        frame: With depth and intrinsics.
        segments: Of the frame.
        header: Of the source image.
        stride: Every how many rows and columns a point is made.
    """
    if frame.depth_m is None or frame.intrinsics is None:
        raise FrameError("a point cloud needs depth and intrinsics")
    depth = frame.depth_m[::stride, ::stride]
    valid = np.isfinite(depth) & (depth > 0)
    rows, columns = np.nonzero(valid)
    z = depth[rows, columns]
    ray_x, ray_y = frame.intrinsics.rays(columns * stride, rows * stride)
    points = np.zeros(len(z), POINT)
    points["x"], points["y"], points["z"] = ray_x * z, ray_y * z, z
    labels = segments.labels[::stride, ::stride][rows, columns]
    _paint(points, frame.rgb[::stride, ::stride][rows, columns], labels, segments)
    return _message(points, header, 1, len(points), is_dense=True)


def organized_cloud(frame: Frame, segments: Segments, header: Header) -> PointCloud2:
    """A point for every pixel, in rows and columns as the label image; NaN where there is no depth.

    Args:
        frame: With depth and intrinsics.
        segments: Of the frame.
        header: Of the source image.
    """
    depth_m, lens = frame.depth_m, frame.intrinsics
    if depth_m is None or lens is None:
        raise FrameError("a point cloud needs depth and intrinsics")
    z = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, np.float32("nan"))
    if lens.distortion:
        rows, columns = np.mgrid[: frame.height, : frame.width]
        ray_x, ray_y = lens.rays(columns, rows)
    else:
        ray_x, _ = lens.rays(np.arange(frame.width)[None], np.zeros((1, frame.width)))
        _, ray_y = lens.rays(np.zeros((frame.height, 1)), np.arange(frame.height)[:, None])
    points = np.zeros(z.shape, POINT)
    points["x"], points["y"], points["z"] = ray_x.astype(np.float32) * z, ray_y.astype(np.float32) * z, z
    _paint(points, frame.rgb, segments.labels, segments)
    return _message(points, header, frame.height, frame.width, is_dense=False)


def _paint(points: np.ndarray, rgb: np.ndarray, labels: np.ndarray, segments: Segments) -> None:
    """Write label and colour, the segment's mixed with the picture's, into points of the same shape."""
    mixed = rgb.astype(np.uint32)
    for segment in segments:
        mine = labels == segment.value
        mixed[mine] = (mixed[mine] + np.array(colour_of(segment), np.uint32)) // 2
    points["rgb"] = (mixed[..., 0] << 16) | (mixed[..., 1] << 8) | mixed[..., 2]
    points["label"] = labels


def _message(points: np.ndarray, header: Header, height: int, width: int, is_dense: bool) -> PointCloud2:
    return PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=FIELDS,
        is_bigendian=sys.byteorder == "big",
        point_step=POINT.itemsize,
        row_step=POINT.itemsize * width,
        data=to_data(points.reshape(-1).view(np.uint8)),
        is_dense=is_dense,
    )


def markers(
    segments: Segments, header: Header, shown_before: Collection[int], lifetime_s: float = 0.0
) -> tuple[MarkerArray, set[int]]:
    """A box and a name for every segment with a position; what is gone is deleted one by one, so nothing blinks.

    Args:
        segments: Of the picture.
        header: Of the source image.
        shown_before: Marker ids of the message before.
        lifetime_s: After which a marker that nobody renews fades; 0 = never.

    Returns:
        The message, and the marker ids shown now.
    """
    array = MarkerArray()
    shown = set()
    header = Header(stamp=header.stamp, frame_id=segments.position_frame or header.frame_id)
    # above it for people: against y where y points down, as in an optical frame, else along z
    optical = header.frame_id == segments.frame_id
    for segment in segments:
        if segment.position_m is None:
            continue
        shown.add(segment.value)
        x, y, z = (float(value) for value in segment.position_m)
        size = [max(float(value), 0.005) for value in segment.size_m or (0.02, 0.02, 0.02)]
        red, green, blue = (value / 255.0 for value in colour_of(segment))
        box = _marker(header, "segments", segment.value, Marker.CUBE, lifetime_s)
        box.pose.position = Point(x=x, y=y, z=z)
        box.scale = Vector3(x=size[0], y=size[1], z=size[2])
        if segment.oriented_box is not None:
            box.pose = box_pose(segment.oriented_box)
            sides = [max(side, 0.005) for side in segment.oriented_box.size_m]
            box.scale = Vector3(x=sides[0], y=sides[1], z=sides[2])
        box.color = ColorRGBA(r=red, g=green, b=blue, a=0.4)
        name = _marker(header, "names", segment.value, Marker.TEXT_VIEW_FACING, lifetime_s)
        name.pose.position = (
            Point(x=x, y=y - size[1] / 2 - NAME_HEIGHT_M, z=z)
            if optical
            else Point(x=x, y=y, z=z + size[2] / 2 + NAME_HEIGHT_M)
        )
        name.scale = Vector3(x=0.0, y=0.0, z=NAME_HEIGHT_M)
        name.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        name.text = f"{segment.label} #{segment.target_id}" if segment.target_id else segment.label
        array.markers += [box, name]
    for value in set(shown_before) - shown:
        for namespace in ("segments", "names"):
            gone = _marker(header, namespace, value, Marker.CUBE)
            gone.action = Marker.DELETE
            array.markers.append(gone)
    return array, shown


def _marker(header: Header, namespace: str, number: int, kind: int, lifetime_s: float = 0.0) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.lifetime = Duration(sec=int(lifetime_s), nanosec=int(lifetime_s % 1 * 1e9))
    marker.pose.orientation.w = 1.0
    return marker
