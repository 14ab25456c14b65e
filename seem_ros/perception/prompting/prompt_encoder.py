# SPDX-License-Identifier: Apache-2.0
"""Fills the rows of a ``PromptBatch``: texts, shapes, references and memories as the model's tensors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from seem_ros.perception.prompting import rasterize
from seem_ros.perception.structures.letterbox import Geometry
from seem_ros.perception.structures.prompts import Box, Click, Prompt, Reference, Shape
from seem_ros.perception.structures.segments import Round
from seem_ros.runtime.interface import Backend, ImageFeatures, PriorKind, PromptBatch, SelectBy, TextFeatures

#: Of the root of a mask's area: a click farther away is about another thing. Of 93 things in photographs that a text
#: had found wrongly, in part or well, the next click on the deepest error gave IoU .57 with the mask as memory, .57
#: without, .64 by this rule from .2 to .4, .62 by .1 and .7.
_ELSEWHERE = 0.25


@dataclass(frozen=True, eq=False)
class ReferenceTokens:
    """What was read where somebody pointed, for use on other pictures.

    Attributes:
        tokens: float32 [N, 3, C], one token per point and level.
        embedding: float32 [Cm], mean mask feature of the positive points.
    """

    tokens: np.ndarray
    embedding: np.ndarray


def put_text(batch: PromptBatch, row: int, texts: TextFeatures, which: int) -> None:
    """Asks row ``row`` for text ``which`` of ``texts``. A text alone selects by text."""
    length = min(texts.valid.shape[1], batch.text_valid.shape[1])
    batch.text_tokens[row, :length] = texts.tokens[which, :length]
    batch.text_valid[row, :length] = texts.valid[which, :length]
    batch.text_embedding[row] = texts.embedding[which]
    batch.has_text[row] = True
    batch.select_by[row] = SelectBy.TEXT


def put_reference(batch: PromptBatch, row: int, reference: ReferenceTokens) -> None:
    """Asks row ``row`` for one like this; more tokens than slots are thinned evenly. It outranks text in selecting."""
    slots = batch.reference_valid.shape[1]
    tokens = reference.tokens[rasterize.thin(len(reference.tokens), slots)]
    batch.reference_tokens[row, : len(tokens)] = tokens
    batch.reference_valid[row, : len(tokens)] = True
    batch.reference_embedding[row] = reference.embedding
    batch.select_by[row] = SelectBy.REFERENCE


def put_shapes(batch: PromptBatch, row: int, shapes: tuple[Shape, ...], geometry: Geometry) -> None:
    """Points at something in row ``row``: points, prior box, and selection by the points if any is positive."""
    if not shapes:
        return
    positive, negative = rasterize.draw_regions(shapes, geometry)
    points, labels = rasterize.sample_points(positive, negative, geometry.network_hw, batch.points_label.shape[1])
    batch.points_xy[row, : len(points)] = points
    batch.points_label[row, : len(labels)] = labels
    batch.prior_box[row], batch.prior_kind[row] = rasterize.prior(shapes, positive, geometry)
    if positive.any():
        batch.select_by[row] = SelectBy.POINTS


def put_previous(batch: PromptBatch, row: int, memory_mask: np.ndarray, box: np.ndarray | None = None) -> None:
    """Gives row ``row`` the last mask (float32 [h4, w4] logits) as memory; an empty mask says nothing and is left out.

    Where the prompt brings no extent of its own, ``box`` (float32 [4] centre x, centre y, width, height, normalised) is
    the prior.
    """
    if not (memory_mask > 0).any():
        return
    batch.previous_mask[row] = memory_mask
    batch.has_previous[row] = True
    if box is not None and not batch.prior_kind[row]:
        batch.prior_box[row] = box
        batch.prior_kind[row] = PriorKind.MASK


def put_point(batch: PromptBatch, row: int, mask: np.ndarray) -> None:
    """Clicks in row ``row`` on the innermost cell of a mask (bool [h4, w4], stride 4 of the network input, not empty).

    A click is a block of 3x3 network pixels, as far as the batch has slots.
    """
    height, width = mask.shape
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    line, column = np.unravel_index(int(depth.argmax()), mask.shape)
    x, y = 4 * column + 2, 4 * line + 2
    block = np.stack(np.meshgrid(np.arange(x - 1, x + 2), np.arange(y - 1, y + 2)), -1).reshape(-1, 2)
    free = np.flatnonzero(batch.points_label[row] == 0)[: len(block)]  # others say what it is not
    if not len(free):
        free = np.arange(min(len(block), batch.points_label.shape[1]))
    batch.points_xy[row, free] = block[rasterize.thin(len(block), len(free))] / (4 * width, 4 * height)
    batch.points_label[row, free] = 1
    batch.prior_box[row] = ((x + 0.5) / (4 * width), (y + 0.5) / (4 * height), 3 / (4 * width), 3 / (4 * height))
    batch.prior_kind[row] = PriorKind.CLICK
    batch.select_by[row] = SelectBy.POINTS


def put_round(batch: PromptBatch, row: int, before: Round, more: Prompt) -> None:
    """Makes row ``row`` a further round on the same picture: the last mask is memory.

    The first round's prior stays (later clicks correct a mask, they do not say anew where the object is), unless the
    further prompt brings a box. Where words or a reference found the mask, and the further prompt points far away from
    it, they found another thing: then it is no memory.
    """
    if before.prior_kind == PriorKind.NONE and _points_elsewhere(before, more):
        return
    if not any(not box.negative for box in more.boxes):
        batch.prior_box[row], batch.prior_kind[row] = before.prior_box, before.prior_kind
    put_previous(batch, row, before.memory_mask)


def _points_elsewhere(before: Round, more: Prompt) -> bool:
    """Whether all that a further prompt points at lies far from the last mask."""
    mask = before.memory_mask > 0
    lines, columns = np.nonzero(rasterize.draw_regions(more.shapes, before.geometry)[0])
    if not mask.any() or not len(lines):
        return False
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return bool(away[lines // 4, columns // 4].min() > _ELSEWHERE * np.sqrt(np.count_nonzero(mask)))


def asks_something(batch: PromptBatch) -> np.ndarray:
    """Bool [B]: rows with text, a positive point or a reference."""
    return batch.has_text | (batch.points_label > 0).any(axis=1) | batch.reference_valid.any(axis=1)


def anchors(batch: PromptBatch, mask_hw: tuple[int, int]) -> list[np.ndarray | None]:
    """Where each row points: uint8 [hm, wm] of the mask's size, None for text and references alone.

    2 around its positive points and in its box or region, 1 on its previous mask, 0 elsewhere.
    """
    height, width = mask_hw
    found: list[np.ndarray | None] = []
    for row in range(len(batch)):
        canvas = np.zeros(mask_hw, np.uint8)
        for x, y in batch.points_xy[row][batch.points_label[row] > 0]:
            column, line = int(x * width), int(y * height)
            canvas[max(line - 1, 0) : line + 2, max(column - 1, 0) : column + 2] = 2
        if batch.prior_kind[row] in (PriorKind.BOX, PriorKind.REGION):
            x, y, w, h = batch.prior_box[row] * (width, height, width, height)
            left, top = max(int(x - w / 2), 0), max(int(y - h / 2), 0)
            canvas[top : int(np.ceil(y + h / 2)), left : int(np.ceil(x + w / 2))] = 2
        if batch.has_previous[row]:
            before = (batch.previous_mask[row] > 0).astype(np.uint8)
            canvas = np.maximum(canvas, cv2.resize(before, (width, height), interpolation=cv2.INTER_NEAREST))
        found.append(canvas if canvas.any() else None)
    return found


def reference_key(reference: Reference) -> bytes:
    """Equal for equal pictures with equal regions."""
    digest = hashlib.sha256(np.ascontiguousarray(reference.image).data)
    digest.update(repr(reference.image.shape).encode())
    for shape in reference.shapes:
        digest.update(type(shape).__name__.encode())
        for name in shape.__dataclass_fields__:
            value = getattr(shape, name)
            digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.digest()


def read_reference(
    reference: Reference, geometry: Geometry, features: ImageFeatures, backend: Backend
) -> ReferenceTokens:
    """Reads the tokens of a reference picture's region.

    A scribble, polygon or mask is read where it was drawn, as SEEM does. A click or a box does not say which pixels are
    the object's: the model segments it first, and its mask is read. Without shapes the whole picture is read.
    """
    spec = backend.spec
    batch = PromptBatch.empty(spec, 1)
    if not reference.shapes:
        positive, negative = np.ones(geometry.content_hw, np.bool_), np.zeros(geometry.content_hw, np.bool_)
    else:
        positive, negative = rasterize.draw_regions(reference.shapes, geometry)
        if all(isinstance(shape, (Click, Box)) for shape in reference.shapes):
            put_shapes(batch, 0, reference.shapes, geometry)
            logits = backend.decode(features, batch).mask_logits[0]
            inside = np.repeat(np.repeat(logits > 0, spec.mask_stride, 0), spec.mask_stride, 1)
            inside = inside[: geometry.content_hw[0], : geometry.content_hw[1]]
            positive = inside if inside.any() else positive
            batch = PromptBatch.empty(spec, 1)
    points, labels = rasterize.sample_points(positive, negative, geometry.network_hw, spec.max_points)
    batch.points_xy[0, : len(points)] = points
    batch.points_label[0, : len(labels)] = labels
    result = backend.decode(features, batch)
    return ReferenceTokens(result.sampled_tokens[0, : len(labels)].copy(), result.sampled_embedding[0].copy())


def thinned(reference: ReferenceTokens, limit: int) -> ReferenceTokens:
    """The same reference with at most ``limit`` tokens, spread evenly."""
    return ReferenceTokens(reference.tokens[rasterize.thin(len(reference.tokens), max(limit, 0))], reference.embedding)
