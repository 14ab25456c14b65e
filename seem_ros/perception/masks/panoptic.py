# SPDX-License-Identifier: Apache-2.0
"""From queries to panoptic, semantic and instance results: the official rules (specification section 13), in numpy.

Here everything works on whole arrays and follows the official evaluation to the pixel. What the node needs for a few
prompted masks, faster, is in ``upsample.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from seem_ros.errors import DataError

CUBIC_A = -0.5  # the coefficient torch and PIL use whenever they antialias, for enlarging too


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow; float32 in, float32 out."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


@lru_cache(maxsize=64)
def resize_matrix(size_in: int, size_out: int, method: str) -> np.ndarray:
    """One axis of a resize as a matrix.

    Args:
        size_in, size_out: Lengths of the axis.
        method: ``bilinear`` = torch's interpolate(bilinear, align_corners=False); ``bicubic_antialias`` = torch's
            interpolate(bicubic, align_corners=False, antialias=True), whose cubic has a = -0.5.

    Returns:
        float32 [size_out, size_in], rows sum to 1, read-only.

    Raises:
        DataError: A size is not positive or the method is unknown.
    """
    if size_in < 1 or size_out < 1:
        raise DataError(f"cannot resize {size_in} to {size_out} entries")
    scale = size_in / size_out
    centre = (np.arange(size_out) + 0.5) * scale
    matrix = np.zeros((size_out, size_in))
    rows = np.arange(size_out)
    if method == "bilinear":
        place = np.clip(centre - 0.5, 0, None)  # torch clamps at the low end and repeats the last entry at the high end
        low = np.minimum(place.astype(np.int64), size_in - 1)
        weight = place - low
        np.add.at(matrix, (rows, low), 1 - weight)
        np.add.at(matrix, (rows, np.minimum(low + 1, size_in - 1)), weight)
    elif method == "bicubic_antialias":
        stretch = max(scale, 1.0)
        support = 2.0 * stretch
        first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
        last = np.minimum((centre + support + 0.5).astype(np.int64), size_in)
        for row in rows:
            columns = np.arange(first[row], last[row])
            weights = _cubic(np.abs(columns + 0.5 - centre[row]) / stretch)
            matrix[row, columns] = weights / weights.sum()
    else:
        raise DataError(f"a resize method is 'bilinear' or 'bicubic_antialias', got {method!r}")
    matrix = matrix.astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel (IEEE Trans. ASSP 29, 1981) at distances >= 0."""
    d2, d3 = distance**2, distance**3
    near = (CUBIC_A + 2) * d3 - (CUBIC_A + 3) * d2 + 1
    far = CUBIC_A * (d3 - 5 * d2 + 8 * distance - 4)
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def resize(maps: np.ndarray, size_hw: tuple[int, int], method: str = "bilinear") -> np.ndarray:
    """Resizes float32 [..., h, w] to [..., H, W] by two matrices, equal to torch's result up to rounding."""
    rows = resize_matrix(maps.shape[-2], size_hw[0], method)
    columns = resize_matrix(maps.shape[-1], size_hw[1], method)
    return np.matmul(np.matmul(rows, maps), columns.T)


def to_image(
    mask_logits: np.ndarray,
    padded_hw: tuple[int, int],
    content_hw: tuple[int, int],
    output_hw: tuple[int, int],
    method: str = "bicubic_antialias",
) -> np.ndarray:
    """Mask logits to an image's size as the official evaluation does it: before any threshold.

    Bilinear from the mask stride to the padded input, the padding cropped, then ``method`` to the output size.

    Args:
        mask_logits: float32 [Q, hm, wm].
        padded_hw: Height and width of the padded network input, pixels.
        content_hw: Height and width of the picture in it, pixels.
        output_hw: Height and width of the result, pixels.
        method: ``bicubic_antialias`` for panoptic, semantic, instance and grounding; ``bilinear`` for interactive.

    Returns:
        float32 [Q, H, W] logits.
    """
    padded = resize(mask_logits, padded_hw, "bilinear")
    return resize(padded[..., : content_hw[0], : content_hw[1]], output_hw, method)


def semantic(class_logits: np.ndarray, mask_logits: np.ndarray) -> np.ndarray:
    """Scores of every class at every pixel.

    Args:
        class_logits: float32 [Q, K + 1], the last column is "nothing".
        mask_logits: float32 [Q, H, W] at output size.

    Returns:
        float32 [K, H, W]: the sum over queries of class probability times mask probability.
    """
    return np.einsum("qk,qhw->khw", softmax(class_logits)[:, :-1], sigmoid(mask_logits), optimize=True)


@dataclass(frozen=True)
class PanopticSegment:
    """One panoptic segment: its id in the map (from 1), class index, thing or stuff, score, and its queries."""

    id: int
    category_id: int
    isthing: bool
    score: float
    queries: tuple[int, ...]


def panoptic(
    class_logits: np.ndarray,
    mask_logits: np.ndarray,
    is_thing: np.ndarray,
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> tuple[np.ndarray, tuple[PanopticSegment, ...]]:
    """Every pixel to at most one segment.

    A query is kept if its best class is not "nothing" and scores above ``score_threshold``; every pixel goes to the
    kept query with the highest score x mask probability; a query has a segment if its own mask (probability >= 0.5)
    meets the pixels it won, and if it won at least ``overlap_threshold`` of it. Stuff of one class is one segment.

    Args:
        class_logits: float32 [Q, K + 1], the last column is "nothing".
        mask_logits: float32 [Q, H, W] at output size.
        is_thing: bool [K].
        score_threshold: 0.8 in the official evaluation, 0.4 in its demo.
        overlap_threshold: 0.8 in both.

    Returns:
        int32 [H, W] segment ids, 0 = nothing, and the segments in the order of their queries.
    """
    probability = softmax(class_logits)
    scores, classes = probability.max(axis=-1), probability.argmax(axis=-1)
    kept = np.flatnonzero((classes != class_logits.shape[-1] - 1) & (scores > score_threshold))
    ids = np.zeros(mask_logits.shape[-2:], np.int32)
    if not len(kept):
        return ids, ()
    masks = sigmoid(mask_logits[kept])
    winner = (scores[kept, None, None] * masks).argmax(axis=0)
    segments: list[PanopticSegment] = []
    stuff: dict[int, int] = {}
    for place, query in enumerate(kept):
        category = int(classes[query])
        won, own = winner == place, masks[place] >= 0.5
        won_area, own_area, both = int(won.sum()), int(own.sum()), won & own
        if not won_area or not own_area or not both.any() or won_area / own_area < overlap_threshold:
            continue
        thing = bool(is_thing[category])
        if not thing and category in stuff:
            ids[both] = stuff[category]
            first = segments[stuff[category] - 1]
            segments[first.id - 1] = replace(first, queries=(*first.queries, int(query)))
            continue
        number = len(segments) + 1
        ids[both] = number
        if not thing:
            stuff[category] = number
        segments.append(PanopticSegment(number, category, thing, float(scores[query]), (int(query),)))
    return ids, tuple(segments)


def instances(
    class_logits: np.ndarray, mask_logits: np.ndarray, is_thing: np.ndarray | None = None, top: int = 100
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best ``top`` pairs of query and class.

    Args:
        class_logits: float32 [Q, K + 1], the last column is "nothing".
        mask_logits: float32 [Q, H, W] at output size.
        is_thing: bool [K]: keep things only; None keeps all.
        top: Pairs looked at before that.

    Returns:
        float32 [N] scores (class probability x mean mask probability inside), best first; int64 [N] classes;
        bool [N, H, W] masks (logit > 0).
    """
    probability = softmax(class_logits)[:, :-1]
    flat = probability.ravel()
    best = np.argsort(-flat, kind="stable")[:top]
    queries, classes = np.divmod(best, probability.shape[1])
    if is_thing is not None:
        things = np.asarray(is_thing, np.bool_)[classes]
        best, queries, classes = best[things], queries[things], classes[things]
    used, back = np.unique(queries, return_inverse=True)
    masks = mask_logits[used] > 0
    inside = (sigmoid(mask_logits[used]) * masks).sum(axis=(1, 2)) / (masks.sum(axis=(1, 2)) + 1e-6)
    scores = (flat[best] * inside[back]).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    return scores[order], classes[order].astype(np.int64), masks[back[order]]
