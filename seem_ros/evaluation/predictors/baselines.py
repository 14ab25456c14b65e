# SPDX-License-Identifier: Apache-2.0
"""The classical methods our model is judged beside: cv2.grabCut, a copied first mask, and optical flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from seem_ros.errors import PromptError
from seem_ros.evaluation.predictors.protocol import Guess, PanopticGuess
from seem_ros.perception.prompting.rasterize import draw_regions
from seem_ros.perception.structures.letterbox import fit
from seem_ros.perception.structures.prompts import Box, Prompt

_ITERATIONS = 5
# A click says nothing about size: the object is guessed to lie within this share of the diagonal around it.
_CLICK_RADIUS_OF_DIAGONAL = 0.12


class GrabCut:
    """cv2.grabCut (Rother et al., 2004): from a box as in the paper, or from clicks and strokes.

    For clicks and strokes the pixels pointed at are sure, a disc around positive ones is "probably object", the rest
    "probably background". It sees no text and knows no absence.
    """

    name = "cv2.grabCut"
    abilities = frozenset({"click", "box", "scribble"})

    def look(self, rgb: np.ndarray) -> None:
        """Take a picture, uint8 [H, W, 3]."""
        self._bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)

    def ask(self, prompts: Sequence[Prompt], previous: Sequence[Guess | None] | None = None) -> list[Guess]:
        """Each prompt on its own; earlier rounds are already part of the prompts."""
        return [Guess(self._cut(prompt)) for prompt in prompts]

    def panoptic(self, names: Sequence[str], is_thing: Sequence[bool]) -> PanopticGuess:
        """Raises PromptError: grabCut knows no names."""
        raise PromptError("cv2.grabCut has no panoptic output")

    def _cut(self, prompt: Prompt) -> np.ndarray:
        if not prompt.has_region:
            raise PromptError("cv2.grabCut needs a click, box or stroke")
        size = self._bgr.shape[:2]
        labels = np.full(size, cv2.GC_PR_BGD, np.uint8)
        fallback = np.zeros(size, bool)
        boxes = [box for box in prompt.boxes if not box.negative]
        for box in boxes:
            window = _window(box, size)
            fallback[window] = True
        if boxes:
            labels[:] = cv2.GC_BGD
            labels[fallback] = cv2.GC_PR_FGD
        points = tuple(shape for shape in prompt.shapes if not isinstance(shape, Box))
        if points:
            positive, negative = draw_regions(points, fit(size, size))
            if not boxes:
                away = cv2.distanceTransform((~positive).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
                labels[away < _CLICK_RADIUS_OF_DIAGONAL * np.hypot(*size)] = cv2.GC_PR_FGD
            labels[positive], labels[negative] = cv2.GC_FGD, cv2.GC_BGD
            fallback |= positive
        if not ((labels & 1) == 0).any():  # the box fills the picture: grabCut needs some background
            return fallback
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(self._bgr, labels, (0, 0, 0, 0), *models, _ITERATIONS, cv2.GC_INIT_WITH_MASK)
        mask = (labels & 1).astype(bool)
        return mask if mask.any() else fallback


def _window(box: Box, size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the pixels whose centres lie in the box."""
    (x0, x1), (y0, y1) = (
        (max(0, round(a)), min(limit, round(b)))
        for a, b, limit in ((box.x0, box.x1, size_hw[1]), (box.y0, box.y1, size_hw[0]))
    )
    return slice(y0, y1), slice(x0, x1)


class CopyFirst:
    """The first mask, unmoved, on every frame. Prompts must be masks."""

    name = "copied first mask"

    def start(self, rgb: np.ndarray, prompts: Mapping[int, Prompt]) -> dict[int, np.ndarray]:
        """Keep the masks."""
        self._masks = {key: _only_mask(prompt) for key, prompt in prompts.items()}
        return dict(self._masks)

    def step(self, rgb: np.ndarray) -> dict[int, np.ndarray]:
        """The same masks again."""
        return dict(self._masks)


class FlowPropagation:
    """The mask carried from frame to frame by dense optical flow (cv2.DISOpticalFlow, preset medium).

    Flow is taken from the new frame back to the old one, so each new pixel looks up where it came from; masks are kept
    as fractions so that they are not worn down by rounding.
    """

    name = "cv2.DISOpticalFlow"

    def start(self, rgb: np.ndarray, prompts: Mapping[int, Prompt]) -> dict[int, np.ndarray]:
        """Keep the masks and the frame."""
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        rows, columns = self._grey.shape
        self._columns, self._rows = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        self._soft: dict[int, np.ndarray] = {
            key: _only_mask(prompt).astype(np.float32) for key, prompt in prompts.items()
        }
        return {key: soft > 0.5 for key, soft in self._soft.items()}

    def step(self, rgb: np.ndarray) -> dict[int, np.ndarray]:
        """Carry the masks one frame on."""
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        back = self._flow.calc(grey, self._grey, np.empty((0, 0), np.float32))  # empty: nothing to start from
        self._grey = grey
        x, y = self._columns + back[..., 0], self._rows + back[..., 1]
        self._soft = {key: cv2.remap(soft, x, y, cv2.INTER_LINEAR) for key, soft in self._soft.items()}
        return {key: soft > 0.5 for key, soft in self._soft.items()}


def _only_mask(prompt: Prompt) -> np.ndarray:
    if not prompt.masks:
        raise PromptError("copying and flow need the first mask as the prompt")
    return prompt.masks[0].mask
