# SPDX-License-Identifier: Apache-2.0
"""Picture files: upright, as their EXIF data says, and deep ones scaled like a camera's."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from seem_ros.errors import DataError, FrameError
from seem_ros.perception.pictures.compressed_image import decode_file, to_picture
from seem_ros.perception.pictures.grey_scale import measure
from seem_ros.perception.pictures.raw_image import ChooseScale, Picture

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".heic", ".heif"}
)


def read_picture_file(path: Path, choose_scale: ChooseScale = measure) -> Picture:
    """A picture file, turned upright.

    Args:
        path: Of the file.
        choose_scale: Gives the scale for deep pixels.

    Raises:
        DataError: It cannot be read.
    """
    pixels = _read(path)
    if pixels.dtype == np.uint8:
        # OpenCV turns a picture upright only where it may convert it
        upright = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if upright is None:
            raise DataError(f"{path} cannot be read as a colour picture")
        pixels = upright
    try:
        return to_picture(pixels, choose_scale)
    except FrameError as error:
        raise DataError(f"{path}: {error}") from error


def read_mask_file(path: Path) -> np.ndarray:
    """A mask file as bool [H, W]: true is what is not 0.

    White on black, 0 and 1, and label images (8 or 16 bits, 0 = nothing) all mean what they look like; of a picture
    with an alpha channel only what is opaque counts. JPEG's compression leaves dark speckles on the black, so there
    the middle of the range decides.

    Raises:
        DataError: It cannot be read.
    """
    pixels = _read(path)
    opaque = pixels[..., 3] > 0 if pixels.ndim == 3 and pixels.shape[2] == 4 else None
    brightest = pixels[..., :3].max(axis=2) if pixels.ndim == 3 else pixels
    limit = 127 if path.suffix.lower() in (".jpg", ".jpeg") else 0
    marked = brightest > limit
    return marked if opaque is None else marked & opaque


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        raise DataError(f"the picture {path} does not exist")
    try:
        return decode_file(np.fromfile(path, np.uint8), str(path))
    except (FrameError, OSError) as error:
        raise DataError(f"{path} is not a picture that can be read: {error}") from error
