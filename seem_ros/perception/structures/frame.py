# SPDX-License-Identifier: Apache-2.0
"""A camera picture with its time, and depth where there is some."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seem_ros.errors import FrameError

MAX_SIDE_PX = 8192


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera, pixels of the source image: column u = fx * X / Z + cx, row v = fy * Y / Z + cy.

    (X, Y, Z) lies in the camera's optical frame: x right, y down, z forward. Pixel centres have integer coordinates.

    Raises:
        FrameError: A value is not finite or a focal length is not positive.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.fx, self.fy, self.cx, self.cy)) or min(self.fx, self.fy) <= 0:
            raise FrameError(
                f"intrinsics must be finite with positive focal lengths, got fx={self.fx} fy={self.fy} "
                f"cx={self.cx} cy={self.cy}"
            )


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of one camera. The arrays are kept, not copied: do not write to them afterwards.

    Attributes:
        rgb: uint8 [H, W, 3], red first.
        stamp_ns: Time of exposure, nanoseconds of the source's clock.
        frame_id: Name of the camera's optical frame.
        camera: Name of the camera, "" where there is only one.
        depth_m: float32 [H, W], metres along the optical axis, aligned to ``rgb``; NaN, infinite or <= 0 is invalid.
        intrinsics: Of ``rgb``.

    Raises:
        FrameError: Not an 8-bit RGB picture, of zero size or above 8192 pixels, or depth of another size.
    """

    rgb: np.ndarray
    stamp_ns: int = 0
    frame_id: str = ""
    camera: str = ""
    depth_m: np.ndarray | None = None
    intrinsics: Intrinsics | None = None

    def __post_init__(self) -> None:
        check_rgb(self.rgb)
        if self.depth_m is not None:
            if not isinstance(self.depth_m, np.ndarray) or self.depth_m.dtype.kind != "f":
                raise FrameError("depth must be a floating point array in metres")
            if self.depth_m.shape != self.rgb.shape[:2]:
                raise FrameError(
                    f"depth must have the image's size {self.rgb.shape[1]}x{self.rgb.shape[0]}, got shape "
                    f"{self.depth_m.shape}; register it to the image first"
                )

    @property
    def height(self) -> int:
        """Rows of the picture."""
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        """Columns of the picture."""
        return self.rgb.shape[1]


def check_rgb(image: np.ndarray, what: str = "the image") -> None:
    """Refuses what is not a uint8 [H, W, 3] picture of a usable size.

    Raises:
        FrameError: Says what it is instead.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        got = f"{image.dtype} array" if isinstance(image, np.ndarray) else type(image).__name__
        raise FrameError(f"{what} must be a uint8 array, got {got}; as_rgb() converts other pictures")
    if image.ndim != 3 or image.shape[2] != 3:
        raise FrameError(f"{what} must have shape [H, W, 3], got {image.shape}; as_rgb() converts other pictures")
    if min(image.shape[:2]) < 1 or max(image.shape[:2]) > MAX_SIDE_PX:
        raise FrameError(
            f"{what} must be 1 to {MAX_SIDE_PX} pixels high and wide, got {image.shape[1]}x{image.shape[0]}"
        )


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Any common picture as uint8 [H, W, 3].

    Args:
        image: [H, W] grey, [H, W, 1], [H, W, 3] RGB or [H, W, 4] RGBA (alpha is dropped); bool, uint8, uint16 (full
            range) or floating point in 0..1.

    Returns:
        uint8 [H, W, 3], C-contiguous; the same memory where nothing had to change.

    Raises:
        FrameError: Another shape or type, floats outside 0..1 or not finite, or a size that cannot be used.
    """
    if not isinstance(image, np.ndarray):
        raise FrameError(f"the image must be a numpy array, got {type(image).__name__}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise FrameError(f"the image must be grey, RGB or RGBA, got shape {image.shape}")
    if image.size == 0:
        raise FrameError(f"the image is empty, shape {image.shape}")
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    elif image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif image.dtype.kind == "f":
        if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
            raise FrameError("a floating point image must lie in 0..1 without NaN")
        image = np.rint(image * 255).astype(np.uint8)
    elif image.dtype != np.uint8:
        raise FrameError(f"the image must be bool, uint8, uint16 or floating point, got {image.dtype}")
    image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[:, :, :3]
    image = np.ascontiguousarray(image)
    check_rgb(image)
    return image
