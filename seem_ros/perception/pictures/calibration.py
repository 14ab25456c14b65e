# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo to the lens of a picture: distortion, binning and region of interest."""

from __future__ import annotations

from typing import Any

import numpy as np

from seem_ros.errors import FrameError
from seem_ros.perception.structures.frame import Intrinsics

_FISHEYE = ("equidistant", "fisheye")
_POLYNOMIAL = ("plumb_bob", "rational_polynomial", "")


def is_rectified_topic(topic: str) -> bool:
    """Whether the pictures of a topic are rectified, by the names that image_proc and drivers give them."""
    return "rect" in topic.rsplit("/", 1)[-1].lower()


def intrinsics_of(info: Any, height: int, width: int, rectified: bool = False) -> Intrinsics:
    """The lens of pictures of the given size.

    A raw picture is described by K with the distortion D, a rectified one by P without. Where K and D say that there is
    no distortion, or K is left zero, P serves both. Both are for the sensor's full resolution: the region of interest
    is taken off, then binning divides.

    Args:
        info: sensor_msgs/CameraInfo.
        height, width: Of the picture.
        rectified: Whether the pictures are rectified already.

    Raises:
        FrameError: It is not calibrated, is for another size, or its distortion model is unknown.
    """
    binning_x, binning_y, offset_x, offset_y = _sensor_to_picture(info, height, width)
    distortion = tuple(float(value) for value in info.d)
    bent = any(distortion) and not rectified
    fx, cx, fy, cy = info.p[0], info.p[2], info.p[5], info.p[6]
    if bent or not (fx > 0 and fy > 0):
        fx, cx, fy, cy = info.k[0], info.k[2], info.k[4], info.k[5]
    if not (fx > 0 and fy > 0 and np.isfinite([fx, fy, cx, cy]).all()):
        raise FrameError("camera_info is not calibrated: its focal lengths are 0")
    model = info.distortion_model.strip().lower()
    if bent and model not in (*_FISHEYE, *_POLYNOMIAL):
        known = ", ".join(name for name in (*_POLYNOMIAL, *_FISHEYE) if name)
        raise FrameError(f"camera_info's distortion model {model[:40]!r} is unknown; known: {known}")
    return Intrinsics(
        fx=float(fx) / binning_x,
        fy=float(fy) / binning_y,
        cx=(float(cx) - offset_x) / binning_x,
        cy=(float(cy) - offset_y) / binning_y,
        distortion=distortion if bent else (),
        fisheye=bent and model in _FISHEYE,
    )


def _sensor_to_picture(info: Any, height: int, width: int) -> tuple[int, int, int, int]:
    """Binning (x, y) and offset (x, y) that lead from the full sensor to a picture of this size.

    Raises:
        FrameError: None does.
    """
    binning = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    roi = info.roi
    region = (int(roi.width) or int(info.width), int(roi.height) or int(info.height))
    offset = (int(roi.x_offset), int(roi.y_offset)) if roi.width and roi.height else (0, 0)
    if (region[0] // binning[0], region[1] // binning[1]) == (width, height) or (info.width, info.height) == (0, 0):
        return (*binning, *offset)
    if (info.width, info.height) == (width, height):
        return 1, 1, 0, 0  # a driver that names binning or a region, and sends the whole picture
    if region == (width, height):
        return 1, 1, *offset
    raise FrameError(
        f"camera_info is for {info.width}x{info.height}"
        + (f", binning {binning[0]}x{binning[1]}" if binning != (1, 1) else "")
        + (f", region {region[0]}x{region[1]}" if offset != (0, 0) or region != (info.width, info.height) else "")
        + f"; the image has {width}x{height}"
    )
