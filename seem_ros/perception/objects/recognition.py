# SPDX-License-Identifier: Apache-2.0
"""Which thing in a picture is an object that was taught.

SEEM answers a reference with the one thing that is most like it, and says how sure it is that something like it is
there; things of the same colour deceive it. So its answer and the model's object queries are candidates here, each is
compared with every taught view, and a click on the best one draws the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from seem_ros.perception.masks.overlap import overlap
from seem_ros.perception.objects.appearance import Appearance, read_appearances
from seem_ros.perception.objects.memory import ObjectMemory
from seem_ros.perception.objects.taught import TaughtObject, TaughtView
from seem_ros.perception.prompting import prompt_encoder, rasterize
from seem_ros.perception.prompting.commands import asked_about
from seem_ros.perception.prompting.prompt_encoder import ReferenceTokens
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Mask, Prompt, Reference
from seem_ros.runtime.interface import Backend, PromptBatch

MAX_CANDIDATES = 32
_SAME_CANDIDATE = 0.7  # overlap from which two candidates are one thing
_MIN_CELLS = 12  # of the mask: a smaller candidate shows no form
# Logistic regression of "this is the taught object": likeness of tokens, colours and forms to the most alike view, and
# overlap with the model's own answer. Fitted on 60 simulated pictures of 20 things, taught from one side and three.
WEIGHTS = (17.3, 3.8, 4.7, 0.9)
BIAS = -22.9
# Score from which it counts as found, and what is added for the logarithm of the views: the best of several is higher
# by chance. Chosen on those pictures as the lowest where 1 of 10 look-alikes was taken for a thing (83 of 100 found).
FOUND, MORE_VIEWS = -2.3, 0.2


@dataclass(frozen=True, eq=False)
class _Read:
    """A view and what the model of today read in it."""

    view: TaughtView
    reference: ReferenceTokens
    appearance: Appearance


class Recognition:
    """Asks a model for objects that were taught.

    Args:
        backend: The model.
        encode: Encodes a picture.

    Attributes:
        memory: The objects; None = there are none.
    """

    def __init__(self, backend: Backend, encode: Callable[[Frame], EncodedFrame]) -> None:
        self.memory: ObjectMemory | None = None
        self._backend, self._encode = backend, encode
        self._read: dict[int, _Read] = {}

    def named(self, prompt: Prompt) -> TaughtObject | None:
        """The object that a prompt's text names, as it is or in a request ("bring me my bottle").

        None where it names none, or brings a reference of its own.
        """
        if self.memory is None or not prompt.text or prompt.reference is not None:
            return None
        return self.memory.get(prompt.text) or self.memory.get(asked_about(prompt.text))

    def reference(self, taught: TaughtObject) -> ReferenceTokens:
        """What a prompt asks with: all views, each with its share of the model's slots."""
        views = [read.reference for read in self._views(taught)]
        slots = max(self._backend.spec.max_references // len(views), 1)
        tokens = [view.tokens[rasterize.thin(len(view.tokens), slots)] for view in views]
        mean = np.asarray(np.mean([view.embedding for view in views], axis=0, dtype=np.float32))
        return ReferenceTokens(np.concatenate(tokens), mean)

    def point(
        self, encoded: EncodedFrame, batch: PromptBatch, rows: Mapping[int, TaughtObject]
    ) -> tuple[PromptBatch, np.ndarray]:
        """Adds to references a click on the thing that is most like what was taught.

        Args:
            encoded: The picture.
            batch: What is asked; stays as it is.
            rows: Which rows ask for what.

        Returns:
            The new batch, and how sure it is that the objects of ``rows`` are there, float32 [R] in 0..1.
        """
        numbers = list(rows)
        own = [mask > 0 for mask in self._backend.decode(encoded.features, batch.select(numbers)).mask_logits]
        shared = self._candidates(encoded)
        appearances = read_appearances(encoded, [self._grown(mask, encoded) for mask in shared], self._backend)
        answered = [_large_enough(mask) for mask in own]
        of_answers = iter(
            read_appearances(
                encoded,
                [self._grown(mask, encoded) for mask, good in zip(own, answered, strict=True) if good],
                self._backend,
            )
        )
        pointed, sure = batch.select(np.arange(len(batch))), np.zeros(len(numbers), np.float32)
        for index, (row, taught) in enumerate(rows.items()):
            masks, looks = list(shared), list(appearances)
            if answered[index]:
                masks, looks = [*masks, own[index]], [*looks, next(of_answers)]
            scores = [self.score(taught, look, overlap(mask, own[index])) for look, mask in zip(looks, masks)]
            if not scores:
                continue
            best = int(np.argmax(scores))
            sure[index] = self._presence(scores[best])
            height, width = batch.previous_mask.shape[1:]
            cells = cv2.resize(masks[best].astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) >= 0.5
            if cells.any():
                prompt_encoder.put_point(pointed, row, cells)
        return pointed, sure

    def score(self, taught: TaughtObject, look: Appearance, overlap: float) -> float:
        """How well a candidate fits an object: the best of its views; above `FOUND` it is the object."""
        best = max(float(np.dot(WEIGHTS, (*read.appearance.likeness(look), overlap))) for read in self._views(taught))
        return best + BIAS - MORE_VIEWS * float(np.log(len(taught.views)))

    def forget_reads(self) -> None:
        """Drops what was read; it is read again when somebody asks."""
        self._read.clear()

    def _presence(self, score: float) -> float:
        """A score on the model's own scale: what just counts as found has the model's threshold."""
        threshold = self._backend.spec.postprocess.presence_found
        return float(1 / (1 + (1 - threshold) / threshold * np.exp(FOUND - score)))

    def _views(self, taught: TaughtObject) -> list[_Read]:
        reads = []
        for view in taught.views:
            read = self._read.get(id(view))
            if read is None or read.view is not view:
                read = self._read[id(view)] = self._look_at(view)
            reads.append(read)
        return reads

    def _look_at(self, view: TaughtView) -> _Read:
        if self.memory is not None:  # views that were forgotten are not kept alive here
            alive = {id(one) for taught in self.memory.objects() for one in taught.views}
            self._read = {key: read for key, read in self._read.items() if key in alive}
        encoded = self._encode(Frame(view.rgb))
        reference = Reference(view.rgb, (Mask(view.mask),))
        tokens = prompt_encoder.read_reference(reference, encoded.geometry, encoded.features, self._backend)
        height, width = encoded.geometry.content_hw
        mask = cv2.resize(view.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) >= 0.5
        if not mask.any():  # thinner than the network's pixels
            mask = cv2.resize(view.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0
        return _Read(view, tokens, read_appearances(encoded, [mask], self._backend)[0])

    def _candidates(self, encoded: EncodedFrame) -> list[np.ndarray]:
        """Masks bool [hm, wm] of the model's object queries, the smaller of two equal ones once."""
        if not self._backend.spec.object_queries:
            return []
        masks = self._backend.decode_objects(encoded.features).mask_logits > 0
        height, width = encoded.geometry.content_hw
        stride = self._backend.spec.mask_stride
        masks = masks.copy()
        masks[:, -(-height // stride) :] = False
        masks[:, :, -(-width // stride) :] = False
        kept: list[np.ndarray] = []
        for mask in sorted((mask for mask in masks if _large_enough(mask)), key=np.count_nonzero):
            if all(overlap(mask, other) < _SAME_CANDIDATE for other in kept):
                kept.append(mask)
        return kept[:MAX_CANDIDATES]

    def _grown(self, mask: np.ndarray, encoded: EncodedFrame) -> np.ndarray:
        """A mask at the network picture's size, cut to its content."""
        stride = self._backend.spec.mask_stride
        height, width = encoded.geometry.content_hw
        return np.repeat(np.repeat(mask, stride, axis=0), stride, axis=1)[:height, :width]


def _large_enough(mask: np.ndarray) -> bool:
    return bool(np.count_nonzero(mask) >= _MIN_CELLS)
