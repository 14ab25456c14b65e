# SPDX-License-Identifier: Apache-2.0
"""A frame together with what the image encoder makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.letterbox import Geometry
from seem_ros.runtime.interface import ImageFeatures


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """A frame, the map to the network's input and what the image encoder makes of it when that is first asked for.

    Attributes:
        encode: Runs the image encoder on `network_rgb`.
        network_rgb: uint8 [h, w, 3], the padded network input.
    """

    frame: Frame
    geometry: Geometry
    encode: Callable[[], ImageFeatures]
    network_rgb: np.ndarray
    _features: list[ImageFeatures] = field(default_factory=list, init=False, repr=False)
    _shrunk: dict[int, tuple[Geometry, np.ndarray]] = field(default_factory=dict, init=False, repr=False)

    @property
    def features(self) -> ImageFeatures:
        """What the image encoder made of it; a frame in which nothing has moved is not encoded at all.

        Raises:
            BackendError: The encoder failed.
        """
        # no cached_property: before Python 3.12 one lock serves all frames, and a hung encoder would keep it
        if not self._features:
            self._features.append(self.encode())
        return self._features[0]

    def forget_features(self) -> None:
        """Frees what the encoder made of it, 13 MB with the built-in model; who asks again has it encoded again."""
        self._features.clear()

    def shrunk(self, factor: int) -> tuple[Geometry, np.ndarray]:
        """The map and the picture, uint8 [H, W, 3], at a part of the source's resolution; kept, since masks share it.

        Args:
            factor: Source pixels per pixel, along each axis.
        """
        if factor == 1:
            return self.geometry, self.frame.rgb
        if factor not in self._shrunk:
            height, width = (-(-side // factor) for side in self.geometry.source_hw)
            smaller = cv2.resize(self.frame.rgb, (width, height), interpolation=cv2.INTER_AREA)
            self._shrunk.clear()  # one is in use at a time
            geometry = Geometry((height, width), self.geometry.network_hw, self.geometry.content_hw)
            self._shrunk[factor] = geometry, smaller
        return self._shrunk[factor]

    @cached_property
    def small_picture(self) -> np.ndarray:
        """uint8 [h4, w4, 3]: the network input at stride 4."""
        height, width = self.network_rgb.shape[:2]
        return cv2.resize(self.network_rgb, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
