# SPDX-License-Identifier: Apache-2.0
"""A frame together with what the image encoder made of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.letterbox import Geometry
from seem_ros.runtime.interface import ImageFeatures


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """A frame, the map to the network's input and what the image encoder made of it.

    Attributes:
        network_rgb: uint8 [h, w, 3], the padded network input.
    """

    frame: Frame
    geometry: Geometry
    features: ImageFeatures
    network_rgb: np.ndarray

    @cached_property
    def small_picture(self) -> np.ndarray:
        """uint8 [h4, w4, 3]: the network input at stride 4."""
        height, width = self.network_rgb.shape[:2]
        return cv2.resize(self.network_rgb, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
