# SPDX-License-Identifier: Apache-2.0
"""Low-resolution mask logits to label images at source resolution, fast: only where the mask is.

A mask is decided at source resolution: its logits are enlarged bilinearly (pixel centres aligned) and then compared
with zero. Where all four neighbours of a place are not positive the result cannot be positive, so only the box around
the positive logits is enlarged; a small object in a 1080p picture costs a small piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, gcd

import cv2
import numpy as np

from seem_ros.perception.masks.panoptic import sigmoid
from seem_ros.perception.structures.letterbox import Geometry

# A pixel of a mask with edges takes 73 ns on one core and 40 bytes meanwhile: a 4K picture's masks are made at half its
# resolution, and those of any picture where they would be more than twice as much together.
_MOST_PICTURE_PX = 1 << 22
_MOST_MASKS_PX = 1 << 23
_PAIRWISE = 16  # masks that are compared pair by pair, which costs nothing where they do not overlap
_SHARED = 0.2  # of the smaller of a part and the last mask: what two neighbours' rims share is less


@dataclass(frozen=True, eq=False)
class Patch:
    """A mask's logits inside a box at source resolution; outside of it the mask is empty.

    Attributes:
        x0, y0: First column and row of the box, source pixels.
        logits: float32 [h, w].
        scale: Source pixels per pixel of the box, along each axis: 1, or more where a mask at the source's resolution
            would be too much work. ``x0`` and ``y0`` then are such larger pixels, too.
    """

    x0: int
    y0: int
    logits: np.ndarray
    scale: int = 1

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the box in the source image."""
        height, width = self.logits.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)


def span(positive: np.ndarray, cells: int, step: int, margin: int = 1) -> tuple[int, int] | None:
    """First and last + 1 cell to enlarge along one axis, with a margin; the first is a multiple of ``step``."""
    used = positive[:cells]
    begin = int(used.argmax())
    if not used[begin]:
        return None
    first = max(begin - margin, 0)
    return first - first % step, min(len(used) - int(used[::-1].argmax()) + margin, cells)


def resized(piece: np.ndarray, factors_yx: tuple[float, float], size_hw: tuple[int, int]) -> np.ndarray:
    """Bilinear enlargement by exactly these factors, cut or continued to a size (the two differ by a pixel at most)."""
    # the scale is given and not the size, or OpenCV would round it to whole pixels and shift the far end
    made = cv2.resize(piece, None, fx=factors_yx[1], fy=factors_yx[0], interpolation=cv2.INTER_LINEAR)
    made = made[: size_hw[0], : size_hw[1]]
    missing = [wanted - got for wanted, got in zip(size_hw, made.shape)]
    if any(missing):  # a fraction of a pixel that OpenCV rounded away at the far border
        made = np.pad(made, [(0, n) for n in missing] + [(0, 0)] * (made.ndim - 2), mode="edge")
    return made


def shrinking(masks: Sequence[np.ndarray | None], geometry: Geometry, stride: int) -> int:
    """At which part of the source's resolution masks are made, see `Patch.scale`; 1 for usual pictures and masks.

    Args:
        masks: float32 [hm, wm] logits at ``stride`` of the padded network input.
        geometry: Of the source image.
        stride: Network pixels per cell.
    """
    height, width = geometry.source_hw
    content_h, content_w = geometry.content_hw
    cell_px = height * width * stride * stride / (content_h * content_w)
    given = [mask[: -(-content_h // stride), : -(-content_w // stride)] for mask in masks if mask is not None]
    total_px = 0.0
    if given:
        positive = np.stack(given) > 0
        tall, broad = (_extents(np.any(positive, axis=axis)) for axis in (2, 1))
        total_px = cell_px * float(tall @ broad)
    return max(ceil((height * width / _MOST_PICTURE_PX) ** 0.5), ceil((total_px / _MOST_MASKS_PX) ** 0.5), 1)


def _extents(used: np.ndarray) -> np.ndarray:
    """How far the last is from the first place that is used, of bool [N, L]; 0 where none is."""
    last = used.shape[1] - 1 - used[:, ::-1].argmax(1)
    return np.where(used.any(1), last - used.argmax(1), 0)


def enlarge(logits: np.ndarray, geometry: Geometry, stride: int) -> Patch | None:
    """One mask's logits at source resolution.

    Equal to the bilinear enlargement of the whole content: a box starts at a cell whose edge is a whole source pixel,
    so that pixel centres stay aligned. Beyond the content's border the last cell is repeated: the padding has no say.

    Args:
        logits: float32 [hm, wm] at ``stride`` of the padded network input.
        geometry: Of the source image.
        stride: Network pixels per cell.

    Returns:
        The patch, None where no logit is positive.
    """
    (height, width), (content_h, content_w) = geometry.source_hw, geometry.content_hw
    cells_y, cells_x = -(-content_h // stride), -(-content_w // stride)
    positive = logits[:cells_y, :cells_x] > 0
    span_y = span(np.any(positive, axis=1), cells_y, content_h // gcd(height * stride, content_h))
    span_x = span(np.any(positive, axis=0), cells_x, content_w // gcd(width * stride, content_w))
    if span_y is None or span_x is None:
        return None
    piece = np.ascontiguousarray(logits[slice(*span_y), slice(*span_x)])
    y0, x0 = span_y[0] * stride * height // content_h, span_x[0] * stride * width // content_w
    y1 = min(-(-span_y[1] * stride * height // content_h), height)
    x1 = min(-(-span_x[1] * stride * width // content_w), width)
    factors = height * stride / content_h, width * stride / content_w
    return Patch(x0, y0, resized(piece, factors, (y1 - y0, x1 - x0)))


def drop_strays(
    mask_logits: np.ndarray, memory_mask: np.ndarray, anchors: Sequence[np.ndarray | None], share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Masks without the parts that do not belong to what was asked for.

    A small model asked for one object sometimes answers with everything of its colour. Where the prompt points at a
    place, parts that do not touch the place are left out (an object behind an arm has two parts, and its last mask
    lies on both). Of what remains, parts that are small beside the largest are specks.

    Args:
        mask_logits: float32 [B, hm, wm].
        memory_mask: float32 [B, h4, w4], the same masks, as coarse or coarser.
        anchors: Per mask uint8 [hm, wm], where the prompt points: 2 = a part that touches this belongs to it, 1 = the
            last mask, a part belongs to it if they share a fifth of the smaller of them; None or zeros where it does
            not point. If no part belongs to it, all count.
        share: Parts below this share of the largest part's area are left out.

    Returns:
        Both, with the sign of what was left out turned; the inputs themselves where nothing was.
    """
    fine, coarse = mask_logits, memory_mask
    for row, (logits, anchor) in enumerate(zip(mask_logits, anchors, strict=True)):
        positive = logits > 0
        rows, columns = np.flatnonzero(positive.any(axis=1)), np.flatnonzero(positive.any(axis=0))
        if not len(rows):
            continue
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # most masks are small: look there alone
        piece = positive[window].astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(piece, connectivity=8)
        if count <= 2:
            continue
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0
        if anchor is not None:
            near = anchor[window]
            shared = np.bincount(parts[near > 0], minlength=count)
            least = _SHARED * np.minimum(areas, np.count_nonzero(anchor))
            touched = (np.bincount(parts[near == 2], minlength=count) > 0) | ((shared > 0) & (shared >= least))
            touched[0] = False
            if touched.any():
                areas[~touched] = 0
        gone = areas < max(share * areas.max(), 1)
        gone[0] = False
        if not gone.any():
            continue
        if fine is mask_logits:
            fine, coarse = mask_logits.copy(), memory_mask.copy()
        drop = gone[parts]
        there = fine[row][window]
        take_away(there, drop)
        kept = cv2.resize((fine[row] > 0).astype(np.float32), coarse.shape[:0:-1], interpolation=cv2.INTER_AREA) > 0
        lost = (coarse[row] > 0) & ~kept
        take_away(coarse[row], lost)
    return fine, coarse


def take_away(logits: np.ndarray, cells: np.ndarray) -> None:
    """Makes cells no part of a mask, in place, as surely as they were: float32 logits and bool, of one shape."""
    logits[cells] = -np.abs(logits[cells])


def mask_scores(logits: np.ndarray) -> np.ndarray:
    """Mean mask probability inside each mask.

    Args:
        logits: float32 [B, h, w].

    Returns:
        float32 [B], 0 where a mask is empty.
    """
    scores = np.zeros(len(logits), np.float32)
    for i, one in enumerate(logits):
        inside = one[one > 0]
        if inside.size:
            scores[i] = float(sigmoid(inside).mean())
    return scores


@dataclass(frozen=True)
class Extent:
    """Measures of one label value: see ``results.Segment``."""

    box_xyxy_px: tuple[int, int, int, int]
    area_px: int
    centroid_xy_px: tuple[float, float]


def paint(
    patches: Sequence[Patch | None],
    scores: Sequence[float] | np.ndarray,
    values: Sequence[int],
    size_hw: tuple[int, int],
    wide: bool = False,
) -> tuple[np.ndarray, list[Extent | None]]:
    """Masks to one label image.

    A pixel that several masks claim goes to the highest score x mask probability; ties to the earlier mask.

    Args:
        patches: One per mask, None where it is empty; all of one scale.
        scores: How sure each mask is, >= 0.
        values: Pixel value of each mask.
        size_hw: Height and width of the label image, pixels.
        wide: uint16 in place of uint8.

    Returns:
        The label image uint8 or uint16 [H, W], 0 = nothing, and the extent of what each mask kept (None = nothing).
    """
    scale = next((patch.scale for patch in patches if patch is not None), 1)
    if scale > 1:
        return _painted_larger(patches, scores, values, size_hw, wide, scale)
    labels = np.zeros(size_hw, np.uint16 if wide else np.uint8)
    masks: list[np.ndarray | None] = [None if p is None else (p.logits > 0).astype(np.uint8) for p in patches]
    if len(patches) <= _PAIRWISE:
        for j, later in enumerate(patches):
            for i in range(j):
                earlier, mine, theirs = patches[i], masks[i], masks[j]
                if later is not None and earlier is not None and mine is not None and theirs is not None:
                    _settle(earlier, mine, scores[i], later, theirs, scores[j])
    else:
        _settle_all(patches, masks, scores, size_hw)
    extents: list[Extent | None] = []
    for patch, mask, value in zip(patches, masks, values, strict=True):
        area = 0 if mask is None else cv2.countNonZero(mask)
        if patch is None or mask is None or not area:
            extents.append(None)
            continue
        labels[patch.window][mask.view(np.bool_)] = value
        x, y, width, height = cv2.boundingRect(mask)
        moments = cv2.moments(mask, binaryImage=True)
        extents.append(
            Extent(
                (patch.x0 + x, patch.y0 + y, patch.x0 + x + width, patch.y0 + y + height),
                area,
                (patch.x0 + moments["m10"] / moments["m00"], patch.y0 + moments["m01"] / moments["m00"]),
            )
        )
    return labels, extents


def _painted_larger(
    patches: Sequence[Patch | None],
    scores: Sequence[float] | np.ndarray,
    values: Sequence[int],
    size_hw: tuple[int, int],
    wide: bool,
    scale: int,
) -> tuple[np.ndarray, list[Extent | None]]:
    """`paint` for patches of fewer pixels than the label image has."""
    height, width = size_hw
    flat = [None if patch is None else replace(patch, scale=1) for patch in patches]
    small, extents = paint(flat, scores, values, (-(-height // scale), -(-width // scale)), wide)
    larger = (small.shape[1] * scale, small.shape[0] * scale)
    labels = np.ascontiguousarray(cv2.resize(small, larger, interpolation=cv2.INTER_NEAREST)[:height, :width])
    # how many of the source's rows and columns each one stands for: the last may stand for fewer
    rows, columns = (np.minimum(scale, side - np.arange(0, side, scale)) for side in size_hw)
    scaled: list[Extent | None] = []
    for extent, value in zip(extents, values, strict=True):
        if extent is None:
            scaled.append(None)
            continue
        left, top, right, bottom = extent.box_xyxy_px
        own = small[top:bottom, left:right] == value
        area = int(rows[top:bottom] @ own @ columns[left:right])
        x0, y0, x1, y1 = (side * scale for side in extent.box_xyxy_px)
        x, y = ((at + 0.5) * scale - 0.5 for at in extent.centroid_xy_px)
        box = (x0, y0, min(x1, width), min(y1, height))
        scaled.append(Extent(box, area, (min(x, width - 1), min(y, height - 1))))
    return labels, scaled


def _settle_all(
    patches: Sequence[Patch | None],
    masks: Sequence[np.ndarray | None],
    scores: Sequence[float] | np.ndarray,
    size_hw: tuple[int, int],
) -> None:
    """Takes every pixel that several masks claim away from all but the best, in place; its time does not grow with the
    pairs of masks."""
    best, owner = np.zeros(size_hw, np.float32), np.full(size_hw, -1, np.int32)
    for index, patch in enumerate(patches):
        mask = masks[index]
        if patch is None or mask is None:
            continue
        claimed = mask.view(np.bool_)
        claim = np.where(claimed, np.float32(scores[index]) * sigmoid(patch.logits), np.float32(-1))
        wins = claimed & ((claim > best[patch.window]) | (owner[patch.window] < 0))
        best[patch.window][wins], owner[patch.window][wins] = claim[wins], index
    for index, patch in enumerate(patches):
        mask = masks[index]
        if patch is not None and mask is not None:
            mask[owner[patch.window] != index] = 0


def _settle(
    first: Patch,
    first_mask: np.ndarray,
    first_score: float,
    second: Patch,
    second_mask: np.ndarray,
    second_score: float,
) -> None:
    """Takes every pixel that both masks claim away from one of them, in place."""
    y0, x0 = max(first.y0, second.y0), max(first.x0, second.x0)
    y1 = min(first.y0 + first.logits.shape[0], second.y0 + second.logits.shape[0])
    x1 = min(first.x0 + first.logits.shape[1], second.x0 + second.logits.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    here = tuple(slice(a - p, b - p) for a, b, p in ((y0, y1, first.y0), (x0, x1, first.x0)))
    there = tuple(slice(a - p, b - p) for a, b, p in ((y0, y1, second.y0), (x0, x1, second.x0)))
    both = (first_mask[here] & second_mask[there]).view(np.bool_)
    if not both.any():
        return
    first_wins = first_score * sigmoid(first.logits[here][both]) >= second_score * sigmoid(second.logits[there][both])
    rows, columns = np.nonzero(both)
    second_mask[there][rows[first_wins], columns[first_wins]] = 0
    first_mask[here][rows[~first_wins], columns[~first_wins]] = 0
