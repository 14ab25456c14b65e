# SPDX-License-Identifier: Apache-2.0
"""The coloured, labeled point cloud of a frame with depth, and the markers of what has a position."""

from __future__ import annotations

import sys
from collections.abc import Collection

import numpy as np
from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

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
    depth = frame.depth_m[::stride, ::stride]
    valid = np.isfinite(depth) & (depth > 0)
    rows, columns = np.nonzero(valid)
    z = depth[rows, columns]
    lens = frame.intrinsics
    points = np.zeros(len(z), POINT)
    points["x"] = (columns * stride - lens.cx) * z / lens.fx
    points["y"] = (rows * stride - lens.cy) * z / lens.fy
    points["z"] = z
    labels = segments.labels[::stride, ::stride][rows, columns]
    rgb = frame.rgb[::stride, ::stride][rows, columns].astype(np.uint32)
    for segment in segments:
        mine = labels == segment.value
        rgb[mine] = (rgb[mine] + np.array(colour_of(segment), np.uint32)) // 2
    points["rgb"] = (rgb[:, 0] << 16) | (rgb[:, 1] << 8) | rgb[:, 2]
    points["label"] = labels
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=FIELDS,
        is_bigendian=sys.byteorder == "big",
        point_step=POINT.itemsize,
        row_step=POINT.itemsize * len(points),
        data=to_data(points.view(np.uint8)),
        is_dense=True,
    )


def markers(segments: Segments, header: Header, shown_before: Collection[int]) -> tuple[MarkerArray, set[int]]:
    """A box and a name for every segment with a position; what is gone is deleted one by one, so nothing blinks.

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
        box = _marker(header, "segments", segment.value, Marker.CUBE)
        box.pose.position = Point(x=x, y=y, z=z)
        box.scale = Vector3(x=size[0], y=size[1], z=size[2])
        if segment.oriented_box is not None:
            box.pose = box_pose(segment.oriented_box)
            sides = [max(side, 0.005) for side in segment.oriented_box.size_m]
            box.scale = Vector3(x=sides[0], y=sides[1], z=sides[2])
        box.color = ColorRGBA(r=red, g=green, b=blue, a=0.4)
        name = _marker(header, "names", segment.value, Marker.TEXT_VIEW_FACING)
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


def _marker(header: Header, namespace: str, number: int, kind: int) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    return marker
