# SPDX-License-Identifier: Apache-2.0
"""What a text alone means: the object query most like it says where, and a click there draws the mask.

SEEM answers a text with the object query whose class embedding is most similar (REFERENCE section 12). The official
decoders choose so by themselves. The built-in model has one query per prompt; it finds shapes better when its object
queries, which see the whole picture, do the choosing. Its package asks for that with ``text_slope`` and ``text_middle``
among its thresholds.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np

from seem_ros.perception import asking
from seem_ros.perception.postprocess import sigmoid
from seem_ros.runtime.interface import ObjectBatch, PromptBatch

_WRITTEN = ("points_xy", "points_label", "prior_box", "prior_kind", "select_by")


def text_alone(batch: PromptBatch) -> np.ndarray:
    """Bool [B]: rows that say nothing but a text."""
    pointed = (batch.points_label != 0).any(axis=1) | batch.reference_valid.any(axis=1)
    return batch.has_text & ~pointed & ~batch.has_previous & (batch.prior_kind == 0)


def grounded(
    batch: PromptBatch, objects: ObjectBatch, thresholds: Mapping[str, float]
) -> tuple[PromptBatch, np.ndarray]:
    """Adds to each text that stands alone a click on the object that is most like it.

    Args:
        batch: What is asked; stays as it is.
        objects: The picture's object queries.
        thresholds: The package's: ``text_slope`` and ``text_middle`` make a presence of the likeness (a logistic curve,
            fitted on training pictures).

    Returns:
        The new batch, and how sure each such text's object is there, float32 [B] in 0..1, NaN in the other rows.
    """
    changed = replace(batch, **{name: getattr(batch, name).copy() for name in _WRITTEN})
    presence = np.full(len(batch), np.nan, np.float32)
    slope, middle = thresholds["text_slope"], thresholds["text_middle"]
    height, width = batch.previous_mask.shape[1:]
    unit = _unit(objects.embeddings)
    for row in np.flatnonzero(text_alone(batch)):
        likeness = unit @ _unit(batch.text_embedding[row])
        best = int(likeness.argmax())
        presence[row] = sigmoid(slope * (likeness[best] - middle))
        mask = cv2.resize(objects.mask_logits[best], (width, height), interpolation=cv2.INTER_AREA) > 0
        if mask.any():
            asking.put_point(changed, row, mask)
    return changed, presence


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / (np.linalg.norm(rows, axis=-1, keepdims=True) + 1e-7)
