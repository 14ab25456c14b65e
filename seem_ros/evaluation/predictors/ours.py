# SPDX-License-Identifier: Apache-2.0
"""Our model as the product uses it: through the Segmenter and the Tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seem_ros.evaluation.predictors.protocol import Guess, PanopticGuess
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt, Reference
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.tracker import Tracker

_FRAME_NS = 33_333_333


class SegmenterPredictor:
    """Single pictures.

    Each prompt is judged on its own mask. (`Segmenter.segment` paints all masks into one label image, where a text and
    a click for the same object would take pixels from each other.)
    """

    abilities = frozenset({"click", "box", "scribble", "text", "reference", "panoptic"})

    def __init__(self, segmenter: Segmenter, name: str) -> None:
        self.name = name
        self._segmenter = segmenter
        if not segmenter.spec.object_queries:
            self.abilities = self.abilities - {"panoptic"}

    def look(self, rgb: np.ndarray) -> None:
        """Encode a picture, uint8 [H, W, 3]."""
        self._encoded = self._segmenter.encode(Frame(rgb))

    def ask(self, prompts: Sequence[Prompt], previous: Sequence[Guess | None] | None = None) -> list[Guess]:
        """One batched decode; a further round gets the previous mask as memory."""
        if not prompts:
            return []
        memories = [None if guess is None else guess.memory for guess in previous or ()]
        return [
            Guess(
                one.mask if one.found else np.zeros_like(one.mask),
                one.presence,
                one.mask,
                one.unknown_words,
                one.label,
                np.array(one.memory_mask),
            )
            for one in self._segmenter.predict(prompts, self._encoded, memories)
        ]

    def panoptic(self, names: Sequence[str], is_thing: Sequence[bool]) -> PanopticGuess:
        """Everything, named from this vocabulary (set once, kept while it is the same)."""
        if self._segmenter.vocabulary != tuple(names):
            self._segmenter.set_vocabulary(names, is_thing)
        segments = self._segmenter.panoptic(frame=self._encoded, wide=True)
        return PanopticGuess(
            segments.labels.astype(np.int32),
            tuple((one.value, one.label, one.label_score * one.mask_score) for one in segments),
        )


class MemoryTracker:
    """Our tracker, by default as the model's package sets it up; parts of it can be switched off to see their worth."""

    def __init__(self, segmenter: Segmenter, name: str, config: TrackerConfig | None = None) -> None:
        self.name = name
        self._segmenter = segmenter
        self._tracker = Tracker(segmenter, config, wide_labels=True)
        self._frames = 0

    def start(self, rgb: np.ndarray, prompts: Mapping[int, Prompt]) -> dict[int, np.ndarray]:
        """Start a target per prompt; where nothing is found the object stays unfollowed."""
        result = self._tracker.start(list(prompts.values()), self._frame(rgb))
        self._targets = dict(zip(prompts, result.target_ids))
        return self._masks(result.segments, rgb.shape[:2])

    def step(self, rgb: np.ndarray) -> dict[int, np.ndarray]:
        """Follow all targets into the next frame."""
        return self._masks(self._tracker.step(self._frame(rgb)), rgb.shape[:2])

    def _frame(self, rgb: np.ndarray) -> Frame:
        self._frames += 1
        return Frame(rgb, stamp_ns=self._frames * _FRAME_NS)

    def _masks(self, segments: Segments, size_hw: tuple[int, int]) -> dict[int, np.ndarray]:
        masks = {}
        for key, target_id in self._targets.items():
            segment = segments.by_target(target_id) if target_id else None
            masks[key] = np.zeros(size_hw, bool) if segment is None else segments.mask(segment.value)
        return masks


class ReferenceOnly:
    """Our model without memory: every frame is asked alone for "one like that in the first frame", as SEEM's demo does
    with video."""

    def __init__(self, segmenter: Segmenter, name: str) -> None:
        self.name = name
        self._predictor = SegmenterPredictor(segmenter, name)

    def start(self, rgb: np.ndarray, prompts: Mapping[int, Prompt]) -> dict[int, np.ndarray]:
        """The first frame is answered from the prompts; they become references."""
        self._prompts = {
            key: Prompt(reference=Reference(rgb, prompt.shapes)) if prompt.shapes else prompt
            for key, prompt in prompts.items()
        }
        self._predictor.look(rgb)
        return self._answers(prompts)

    def step(self, rgb: np.ndarray) -> dict[int, np.ndarray]:
        """The same references on the next frame."""
        self._predictor.look(rgb)
        return self._answers(self._prompts)

    def _answers(self, prompts: Mapping[int, Prompt]) -> dict[int, np.ndarray]:
        return {key: guess.mask for key, guess in zip(prompts, self._predictor.ask(list(prompts.values())))}
