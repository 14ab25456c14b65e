# SPDX-License-Identifier: Apache-2.0
"""Depth images to metres, raw (REP 118) and of the compressedDepth transport."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.compressed_image import CompressedImageMessage, decode_file
from seem_ros.perception.pictures.raw_image import ImageMessage, pixels_of

MILLIMETRE_M = 0.001
_LAYOUTS = {"16UC1": ("u2", MILLIMETRE_M), "mono16": ("u2", MILLIMETRE_M), "32FC1": ("f4", 1.0), "64FC1": ("f8", 1.0)}
# compression_common.h of compressed_depth_image_transport: an int32 and two float32, the quantisation of 32FC1
_HEADER = struct.Struct("<iff")


def decode_depth(msg: ImageMessage | CompressedImageMessage) -> np.ndarray:
    """A depth image in metres along the optical axis.

    Args:
        msg: sensor_msgs/Image, or a CompressedImage of the compressedDepth transport.

    Returns:
        float32 [height, width]; 0 or NaN where there is no measurement.

    Raises:
        FrameError: Not 16UC1 (millimetres), 32FC1 or 64FC1 (metres), or the message is inconsistent.
    """
    if hasattr(msg, "format"):
        return _decode_compressed(msg)
    if msg.encoding not in _LAYOUTS:
        allowed = ", ".join(_LAYOUTS)
        raise FrameError(f"depth encoding {msg.encoding[:40]!r} is not supported; allowed: {allowed}")
    dtype, metres = _LAYOUTS[msg.encoding]
    pixels = pixels_of(msg, dtype, 1, msg.height)
    return pixels if pixels.dtype == np.float32 else pixels.astype(np.float32) * np.float32(metres)


def _decode_compressed(msg: Any) -> np.ndarray:
    encoding, _, kind = msg.format.partition(";")
    name = f"compressed depth (format {msg.format[:40]!r})"
    if encoding.strip() not in ("16UC1", "32FC1") or "compresseddepth" not in kind.lower() or "rvl" in kind.lower():
        raise FrameError(f"{name} is not supported; allowed: 16UC1 and 32FC1 with 'compressedDepth png'")
    if len(msg.data) <= _HEADER.size:
        raise FrameError(f"{name} is truncated: {len(msg.data)} bytes")
    data = np.frombuffer(msg.data, np.uint8)
    _, numerator, offset = _HEADER.unpack(data[: _HEADER.size].tobytes())
    pixels = decode_file(data[_HEADER.size :], name)
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise FrameError(f"{name} must hold 16-bit pixels, got {pixels.dtype} {pixels.shape}")
    if encoding.strip() == "16UC1":
        return pixels.astype(np.float32) * np.float32(MILLIMETRE_M)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth_m = np.float32(numerator) / (pixels.astype(np.float32) - np.float32(offset))
    return np.where(pixels > 0, depth_m, np.float32("nan")).astype(np.float32)
