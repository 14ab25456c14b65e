# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CompressedImage to pixels.

The format field is what compressed_image_transport writes, ``<encoding>; <codec> compressed <stored encoding>``, or
just the codec. Its first part tells what the pixels mean: a Bayer mosaic is stored as a grey JPEG.
"""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.grey_scale import GreyScale, measure
from seem_ros.perception.pictures.raw_image import BAYER, ChooseScale, Picture
from seem_ros.perception.structures.frame import MAX_SIDE_PX

# Transports whose messages are not pictures one by one, and what a user can do about it.
_FOREIGN = {
    "compresseddepth": "depth images of the compressedDepth transport are read on the depth topic only",
    "theora": "the theora transport is not supported; use compressed, ffmpeg or raw",
    "draco": "draco is a transport of point clouds, not of pictures",
    "zstd": "the zstd transport is not supported; use compressed or raw",
}


class CompressedImageMessage(Protocol):
    """The fields of sensor_msgs/CompressedImage that are read."""

    format: str
    data: Any


def decode_compressed(msg: CompressedImageMessage, choose_scale: ChooseScale = measure) -> Picture:
    """The picture of a compressed image message (jpeg, png, webp, tiff, ...: whatever OpenCV decodes).

    An orientation noted in the data (EXIF) is not applied: calibration, depth and clicks belong to the pixels as sent.

    Args:
        msg: sensor_msgs/CompressedImage.
        choose_scale: Gives the scale for deep pixels.

    Raises:
        FrameError: The data cannot be decoded, or the picture is too large.
    """
    if not len(msg.data):
        raise FrameError("the compressed image has no data")
    encoding, _, stored = msg.format.partition(";")
    for word, advice in _FOREIGN.items():
        if word in msg.format.lower():
            raise FrameError(f"format {msg.format[:40]!r}: {advice}")
    pixels = decode_file(np.frombuffer(msg.data, np.uint8), f"the compressed image (format {msg.format[:40]!r})")
    pattern = encoding.strip().lower().removeprefix("bayer_")[:4]
    is_mosaic = encoding.strip().lower().startswith("bayer_") and pattern in BAYER and pixels.ndim == 2
    if is_mosaic and "bgr" not in stored.lower() and "rgb" not in stored.lower():
        grey, used = _eight_bits(pixels, choose_scale)
        return Picture(BAYER[pattern](grey), used)
    return to_picture(pixels, choose_scale)


def decode_file(data: np.ndarray, what: str) -> np.ndarray:
    """An encoded picture as it was stored, without turning it.

    Args:
        data: uint8 [n], the file's bytes.
        what: Names it in errors.

    Returns:
        uint8, uint16 or floating point, [H, W] grey, [H, W, 3] BGR or [H, W, 4] BGRA.

    Raises:
        FrameError: It cannot be decoded, or is too large.
    """
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FrameError(f"{what} cannot be decoded: {error}") from error
    if pixels is None:
        raise FrameError(f"{what}, {len(data)} bytes, cannot be decoded{_missing_codec(bytes(data[:16]))}")
    if max(pixels.shape[:2]) > MAX_SIDE_PX:
        raise FrameError(
            f"an image must have 1 to {MAX_SIDE_PX} pixels a side, got {pixels.shape[1]}x{pixels.shape[0]}"
        )
    return pixels


def to_picture(pixels: np.ndarray, choose_scale: ChooseScale = measure) -> Picture:
    """What OpenCV decoded (grey, BGR or BGRA of any depth) as a picture.

    Raises:
        FrameError: Another number of channels or another type.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    codes = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    if channels not in codes or pixels.dtype.kind not in "uf":
        raise FrameError(f"a picture must be grey, BGR or BGRA, got {pixels.dtype} with {channels} channels")
    eight, used = _eight_bits(pixels, choose_scale)
    return Picture(cv2.cvtColor(eight, codes[channels]), used)


def _eight_bits(pixels: np.ndarray, choose_scale: ChooseScale) -> tuple[np.ndarray, GreyScale | None]:
    if pixels.dtype == np.uint8:
        return pixels, None
    colours = pixels[..., :3] if pixels.ndim == 3 else pixels
    used = choose_scale(colours)
    return used.apply(pixels), used


def _missing_codec(head: bytes) -> str:
    """What a file that OpenCV could not read would need, by its first bytes."""
    brand = head[8:12]
    if head[4:8] == b"ftyp" and brand in (b"avif", b"avis"):
        return ": it is AVIF, which this OpenCV was built without; convert it, or install an OpenCV with libavif"
    if head[4:8] == b"ftyp" and brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return ": it is HEIC, which OpenCV cannot read; convert it to JPEG (heif-convert of libheif-examples does)"
    return ""
