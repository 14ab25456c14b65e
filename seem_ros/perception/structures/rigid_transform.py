# SPDX-License-Identifier: Apache-2.0
"""Where one frame lies in another: a rotation and a translation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seem_ros.errors import FrameError

# two rotations closer than this are interpolated straight: the arc's sine is too small to divide by
_STRAIGHT_COSINE = 1.0 - 1e-9


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """Takes points from a source frame to a target frame: ``target = rotation(source) + translation``.

    The same numbers say where the source frame's origin and axes lie in the target frame, which is how tf writes a
    child frame in its parent.

    Attributes:
        translation_m: float64 [3] (x, y, z), metres.
        quaternion_xyzw: float64 [4], of length 1.

    Raises:
        FrameError: A number is not finite, or the quaternion has no length.
    """

    translation_m: np.ndarray
    quaternion_xyzw: np.ndarray

    def __post_init__(self) -> None:
        translation = np.array(self.translation_m, np.float64).reshape(-1)
        quaternion = np.array(self.quaternion_xyzw, np.float64).reshape(-1)
        if translation.shape != (3,) or quaternion.shape != (4,):
            raise FrameError(
                f"a transform needs a translation of 3 and a quaternion of 4 numbers, got {translation.size} and "
                f"{quaternion.size}"
            )
        length = float(np.linalg.norm(quaternion))
        if not (np.isfinite(translation).all() and np.isfinite(quaternion).all()) or length < 1e-6:
            raise FrameError(
                f"a transform needs finite numbers and a quaternion with a length, got translation "
                f"{translation.tolist()} and quaternion {quaternion.tolist()}"
            )
        quaternion /= length
        for name, value in (("translation_m", translation), ("quaternion_xyzw", quaternion)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    @classmethod
    def identity(cls) -> RigidTransform:
        """The transform that changes nothing."""
        return cls(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))

    @property
    def rotation(self) -> np.ndarray:
        """float64 [3, 3]; its columns are the source frame's axes in the target frame."""
        x, y, z, w = self.quaternion_xyzw
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points float [N, 3] or [3] of the source frame, metres, in the target frame."""
        return points @ self.rotation.T + self.translation_m

    def inverse(self) -> RigidTransform:
        """From the target frame back to the source frame."""
        quaternion = self.quaternion_xyzw * (-1, -1, -1, 1)
        return RigidTransform(
            -RigidTransform(np.zeros(3), quaternion).apply(self.translation_m),
            quaternion,
        )

    def after(self, first: RigidTransform) -> RigidTransform:
        """``first``, and then this one."""
        return RigidTransform(
            self.apply(first.translation_m),
            _product(self.quaternion_xyzw, first.quaternion_xyzw),
        )

    def towards(self, later: RigidTransform, fraction: float) -> RigidTransform:
        """Between this one (fraction 0) and a later one (1): translation on a line, rotation on the shortest arc."""
        start, end = self.quaternion_xyzw, later.quaternion_xyzw
        cosine = float(start @ end)
        if cosine < 0:  # both signs are the same rotation; this one is nearer
            end, cosine = -end, -cosine
        if cosine > _STRAIGHT_COSINE:
            weights = (1 - fraction, fraction)
        else:
            angle = np.arccos(cosine)
            weights = np.sin((1 - fraction) * angle) / np.sin(angle), np.sin(fraction * angle) / np.sin(angle)
        return RigidTransform(
            (1 - fraction) * self.translation_m + fraction * later.translation_m,
            weights[0] * start + weights[1] * end,
        )


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """The quaternion float64 [4] (x, y, z, w), w >= 0, of a rotation matrix float [3, 3]."""
    m = rotation
    squares = np.array(
        [
            1 + m[0, 0] - m[1, 1] - m[2, 2],
            1 - m[0, 0] + m[1, 1] - m[2, 2],
            1 - m[0, 0] - m[1, 1] + m[2, 2],
            1 + m[0, 0] + m[1, 1] + m[2, 2],
        ]
    )
    # each is four times the square of one part; the greatest gives the steadiest division
    largest = int(squares.argmax())
    x_row = (squares[0], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2])
    y_row = (m[0, 1] + m[1, 0], squares[1], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0])
    z_row = (m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], squares[2], m[1, 0] - m[0, 1])
    w_row = (m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], squares[3])
    quaternion = np.array((x_row, y_row, z_row, w_row)[largest])
    quaternion /= np.linalg.norm(quaternion)
    return -quaternion if quaternion[3] < 0 else quaternion


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    x0, y0, z0, w0 = left
    x1, y1, z1, w1 = right
    return np.array(
        [
            w0 * x1 + x0 * w1 + y0 * z1 - z0 * y1,
            w0 * y1 - x0 * z1 + y0 * w1 + z0 * x1,
            w0 * z1 + x0 * y1 - y0 * x1 + z0 * w1,
            w0 * w1 - x0 * x1 - y0 * y1 - z0 * z1,
        ]
    )
