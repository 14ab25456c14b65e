# SPDX-License-Identifier: Apache-2.0
"""Where a source pixel lies on the network's input and back, exactly.

Continuous coordinates on both sides: a picture of W columns reaches from 0 to W, the centre of column c is c + 0.5.
The picture is shrunk or grown to the largest size that fits the network input with its aspect kept ("fit") or to all
of it ("stretch"), placed at the top left, and zero padded at the right and bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike

from seem_ros.errors import FrameError


@dataclass(frozen=True)
class Geometry:
    """The map between one source size and one network size.

    Attributes:
        source_hw: Height and width of the source image, pixels.
        network_hw: Height and width of the padded network input, pixels.
        content_hw: Height and width of the picture inside the network input, pixels.
    """

    source_hw: tuple[int, int]
    network_hw: tuple[int, int]
    content_hw: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Network pixels per source pixel, along x and y; they differ by the rounding of ``content_hw`` only."""
        return self.content_hw[1] / self.source_hw[1], self.content_hw[0] / self.source_hw[0]

    def to_network(self, points_xy: ArrayLike) -> np.ndarray:
        """Continuous source pixels [..., 2] to continuous network pixels, float64."""
        return np.asarray(points_xy, np.float64) * self.scale_xy

    def to_source(self, points_xy: ArrayLike) -> np.ndarray:
        """Continuous network pixels [..., 2] to continuous source pixels, float64."""
        return np.asarray(points_xy, np.float64) / self.scale_xy

    def shrink(self, rgb: np.ndarray) -> np.ndarray:
        """The network input for a source picture.

        Args:
            rgb: uint8 [H, W, 3] of ``source_hw``.

        Returns:
            uint8 [h, w, 3] of ``network_hw``, C-contiguous, zeros beyond ``content_hw``. Shrinking averages areas
            (no aliasing), growing is bilinear.

        Raises:
            FrameError: The picture has another size.
        """
        if rgb.shape[:2] != self.source_hw:
            raise FrameError(f"this geometry is for {self.source_hw} pixels, got an image of {rgb.shape[:2]}")
        height, width = self.content_hw
        if self.content_hw == self.source_hw:
            content = rgb
        else:
            smaller = height < self.source_hw[0] or width < self.source_hw[1]
            method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            content = cv2.resize(rgb, (width, height), interpolation=method)
        if self.content_hw == self.network_hw:
            return np.ascontiguousarray(content)
        padded = np.zeros((*self.network_hw, 3), np.uint8)
        padded[:height, :width] = content
        return padded


@lru_cache(maxsize=64)
def fit(source_hw: tuple[int, int], network_hw: tuple[int, int], rule: str = "fit") -> Geometry:
    """The geometry of a source size; cheap enough to ask for every frame, so resolutions may change at any time.

    Args:
        source_hw: Height and width of the source image, pixels.
        network_hw: Height and width of the network input, pixels.
        rule: ``fit`` keeps the aspect, ``stretch`` fills the input.

    Raises:
        FrameError: A size is not positive.
    """
    if min(*source_hw, *network_hw) < 1:
        raise FrameError(f"image sizes must be positive, got {source_hw} for a network input of {network_hw}")
    if rule == "stretch":
        return Geometry(source_hw, network_hw, network_hw)
    scale = min(network_hw[0] / source_hw[0], network_hw[1] / source_hw[1])
    height, width = (min(max(1, round(side * scale)), limit) for side, limit in zip(source_hw, network_hw, strict=True))
    return Geometry(source_hw, network_hw, (height, width))
