# SPDX-License-Identifier: Apache-2.0
"""Image messages to arrays and back.

The usual encodings are read here, whatever the padding of a row and the byte order; cv_bridge, where it can be
imported, serves the rest. Encodings: sensor_msgs/image_encodings.hpp; depth: REP 118; intrinsics: CameraInfo.msg.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seem_ros.errors import FrameError
from seem_ros.perception.structures.frame import Intrinsics

MAX_SIDE_PX = 8192
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class _Layout:
    """How the pixels of an encoding lie in memory: type, channels, rows per image row, and the way to 8-bit RGB."""

    dtype: str
    channels: int
    to_rgb: Callable[[np.ndarray], np.ndarray]
    rows_per_2_px: int = 2  # 3 for the half-size colour planes of NV12 and NV21


def _cv(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _from16(then: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: then((pixels >> 8).astype(np.uint8))


def _same(pixels: np.ndarray) -> np.ndarray:
    return pixels


_GREY = _cv(cv2.COLOR_GRAY2RGB)
_BGR = _cv(cv2.COLOR_BGR2RGB)
_RGBA = _cv(cv2.COLOR_RGBA2RGB)
_BGRA = _cv(cv2.COLOR_BGRA2RGB)
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first row and the second
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
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
    "rgb16": _Layout("u2", 3, _from16(_same)),
    "bgr16": _Layout("u2", 3, _from16(_BGR)),
    "rgba16": _Layout("u2", 4, _from16(_RGBA)),
    "bgra16": _Layout("u2", 4, _from16(_BGRA)),
    "mono16": _Layout("u2", 1, _from16(_GREY)),
    "16UC1": _Layout("u2", 1, _from16(_GREY)),
    "uyvy": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_UYVY)),
    "yuyv": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_YUYV)),
    "yuv422_yuy2": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_YUYV)),
    "nv12": _Layout("u1", 1, _cv(cv2.COLOR_YUV2RGB_NV12), rows_per_2_px=3),
    "nv21": _Layout("u1", 1, _cv(cv2.COLOR_YUV2RGB_NV21), rows_per_2_px=3),
    **{f"bayer_{name}8": _Layout("u1", 1, _cv(code)) for name, code in _BAYER.items()},
    **{f"bayer_{name}16": _Layout("u2", 1, _from16(_cv(code))) for name, code in _BAYER.items()},
}
_DEPTH_LAYOUTS = {"16UC1": ("u2", 0.001), "mono16": ("u2", 0.001), "32FC1": ("f4", 1.0), "64FC1": ("f8", 1.0)}


def stamp_to_ns(stamp: Time) -> int:
    """A message's time in nanoseconds."""
    return stamp.sec * NS_PER_S + stamp.nanosec


def ns_to_stamp(ns: int) -> Time:
    """Nanoseconds as a message's time."""
    return Time(sec=int(ns // NS_PER_S), nanosec=int(ns % NS_PER_S))


def _rows(msg: Image, dtype: str, channels: int, rows: int) -> np.ndarray:
    """The pixels of a message as a view, its row padding cut off and its byte order made native.

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


def _cv_bridge() -> Any:
    """cv_bridge's converter, or None where it cannot be imported (not there, or built against another NumPy)."""
    try:
        from cv_bridge import CvBridge
    except Exception:  # a cv_bridge of NumPy 1 under NumPy 2 raises more than ImportError
        return None
    return CvBridge()


def image_to_rgb(msg: Image) -> np.ndarray:
    """The picture of an image message.

    Returns:
        uint8 [height, width, 3], RGB, pixels of the source image; a view of the message's data for unpadded rgb8.

    Raises:
        FrameError: The encoding is unknown or the message is inconsistent.
    """
    layout = _LAYOUTS.get(msg.encoding)
    if layout is None:
        return _other_encoding_to_rgb(msg)
    if layout.rows_per_2_px == 3 and (msg.height % 2 or msg.width % 2):
        raise FrameError(f"{msg.encoding} needs even sides, got width {msg.width}, height {msg.height}")
    if layout.channels == 2 and msg.width % 2:
        raise FrameError(f"{msg.encoding} needs an even width, got {msg.width}")
    pixels = _rows(msg, layout.dtype, layout.channels, msg.height * layout.rows_per_2_px // 2)
    return layout.to_rgb(pixels)


def _other_encoding_to_rgb(msg: Image) -> np.ndarray:
    allowed = ", ".join(sorted(_LAYOUTS))
    bridge = _cv_bridge()
    if bridge is None:
        raise FrameError(f"encoding {msg.encoding[:40]!r} is not supported; allowed: {allowed}")
    try:
        return np.ascontiguousarray(bridge.imgmsg_to_cv2(msg, desired_encoding="rgb8"))
    except Exception as error:  # cv_bridge raises its own errors, OpenCV's and NumPy's
        raise FrameError(f"encoding {msg.encoding[:40]!r}: {error}; supported without cv_bridge: {allowed}") from error


def compressed_to_rgb(msg: CompressedImage) -> np.ndarray:
    """The picture of a compressed image message (jpeg, png, webp, ...: whatever OpenCV decodes).

    Returns:
        uint8 [height, width, 3], RGB.

    Raises:
        FrameError: The data cannot be decoded, or the picture is too large.
    """
    if not len(msg.data):
        raise FrameError("the compressed image has no data")
    try:
        bgr = cv2.imdecode(np.frombuffer(msg.data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise FrameError(f"the compressed image (format {msg.format[:40]!r}) cannot be decoded: {error}") from error
    if bgr is None:
        raise FrameError(f"the compressed image (format {msg.format[:40]!r}, {len(msg.data)} bytes) cannot be decoded")
    if max(bgr.shape[:2]) > MAX_SIDE_PX:
        raise FrameError(f"an image must have 1 to {MAX_SIDE_PX} pixels a side, got {bgr.shape[1]}x{bgr.shape[0]}")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def has_data(msg: Image | CompressedImage) -> bool:
    """Whether a message holds a picture at all: an image that is left out has no data, no size and no encoding."""
    return bool(len(msg.data)) or bool(getattr(msg, "width", 0)) or bool(getattr(msg, "height", 0))


def image_to_mask(msg: Image) -> np.ndarray:
    """A mask message.

    Returns:
        bool [height, width]; true where the pixel is above 0.

    Raises:
        FrameError: Not mono8 (or 8UC1), or the message is inconsistent.
    """
    if msg.encoding not in ("mono8", "8UC1"):
        raise FrameError(f"a mask must be mono8 (0 = not marked), got encoding {msg.encoding[:40]!r}")
    return _rows(msg, "u1", 1, msg.height) > 0


def image_to_labels(msg: Image) -> np.ndarray:
    """A label image.

    Returns:
        uint8 (mono8) or uint16 (mono16) [height, width]; 0 = nothing.

    Raises:
        FrameError: Another encoding, or the message is inconsistent.
    """
    if msg.encoding not in ("mono8", "mono16"):
        raise FrameError(f"a label image must be mono8 or mono16, got encoding {msg.encoding[:40]!r}")
    return _rows(msg, "u1" if msg.encoding == "mono8" else "u2", 1, msg.height)


def image_to_depth(msg: Image) -> np.ndarray:
    """A depth image in metres along the optical axis.

    Returns:
        float32 [height, width]; 0 or NaN where there is no measurement.

    Raises:
        FrameError: Not 16UC1 (millimetres), 32FC1 or 64FC1 (metres), or the message is inconsistent.
    """
    if msg.encoding not in _DEPTH_LAYOUTS:
        allowed = ", ".join(_DEPTH_LAYOUTS)
        raise FrameError(f"depth encoding {msg.encoding[:40]!r} is not supported; allowed: {allowed}")
    dtype, metres = _DEPTH_LAYOUTS[msg.encoding]
    pixels = _rows(msg, dtype, 1, msg.height)
    return pixels if pixels.dtype == np.float32 else pixels.astype(np.float32) * np.float32(metres)


def intrinsics_of(info: CameraInfo, height: int, width: int) -> Intrinsics | None:
    """Pinhole intrinsics for pictures of the given size, or None where the camera is not calibrated for them.

    The projection matrix P serves rectified pictures; K where P is left zero.
    """
    if (info.height, info.width) not in ((height, width), (0, 0)):
        return None
    fx, cx, fy, cy = info.p[0], info.p[2], info.p[5], info.p[6]
    if not (fx > 0 and fy > 0):
        fx, cx, fy, cy = info.k[0], info.k[2], info.k[4], info.k[5]
    if not (fx > 0 and fy > 0 and np.isfinite([fx, fy, cx, cy]).all()):
        return None
    return Intrinsics(fx=float(fx), fy=float(fy), cx=float(cx), cy=float(cy))


def to_data(pixels: np.ndarray) -> array.array:
    """Bytes for a message's data field. rclpy takes an array.array as it is and checks anything else byte by byte."""
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast("B"))
    return data


_ENCODING_OF = {(np.dtype(np.uint8), 1): "mono8", (np.dtype(np.uint16), 1): "mono16", (np.dtype(np.uint8), 3): "rgb8"}


def array_to_image(pixels: np.ndarray, header: Any, encoding: str | None = None) -> Image:
    """An array as an image message.

    Args:
        pixels: uint8 [H, W] (mono8), uint16 [H, W] (mono16), uint8 [H, W, 3] (rgb8), or anything with ``encoding``.
        header: std_msgs Header of the source image, taken over unchanged.
        encoding: The message's encoding, where it does not follow from type and shape.

    Raises:
        FrameError: Type and shape have no encoding of their own and none was given.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    encoding = encoding or _ENCODING_OF.get((pixels.dtype, channels))
    if encoding is None:
        raise FrameError(f"no image encoding for {pixels.dtype} {pixels.shape}; give one")
    return Image(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(pixels.dtype.itemsize > 1 and sys.byteorder == "big"),
        step=pixels.shape[1] * channels * pixels.dtype.itemsize,
        data=to_data(pixels),
    )


def array_to_jpeg(rgb: np.ndarray, header: Any, quality: int) -> CompressedImage:
    """An RGB picture, uint8 [H, W, 3], as a JPEG message.

    Raises:
        FrameError: OpenCV cannot encode it.
    """
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise FrameError(f"a picture of shape {rgb.shape} cannot be written as JPEG")
    return CompressedImage(header=header, format="jpeg", data=to_data(encoded))
