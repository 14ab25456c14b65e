# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image to pixels, whatever the encoding, the padding of a row and the byte order.

Encodings: sensor_msgs/image_encodings.hpp. What is not known here is left to cv_bridge where it can be imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.grey_scale import GreyScale, measure
from seem_ros.perception.structures.frame import MAX_SIDE_PX

ChooseScale = Callable[[np.ndarray], GreyScale]


class ImageMessage(Protocol):
    """The fields of sensor_msgs/Image that are read."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        rgb: uint8 [H, W, 3], red first.
        scale: How deep pixels became 8 bits; None where they had 8 bits.
    """

    rgb: np.ndarray
    scale: GreyScale | None = None


@dataclass(frozen=True)
class _Layout:
    """How the pixels of an encoding lie in memory, and the way from 8 bits a channel to RGB."""

    dtype: str
    channels: int
    to_rgb: Callable[[np.ndarray], np.ndarray]
    rows_per_2_px: int = 2  # 3 for the half-size colour planes of NV12 and NV21, 6 for the full-size one of NV24


def _cv(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _same(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _nv24(rows: np.ndarray) -> np.ndarray:
    height, width = rows.shape[0] // 3, rows.shape[1]
    colours = rows[height:].reshape(height, width, 2)
    # OpenCV's YCrCb uses all 256 levels, video 16 to 235 for grey and 16 to 240 for colour (BT.601)
    grey = (rows[:height].astype(np.float32) - 16) * (255 / 219)
    full = (colours[..., ::-1].astype(np.float32) - 128) * (255 / 224) + 128
    planes = np.clip(np.dstack([grey, full]) + 0.5, 0, 255).astype(np.uint8)
    return cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB)


_GREY = _cv(cv2.COLOR_GRAY2RGB)
_BGR = _cv(cv2.COLOR_BGR2RGB)
_RGBA = _cv(cv2.COLOR_RGBA2RGB)
_BGRA = _cv(cv2.COLOR_BGRA2RGB)
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first row and the second
BAYER = {
    "rggb": _cv(cv2.COLOR_BayerBG2RGB),
    "bggr": _cv(cv2.COLOR_BayerRG2RGB),
    "gbrg": _cv(cv2.COLOR_BayerGR2RGB),
    "grbg": _cv(cv2.COLOR_BayerGB2RGB),
}
_LAYOUTS = {
    "rgb8": _Layout("u1", 3, _same),
    "bgr8": _Layout("u1", 3, _BGR),
    "rgba8": _Layout("u1", 4, _RGBA),
    "bgra8": _Layout("u1", 4, _BGRA),
    "mono8": _Layout("u1", 1, _GREY),
    "8UC1": _Layout("u1", 1, _GREY),
    "8UC3": _Layout("u1", 3, _BGR),
    "8UC4": _Layout("u1", 4, _BGRA),
    "rgb16": _Layout("u2", 3, _same),
    "bgr16": _Layout("u2", 3, _BGR),
    "rgba16": _Layout("u2", 4, _RGBA),
    "bgra16": _Layout("u2", 4, _BGRA),
    "mono16": _Layout("u2", 1, _GREY),
    "16UC1": _Layout("u2", 1, _GREY),
    "16UC3": _Layout("u2", 3, _BGR),
    "32FC1": _Layout("f4", 1, _GREY),
    "32FC3": _Layout("f4", 3, _same),
    "64FC1": _Layout("f8", 1, _GREY),
    "uyvy": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_UYVY)),
    "yuyv": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_YUYV)),
    "yuv422_yuy2": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_YUYV)),
    "nv12": _Layout("u1", 1, _cv(cv2.COLOR_YUV2RGB_NV12), rows_per_2_px=3),
    "nv21": _Layout("u1", 1, _cv(cv2.COLOR_YUV2RGB_NV21), rows_per_2_px=3),
    "nv24": _Layout("u1", 1, _nv24, rows_per_2_px=6),
    **{f"bayer_{name}8": _Layout("u1", 1, convert) for name, convert in BAYER.items()},
    **{f"bayer_{name}16": _Layout("u2", 1, convert) for name, convert in BAYER.items()},
}
_BY_LOWER_CASE = {name.lower(): layout for name, layout in _LAYOUTS.items()}


def pixels_of(msg: ImageMessage, dtype: str, channels: int, rows: int) -> np.ndarray:
    """The pixels of a message as a view, its row padding cut off and its byte order made native.

    Args:
        msg: The message.
        dtype: NumPy's name of a channel's type.
        channels: A pixel.
        rows: Rows of bytes in the data; more than the picture's where colour planes follow.

    Returns:
        [rows, width] or [rows, width, channels], native byte order; a view of the message's data where possible.

    Raises:
        FrameError: Size, step and data do not belong together.
    """
    height, width = msg.height, msg.width
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise FrameError(f"an image must have 1 to {MAX_SIDE_PX} pixels a side, got width {width}, height {height}")
    kind = np.dtype(dtype)
    row_bytes = width * channels * kind.itemsize
    if msg.step < row_bytes:
        raise FrameError(
            f"step is {msg.step}, but a row of {width} pixels of {msg.encoding} takes at least {row_bytes} bytes"
        )
    if len(msg.data) < msg.step * rows:
        raise FrameError(
            f"data is truncated: {len(msg.data)} bytes, but {rows} rows of step {msg.step} take {msg.step * rows}"
        )
    raw = np.frombuffer(msg.data, np.uint8, count=msg.step * rows).reshape(rows, msg.step)[:, :row_bytes]
    if kind.itemsize > 1:
        if raw.shape[1] != msg.step:
            raw = np.ascontiguousarray(raw)  # a view as wider numbers needs whole rows
        pixels = raw.view(kind)
        if bool(msg.is_bigendian) != (sys.byteorder == "big"):
            pixels = pixels.view(pixels.dtype.newbyteorder()).astype(kind)
    else:
        pixels = raw
    return pixels.reshape(rows, width, channels) if channels > 1 else pixels


def decode_image(msg: ImageMessage, choose_scale: ChooseScale = measure) -> Picture:
    """The picture of an image message.

    Args:
        msg: sensor_msgs/Image.
        choose_scale: Gives the scale for deep pixels (uint16 or floating point [H, W] or [H, W, 3]).

    Returns:
        The picture, pixels of the source image; a view of the message's data for unpadded rgb8.

    Raises:
        FrameError: The encoding is unknown or the message is inconsistent.
    """
    layout = _LAYOUTS.get(msg.encoding) or _BY_LOWER_CASE.get(msg.encoding.lower())
    if layout is None:
        return Picture(_by_cv_bridge(msg))
    if layout.rows_per_2_px == 3 and (msg.height % 2 or msg.width % 2):
        raise FrameError(f"{msg.encoding} needs even sides, got width {msg.width}, height {msg.height}")
    if layout.channels == 2 and msg.width % 2:
        raise FrameError(f"{msg.encoding} needs an even width, got {msg.width}")
    pixels = pixels_of(msg, layout.dtype, layout.channels, msg.height * layout.rows_per_2_px // 2)
    if layout.dtype == "u1":
        return Picture(layout.to_rgb(pixels))
    colours = pixels[..., :3] if layout.channels == 4 else pixels  # alpha is not light
    used = choose_scale(colours)
    return Picture(layout.to_rgb(used.apply(pixels)), used)


def _by_cv_bridge(msg: ImageMessage) -> np.ndarray:
    allowed = ", ".join(sorted(_LAYOUTS))
    try:
        from cv_bridge import CvBridge
    except Exception as error:  # one built for NumPy 1 raises more than ImportError under NumPy 2
        raise FrameError(f"encoding {msg.encoding[:40]!r} is not supported; allowed: {allowed}") from error
    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(msg, desired_encoding="rgb8"))
    except Exception as error:  # cv_bridge raises its own errors, OpenCV's and NumPy's
        raise FrameError(f"encoding {msg.encoding[:40]!r}: {error}; supported without cv_bridge: {allowed}") from error
