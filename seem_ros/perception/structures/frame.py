# SPDX-License-Identifier: Apache-2.0
"""A camera picture with its time, and depth where there is some."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from seem_ros.errors import FrameError
from seem_ros.perception.structures.rigid_transform import RigidTransform

MAX_SIDE_PX = 8192
_FOCAL_PX = (0.01, 1e7)  # beyond, positions are infinite or no numbers
# Of a ray's slope: a tenth of a millimetre at ten metres.
_STRAIGHT_ENOUGH, _MOST_ROUNDS = 1e-5, 20
_ORIGIN = np.zeros(3)


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera, pixels of the source image: column u = fx * X / Z + cx, row v = fy * Y / Z + cy.

    (X, Y, Z) lies in the camera's optical frame: x right, y down, z forward. Pixel centres have integer coordinates.
    A lens that bends light is described by OpenCV's coefficients, which act on X / Z and Y / Z.

    Attributes:
        fx, fy: Focal lengths, pixels.
        cx, cy: Principal point, pixels.
        distortion: Coefficients of OpenCV's polynomial model (4, 5, 8, 12 or 14) or of its fisheye model (4); empty =
            none.
        fisheye: Which of the two.

    Raises:
        FrameError: A value is not finite, a focal length is not positive, or the coefficients are of another number.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    @classmethod
    def of_matrix(cls, matrix: np.ndarray) -> Intrinsics:
        """Of a camera without distortion, from its matrix [3, 3]."""
        return cls(float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2]))

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(math.isfinite(v) for v in values) or min(self.fx, self.fy) <= 0:
            raise FrameError(
                f"intrinsics must be finite with positive focal lengths, got fx={self.fx} fy={self.fy} "
                f"cx={self.cx} cy={self.cy} distortion={self.distortion}"
            )
        if not _FOCAL_PX[0] <= min(self.fx, self.fy) <= max(self.fx, self.fy) <= _FOCAL_PX[1] or (
            max(abs(self.cx), abs(self.cy)) > _FOCAL_PX[1]
        ):
            raise FrameError(
                f"focal lengths must lie in {_FOCAL_PX[0]:g}..{_FOCAL_PX[1]:g} pixels and the principal point within "
                f"{_FOCAL_PX[1]:g}, got fx={self.fx:g} fy={self.fy:g} cx={self.cx:g} cy={self.cy:g}"
            )
        allowed = (4,) if self.fisheye else (4, 5, 8, 12, 14)
        if self.distortion and len(self.distortion) not in allowed:
            raise FrameError(f"a distortion has {allowed} coefficients, got {len(self.distortion)}")

    def rays(self, columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Directions of pixels: X / Z and Y / Z, float64 of the arguments' shape.

        Args:
            columns, rows: Pixels, any equal shape.
        """
        x = (np.asarray(columns, np.float64) - self.cx) / self.fx
        y = (np.asarray(rows, np.float64) - self.cy) / self.fy
        if not self.distortion or x.size == 0:
            return x, y
        bent, straight, distortion = np.stack([x, y], axis=-1).reshape(-1, 1, 2), np.eye(3), np.array(self.distortion)
        if self.fisheye:
            points = cv2.fisheye.undistortPoints(bent, straight, distortion)
            return points[:, 0, 0].reshape(x.shape), points[:, 0, 1].reshape(x.shape)
        points = cv2.undistortPoints(bent, straight, distortion)
        # OpenCV's few rounds are off by pixels in the corners of a wide lens: go on until the way back fits
        for _ in range(_MOST_ROUNDS):
            again = cv2.projectPoints(cv2.convertPointsToHomogeneous(points), _ORIGIN, _ORIGIN, straight, distortion)[0]
            off = again.reshape(bent.shape) - bent
            if np.abs(off).max() < _STRAIGHT_ENOUGH:
                break
            points = points - off
        return points[:, 0, 0].reshape(x.shape), points[:, 0, 1].reshape(x.shape)

    def pixel_of(self, x_m: float, y_m: float, z_m: float) -> tuple[float, float]:
        """Column and row where a point of the optical frame is seen.

        Raises:
            FrameError: It lies behind the camera or is not finite.
        """
        if not all(math.isfinite(v) for v in (x_m, y_m, z_m)) or z_m <= 0:
            raise FrameError(f"the point ({x_m:g}, {y_m:g}, {z_m:g}) m lies behind the camera")
        if not self.distortion:
            return self.fx * x_m / z_m + self.cx, self.fy * y_m / z_m + self.cy
        point, lens = (
            np.array([[[x_m, y_m, z_m]]]),
            np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]]),
        )
        project = cv2.fisheye.projectPoints if self.fisheye else cv2.projectPoints
        pixels = project(point, _ORIGIN, _ORIGIN, lens, np.array(self.distortion))[0]
        return float(pixels[0, 0, 0]), float(pixels[0, 0, 1])


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
        target_frame: Name of the frame that positions are wanted in; "" = ``frame_id``.
        target_from_camera: From the optical frame to that frame at the time of exposure; None where it is not known,
            and there are no positions then.

    Raises:
        FrameError: Not an 8-bit RGB picture, of zero size or above 8192 pixels, or depth of another size.
    """

    rgb: np.ndarray
    stamp_ns: int = 0
    frame_id: str = ""
    camera: str = ""
    depth_m: np.ndarray | None = None
    intrinsics: Intrinsics | None = None
    target_frame: str = ""
    target_from_camera: RigidTransform | None = None

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
    def position_frame(self) -> str:
        """Name of the frame that positions are given in."""
        return self.target_frame or self.frame_id

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
