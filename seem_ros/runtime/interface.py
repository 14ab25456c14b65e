# SPDX-License-Identifier: Apache-2.0
"""The runtime's one interface: encode a picture once, ask it any number of prompts.

Everything above this line is numpy. A backend is owned by one thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seem_ros.errors import FrameError
from seem_ros.model.codes import PriorKind, SelectBy
from seem_ros.runtime.batches import DecodeBatch, ObjectBatch, PromptBatch, TextFeatures
from seem_ros.runtime.spec import ModelSpec, VocabularyEntry

__all__ = [
    "Backend",
    "BackendStatus",
    "DecodeBatch",
    "ImageFeatures",
    "ModelSpec",
    "ObjectBatch",
    "PriorKind",
    "PromptBatch",
    "SelectBy",
    "TextFeatures",
    "VocabularyEntry",
]


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """One encoded picture; opaque, reusable for any number of decodes, freed with the object.

    Attributes:
        content_hw: Height and width of the picture inside the padded network input, pixels.
        owner: Identity of the backend that made it; another backend refuses it.
        tensors: The backend's own data.
    """

    content_hw: tuple[int, int]
    owner: str
    tensors: Any


@dataclass(frozen=True)
class BackendStatus:
    """What serves now, for people and diagnostics.

    Attributes:
        backend: Name of the backend that answers, e.g. ``openvino``.
        device: E.g. ``CPU`` or the GPU's name.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        message: One line; "ready", or why something else than asked for serves, or "building, 42 %".
        building_percent: Progress of an engine being built in the background, else None.
        degraded: True where what was asked for could not be had and something slower serves.
    """

    backend: str
    device: str
    precision: str
    message: str = "ready"
    building_percent: int | None = None
    degraded: bool = False


class Backend(ABC):
    """Runs one model. Not thread-safe: one owner thread.

    Attributes:
        spec: Sizes and rules of the model.
    """

    spec: ModelSpec

    @abstractmethod
    def encode_image(self, rgb: np.ndarray, content_hw: tuple[int, int] | None = None) -> ImageFeatures:
        """Encodes a picture.

        Args:
            rgb: uint8 [H, W, 3], C-contiguous, exactly ``spec.input_hw``: already resized, zero-padded right and
                bottom.
            content_hw: True height and width before padding, pixels; default all of it.

        Raises:
            FrameError: The picture has another size, type or layout.
            BackendError: The device failed.
        """

    @abstractmethod
    def encode_text(self, texts: Sequence[str]) -> TextFeatures:
        """Encodes texts; cached.

        Raises:
            PromptError: A text is empty or too long.
            BackendError: The device failed.
        """

    @abstractmethod
    def decode(self, features: ImageFeatures, prompts: PromptBatch) -> DecodeBatch:
        """Answers any number of prompts about one picture; split and padded to the exported graphs inside.

        Raises:
            PromptError: The batch does not fit this model.
            BackendError: The features are another backend's, or the device failed.
        """

    @abstractmethod
    def decode_objects(self, features: ImageFeatures) -> ObjectBatch:
        """All object queries of one picture, for a vocabulary.

        Raises:
            BackendError: The features are another backend's, the model has none, or the device failed.
        """

    @property
    @abstractmethod
    def status(self) -> BackendStatus:
        """What serves now."""

    def rest(self) -> None:  # noqa: B027 -- most backends keep nothing between calls
        """Gives back memory that only the next call will need; for when none is expected soon."""

    @abstractmethod
    def close(self) -> None:
        """Frees the device; the backend must not be used afterwards."""

    def __enter__(self) -> Backend:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_image(self, rgb: np.ndarray, content_hw: tuple[int, int] | None) -> tuple[int, int]:
        """The true size of a network input, after refusing one that does not fit.

        Raises:
            FrameError: Wrong type, size, layout or content size.
        """
        height, width = self.spec.input_hw
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8:
            got = f"{rgb.dtype} array" if isinstance(rgb, np.ndarray) else type(rgb).__name__
            raise FrameError(f"the network input must be a uint8 array, got {got}")
        if rgb.shape != (height, width, 3):
            raise FrameError(f"the network input must have shape {(height, width, 3)}, got {rgb.shape}")
        if not rgb.flags.c_contiguous:
            raise FrameError("the network input must be C-contiguous; np.ascontiguousarray makes it so")
        content = (height, width) if content_hw is None else (int(content_hw[0]), int(content_hw[1]))
        if not (1 <= content[0] <= height and 1 <= content[1] <= width):
            raise FrameError(f"content_hw must lie in 1..{height} x 1..{width}, got {content}")
        return content
