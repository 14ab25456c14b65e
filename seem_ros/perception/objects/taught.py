# SPDX-License-Identifier: Apache-2.0
"""What is remembered of an object: its name, and pictures in which it is marked."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import cv2
import numpy as np

from seem_ros.errors import SeemError
from seem_ros.perception.structures.frame import check_rgb

MAX_NAME_CHARACTERS = 100
MAX_VIEWS = 16
MIN_AREA_PX = 64  # less than 8x8 pixels shows nothing that could be recognised
# a larger picture is reduced to this: networks look at less, and a 4K camera's pictures would fill the disk
MAX_SIDE_PX = 1920
_ARTICLES = ("the ", "a ", "an ")
_DIMMED = 0.35


class ObjectError(SeemError, ValueError):
    """An object cannot be remembered, found in memory or forgotten."""


def check_name(name: str) -> str:
    """The name with its spaces tidied.

    Raises:
        ObjectError: It is too long, has no letter or digit, or has characters that cannot be printed.
    """
    tidy = " ".join(name.split())
    if len(tidy) > MAX_NAME_CHARACTERS:
        raise ObjectError(f"an object's name may have {MAX_NAME_CHARACTERS} characters, got {len(tidy)}")
    if not any(character.isalnum() for character in tidy):
        raise ObjectError(f"an object's name needs a letter or a digit, got {tidy!r}")
    if not tidy.isprintable():
        raise ObjectError(f"an object's name must not hold characters that cannot be printed, got {tidy!r}")
    return tidy


def name_key(text: str) -> str:
    """Equal for texts that mean the same name: case, spaces and a leading article make no difference."""
    key = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    for article in _ARTICLES:
        if key.startswith(article) and len(key) > len(article):
            return key.removeprefix(article)
    return key


@dataclass(frozen=True, eq=False)
class TaughtView:
    """One picture of an object.

    Attributes:
        rgb: uint8 [H, W, 3], reduced to at most 1920 pixels a side.
        mask: bool [H, W], where the object is in it.
        taught_ns: When, nanoseconds of the wall clock.

    Raises:
        FrameError: It is no picture.
        ObjectError: The mask has another size, or fewer than 64 pixels, also of the reduced picture.
    """

    rgb: np.ndarray
    mask: np.ndarray
    taught_ns: int

    def __post_init__(self) -> None:
        check_rgb(self.rgb, "an object's picture")
        if not isinstance(self.mask, np.ndarray) or self.mask.shape != self.rgb.shape[:2]:
            got = getattr(self.mask, "shape", type(self.mask).__name__)
            raise ObjectError(f"an object's mask must have its picture's size {self.rgb.shape[:2]}, got {got}")
        rgb, mask = self.rgb, self.mask.astype(np.bool_)
        area_px = int(np.count_nonzero(mask))
        if area_px < MIN_AREA_PX:
            raise ObjectError(f"an object must be shown by at least {MIN_AREA_PX} pixels, the mask has {area_px}")
        scale = MAX_SIDE_PX / max(mask.shape)
        if scale < 1:
            size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
            mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA).astype(np.bool_)
            area_px = int(np.count_nonzero(mask))
            if area_px < MIN_AREA_PX:  # what is kept would be refused when it is read again
                raise ObjectError(
                    f"an object must be shown by at least {MIN_AREA_PX} pixels, the mask has {area_px} in the picture "
                    f"reduced to {MAX_SIDE_PX} pixels a side: show it from nearer, or give a part of the picture"
                )
        for name, value in (("rgb", np.ascontiguousarray(rgb)), ("mask", mask)):
            if value.flags.writeable and value is getattr(self, name):
                value = value.copy()  # a camera's buffer may be written to again
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.rgb.nbytes + self.mask.nbytes

    def thumbnail(self, side_px: int) -> np.ndarray:
        """The object in the middle of a square, what is not the object dimmed: uint8 [side_px, side_px, 3] RGB."""
        rows, columns = np.nonzero(self.mask)
        half = max(int(0.6 * max(np.ptp(rows), np.ptp(columns))), 4)
        row, column = (int(rows.min()) + int(rows.max())) // 2, (int(columns.min()) + int(columns.max())) // 2
        dimmed = np.where(self.mask[..., None], self.rgb, (self.rgb * _DIMMED).astype(np.uint8))
        padded = cv2.copyMakeBorder(dimmed, half, half, half, half, cv2.BORDER_CONSTANT)
        square = padded[row : row + 2 * half, column : column + 2 * half]
        return cv2.resize(square, (side_px, side_px), interpolation=cv2.INTER_AREA)


@dataclass(frozen=True, eq=False)
class TaughtObject:
    """A name and at least one view, oldest first.

    Raises:
        ObjectError: The name cannot be used, or there are no views or too many.
    """

    name: str
    views: tuple[TaughtView, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", check_name(self.name))
        if not 1 <= len(self.views) <= MAX_VIEWS:
            raise ObjectError(f"an object has 1 to {MAX_VIEWS} views, got {len(self.views)}; forget some first")


def check_views(name: str, wanted: tuple[int, ...], count: int) -> None:
    """Refuses view numbers that an object does not have.

    Raises:
        ObjectError: Names the first one and how many there are.
    """
    for number in wanted:
        if not 0 <= number < count:
            raise ObjectError(f"{name!r} has views 0 to {count - 1}, got {number}")
