# SPDX-License-Identifier: Apache-2.0
"""Image messages to arrays and back.

What cameras send is read by `seem_ros.perception.pictures`, the same for topics, bags and files.
"""

from __future__ import annotations

import array
import sys
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.compressed_image import decode_compressed
from seem_ros.perception.pictures.raw_image import decode_image, pixels_of

NS_PER_S = 1_000_000_000


def stamp_to_ns(stamp: Time) -> int:
    """A message's time in nanoseconds."""
    return stamp.sec * NS_PER_S + stamp.nanosec


def ns_to_stamp(ns: int) -> Time:
    """Nanoseconds as a message's time; beyond what its 32 bits of seconds hold, the nearest that they do."""
    ns = min(max(ns, -(1 << 31) * NS_PER_S), (1 << 31) * NS_PER_S - 1)
    return Time(sec=int(ns // NS_PER_S), nanosec=int(ns % NS_PER_S))


def image_to_rgb(msg: Image) -> np.ndarray:
    """The picture of an image message that stands alone; a camera's go through a `PictureDecoder`.

    Returns:
        uint8 [height, width, 3], RGB, pixels of the source image; a view of the message's data for unpadded rgb8.

    Raises:
        FrameError: The encoding is unknown or the message is inconsistent.
    """
    return decode_image(msg).rgb


def compressed_to_rgb(msg: CompressedImage) -> np.ndarray:
    """The picture of a compressed image message that stands alone.

    Returns:
        uint8 [height, width, 3], RGB.

    Raises:
        FrameError: The data cannot be decoded, or the picture is too large.
    """
    return decode_compressed(msg).rgb


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
    return pixels_of(msg, "u1", 1, msg.height) > 0


def image_to_labels(msg: Image) -> np.ndarray:
    """A label image.

    Returns:
        uint8 (mono8) or uint16 (mono16) [height, width]; 0 = nothing.

    Raises:
        FrameError: Another encoding, or the message is inconsistent.
    """
    if msg.encoding not in ("mono8", "mono16"):
        raise FrameError(f"a label image must be mono8 or mono16, got encoding {msg.encoding[:40]!r}")
    return pixels_of(msg, "u1" if msg.encoding == "mono8" else "u2", 1, msg.height)


def to_data(pixels: np.ndarray) -> array.array:
    """Bytes for a message's data field. rclpy takes an array.array as it is and checks anything else byte by byte."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
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
