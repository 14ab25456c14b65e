# SPDX-License-Identifier: Apache-2.0
"""Pictures and label pictures from disk, with errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seem_ros.errors import DataError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def require_folder(folder: Path | str, what: str) -> Path:
    """The folder as a Path.

    Raises:
        DataError: it does not exist or is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{what}: {folder} is not a folder")
    return folder


def list_pictures(folder: Path | str, what: str) -> list[Path]:
    """All pictures of a folder in the order of their names.

    Raises:
        DataError: no such folder, or no picture in it, or two pictures that differ only in their suffix.
    """
    folder = require_folder(folder, what)
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith("."))
    if not paths:
        raise DataError(f"{what}: {folder} holds no picture ({', '.join(PICTURE_SUFFIXES)})")
    stems = [p.stem for p in paths]
    if len(set(stems)) != len(stems):
        twice = next(s for s in stems if stems.count(s) > 1)
        raise DataError(f"{what}: {folder} holds several pictures named {twice!r}: which one is meant?")
    return paths


def read_rgb(path: Path | str) -> np.ndarray:
    """uint8 [H, W, 3], RGB, pixels as stored (the EXIF rotation is not applied: masks are drawn on stored pixels).

    Raises:
        DataError: the file is missing or is no picture.
    """
    if not Path(path).is_file():
        raise DataError(f"the picture {path} does not exist")
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        raise DataError(f"{path} cannot be read as a picture")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def read_labels(path: Path | str) -> tuple[np.ndarray, bool]:
    """A label picture: int32 [H, W] values, and whether the file is indexed (palette PNG: values are indices).

    Grey pictures of 8 or 16 bits, 1-bit ones (values 0 and 1), indexed ones, and colour pictures whose channels are
    equal (alpha is ignored) are understood.

    Raises:
        DataError: missing, not a picture, or a truly coloured one (whose colours have no agreed meaning).
    """
    from PIL import Image, UnidentifiedImageError

    if not Path(path).is_file():
        raise DataError(f"the mask {path} does not exist")
    try:
        with Image.open(path) as picture:
            mode = picture.mode
            values = np.array(picture)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a mask: {error}") from error
    if values.ndim == 3:
        colours = values[..., :1] if mode == "LA" else values[..., :3]
        if (colours != colours[..., :1]).any():
            raise DataError(
                f"{path} is a colour picture ({mode}): masks must be indexed, grey, or colour with equal "
                "channels (for COCO panoptic pictures use the panoptic reader)"
            )
        values = colours[..., 0]
    return values.astype(np.int32), mode == "P"


def require_same_size(image: np.ndarray, labels: np.ndarray, image_path: Path | str, mask_path: Path | str) -> None:
    """Refuse a mask drawn for a picture of another size.

    Raises:
        DataError: names both files and both sizes.
    """
    if image.shape[:2] != labels.shape[:2]:
        raise DataError(
            f"{image_path} is {image.shape[1]}x{image.shape[0]} but its mask {mask_path} is "
            f"{labels.shape[1]}x{labels.shape[0]}: they must have one size"
        )


def read_json(path: Path | str, what: str) -> Any:
    """Contents of a JSON file.

    Raises:
        DataError: missing, not UTF-8, or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{what}: {path} does not exist") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{what}: {path} is not JSON ({error})") from error


def require_keys(record: Any, keys: tuple[str, ...], where: str) -> None:
    """Raise DataError unless record is a mapping holding all keys."""
    missing = [key for key in keys if not isinstance(record, dict) or key not in record]
    if missing:
        raise DataError(f"{where}: missing {', '.join(missing)}")
