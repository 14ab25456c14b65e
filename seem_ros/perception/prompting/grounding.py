# SPDX-License-Identifier: Apache-2.0
"""What a text alone means: the object query that it names best says where, and a click there draws the mask.

SEEM answers a text with the object query whose class embedding is most similar (specification section 12). The official
decoders choose so by themselves. The built-in model has one query per prompt, and its object queries, which see the
whole picture, know shapes better: they choose, and the text's own mask has a say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from seem_ros.perception.masks.panoptic import sigmoid
from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.prompting.places import PictureSide, Place
from seem_ros.runtime.interface import DecodeBatch, ObjectBatch, PromptBatch
from seem_ros.runtime.postprocess_config import PostprocessConfig

#: Log odds by which another object may fit a name less well than the best and still be one of several. On 60 simulated
#: training scenes with two or three of a name the outermost was right in 53 % at 0.3, 70 % at 1 and 2, 61 % at 3.
_ALIKE = 1.5
#: What the class logit counts beside the log odds of the name and the overlap with the text's own mask: of a grid the
#: most IoU at 4 to 10 % of absent names found, of 2,300 questions about photographs (.471; without the logit, and with
#: half the own answer's presence logit, .449) and 1,270 about simulated scenes (.793, .794).
_LOGIT = 0.2
#: How far below the middle of the curve a landmark may still be one: it is not asked for, so that its score lacks the
#: overlap with a mask of its own. Of names that are there 97 % are seen so on 30 simulated scenes and 77 % on 60
#: photographs, of absent ones 12 and 10 %.
_OWN_OVERLAP = 1.0
#: Of the greatest depth in an object: a negative click as deep as this is not about its border. Of 119 things in
#: photographs that a text had found wrongly, in part or well, text and a negative click on the deepest pixel too many
#: gave .26 of IoU in part and .70 well by this, .30 wrongly (.25 from .9 on; before, as marks alone: .27, .61, .13).
_DEEP = 0.6


def text_alone(batch: PromptBatch) -> np.ndarray:
    """Bool [B]: rows that say nothing but a text, and perhaps what it is not."""
    pointed = (batch.points_label > 0).any(axis=1) | batch.reference_valid.any(axis=1)
    return batch.has_text & ~pointed & ~batch.has_previous & (batch.prior_kind == 0)


@dataclass(frozen=True, eq=False)
class TextRule:
    """How a model's object queries answer texts.

    A query's score is the log of the odds that it is the text rather than any name of the model's own vocabulary, plus
    a share of its class logit, for what resembles the text more than the vocabulary need not resemble it, plus the
    overlap (0..1) of its mask with the text's own. Presence is a logistic curve of the best score.

    Attributes:
        bank: float32 [K, D], the vocabulary's unit vectors, with "background".
        scale: Class logits are ``scale`` x cosine.
        slope, middle: Of the curve.
    """

    bank: np.ndarray
    scale: float
    slope: float
    middle: float

    @classmethod
    def of(cls, postprocess: PostprocessConfig, bank: np.ndarray, scale: float) -> TextRule | None:
        """The rule of a package, None where it has none."""
        if postprocess.text_slope is None or postprocess.text_middle is None:
            return None
        return cls(bank, scale, postprocess.text_slope, postprocess.text_middle)

    def scores(self, text: np.ndarray, own_mask: np.ndarray, objects: ObjectBatch) -> np.ndarray:
        """How well a text fits each object query.

        Args:
            text: float32 [D], the text's embedding.
            own_mask: bool [hm, wm], the text's own answer.
            objects: The picture's object queries.

        Returns:
            float32 [Nq].
        """
        _, fit = self._by_name(text, objects)
        masks = objects.mask_logits > 0
        both, either = (masks & own_mask).sum((1, 2)), (masks | own_mask).sum((1, 2))
        return fit + both / np.maximum(either, 1)

    def _by_name(self, text: np.ndarray, objects: ObjectBatch) -> tuple[np.ndarray, np.ndarray]:
        """Of each object query the text's log odds beside the vocabulary, alone and with a share of its class logit."""
        queries = self.scale * _unit(objects.embeddings)
        names = queries @ self.bank.T
        highest = names.max(axis=1, keepdims=True)
        all_names = highest[:, 0] + np.log(np.exp(names - highest).sum(axis=1))
        logit = queries @ _unit(text)
        named = logit - all_names
        return named, named + _LOGIT * logit

    def point(
        self,
        batch: PromptBatch,
        rows: np.ndarray,
        own: DecodeBatch,
        objects: ObjectBatch,
        places: Mapping[int, Place] = MappingProxyType({}),
        landmarks: Mapping[int, np.ndarray] = MappingProxyType({}),
    ) -> tuple[PromptBatch, np.ndarray]:
        """Adds to texts a click on the object that each names best.

        Args:
            batch: What is asked; stays as it is.
            rows: int [R], the texts that stand alone.
            own: What they were answered by themselves, R rows.
            objects: The picture's object queries.
            places: Of rows that say which of several is meant.
            landmarks: Embeddings float32 [D] of what they name beside it; a place without one is not looked at.

        Returns:
            The new batch, and how sure the objects of ``rows`` are there, float32 [R] in 0..1.
        """
        pointed, presence = batch.select(np.arange(len(batch))), np.zeros(len(rows), np.float32)
        height, width = batch.previous_mask.shape[1:]
        for k, row in enumerate(rows):
            scores = self.scores(batch.text_embedding[row], own.mask_logits[k] > 0, objects)
            scores = _without(scores, batch.points_xy[row][batch.points_label[row] < 0], objects)
            best = int(scores.argmax())
            presence[k] = sigmoid(self.slope * (scores[best] - self.middle))
            if row in places:
                best = self._one_of_several(batch.text_embedding[row], best, objects, places[row], landmarks.get(row))
            mask = cv2.resize(objects.mask_logits[best], (width, height), interpolation=cv2.INTER_AREA) > 0
            if mask.any():
                prompt_encoder.put_point(pointed, row, mask)
        return pointed, presence

    def _one_of_several(
        self, text: np.ndarray, best: int, objects: ObjectBatch, place: Place, landmark: np.ndarray | None
    ) -> int:
        """The object that fits a name about as well as the best and is where it was said to be."""
        named, _ = self._by_name(text, objects)  # by name alone: the text's own mask lies on one of several
        masks = objects.mask_logits > 0
        several = np.flatnonzero((named >= named[best] - _ALIKE) & masks.any((1, 2)))
        if isinstance(place, PictureSide):
            return int(several[place.farthest(masks[several])]) if len(several) else best
        if landmark is None:
            return best
        _, fit = self._by_name(landmark, objects)
        if fit.max() < self.middle - _OWN_OVERLAP:
            return best  # it is not there: whatever resembles it least badly says nothing
        beside = masks[int(fit.argmax())]
        several = several[np.argsort(-named[several], kind="stable")]
        itself = 2 * (masks[several] & beside).sum((1, 2)) > (masks[several] | beside).sum((1, 2))
        others = several[~itself]
        return int(others[place.nearest(masks[others], beside)]) if len(others) and beside.any() else best


def _without(scores: np.ndarray, not_this: np.ndarray, objects: ObjectBatch) -> np.ndarray:
    """The scores of objects; out are those that a point float32 [P, 2] (x, y in 0..1) lies deep in: it says not this.

    A point near an object's border says that the border is wrong. Where all are out, none is.
    """
    height, width = objects.mask_logits.shape[1:]
    columns = np.clip((not_this[:, 0] * width).astype(int), 0, width - 1)
    lines = np.clip((not_this[:, 1] * height).astype(int), 0, height - 1)
    masks = np.pad(objects.mask_logits > 0, ((0, 0), (1, 1), (1, 1)))  # what leaves the picture ends there
    refused = np.zeros(len(masks), np.bool_)
    for i in np.flatnonzero(masks[:, lines + 1, columns + 1].any(axis=1)):
        depth = cv2.distanceTransform(masks[i].astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
        refused[i] = depth[lines + 1, columns + 1].max() >= _DEEP * depth.max()
    return scores if refused.all() else np.where(refused, -np.inf, scores)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / (np.linalg.norm(rows, axis=-1, keepdims=True) + 1e-7)
