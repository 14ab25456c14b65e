# SPDX-License-Identifier: Apache-2.0
"""Clicks, strokes and boxes are obeyed: where they contradict the model's mask, colours decide, with them as certain.

A small model that takes two things for one does not change its mind for a click, and on pictures unlike its own it
often answers a box with something that does not fill it. GrabCut (Rother, Kolmogorov and Blake, SIGGRAPH 2004;
OpenCV's) then divides the place by colours: the mask says what is likely, clicks and strokes say what is certain. A
box is certain about all that lies outside of it, and from it GrabCut starts as in its paper.

A box alone says where all four sides of the thing are, and that can be held against every answer. So of a box three are
asked: the model, GrabCut from the box, and GrabCut from the model's mask in it. What two of them say is taken where it
fills the box and is not something else than the model means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from seem_ros.perception.masks.guided_filter import enlarge_along_edges
from seem_ros.perception.masks.overlap import overlap
from seem_ros.perception.prompting.rasterize import clipped_bounds, draw_regions
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.letterbox import Geometry
from seem_ros.perception.structures.prompts import Click, Mask, Polygon, Prompt, Scribble
from seem_ros.runtime.postprocess_config import PostprocessConfig

_CERTAIN_PX = 2  # around a click
_FAR_PX = 10  # from the mask and the clicks: certainly not the object
_MARGIN_PX = 14
# Of what GrabCut works on; larger pieces are shrunk. 257 boxes on photographs (mean IoU; milliseconds of GrabCut):
# .821 and 42 with 128, .822 and 60 with 160, .818 and 24 with 96. More than one round only costs: with 160, .820 and 82
# with two from the box, .818 and 106 with two from the mask and three from the box.
_LONGEST_SIDE_PX = 128
_AT_FULL_SIZE = 8  # prompts in one call; of more the pieces are smaller: 8 large boxes take 0.35 s, 64 1.2 s
_ROUNDS = 1
_LEAST_PART = 0.1  # of the largest part: what a box keeps
# Intersection over union of the model's mask with the vote on it, from which both mean the same thing; 0.4 to 0.6 were
# tried on photographs (held-out ones, 513 boxes), and 0.4 was best.
_SAME_THING = 0.4
_STROKE_SHARE = 0.1  # of a stroke that may lie on the wrong side
_LOGIT = 4.0


def all_obeyed(
    fine: np.ndarray,
    coarse: np.ndarray,
    prompts: Sequence[Prompt],
    encoded: EncodedFrame,
    stride: int,
    rules: PostprocessConfig,
    pause: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Masks that agree with the user's clicks, strokes and boxes; see `obeyed`.

    Args:
        fine: float32 [B, hm, wm] logits at ``stride`` of the network input.
        coarse: float32 [B, h4, w4], the same for memory.
        prompts: Per row, on this picture.
        encoded: The picture.
        stride: Network pixels per cell of ``fine``.
        rules: The model's; each of ``click_tolerance_px``, ``box_agreement`` and ``box_vote`` may be off.
        pause: Called between prompts.

    Returns:
        New arrays like ``fine`` and ``coarse``.
    """
    fine, coarse = fine.copy(), coarse.copy()
    longest_px = _LONGEST_SIDE_PX * min(1.0, (_AT_FULL_SIZE / max(len(prompts), 1)) ** 0.5)
    for row, prompt in enumerate(prompts):
        pause()
        better = obeyed(fine[row], prompt, encoded, stride, rules, longest_px)
        if better is not None:
            fine[row], coarse[row] = better, cv2.resize(better, coarse.shape[:0:-1], interpolation=cv2.INTER_AREA)
    return fine, coarse


def obeyed(
    logits: np.ndarray,
    prompt: Prompt,
    encoded: EncodedFrame,
    stride: int,
    rules: PostprocessConfig,
    longest_px: float = _LONGEST_SIDE_PX,
) -> np.ndarray | None:
    """One mask that agrees with what the user drew.

    Args:
        logits: float32 [hm, wm] at ``stride`` of the network input.
        prompt: On this picture.
        encoded: The picture.
        stride: Network pixels per cell.
        rules: What counts as a contradiction.
        longest_px: Longest side of the piece that GrabCut works on, source pixels.

    Returns:
        New logits float32 [hm, wm], or None where the mask agrees or nothing better was found.
    """
    geometry = encoded.geometry
    box = _only_box(prompt, geometry) if rules.box_agreement or rules.box_vote else None
    marks: tuple[Click | Scribble, ...] = (*prompt.clicks, *prompt.scribbles)
    pointed = any(not mark.negative for mark in marks)
    if box is None and not (pointed and rules.click_tolerance_px is not None):
        return None
    mask = _at_network(logits, encoded, stride, rules.edge_radius)
    colours = None  # what they say about a box alone
    if box is not None and rules.box_vote and not marks:
        colours = _divided(encoded, _said_by_box(mask.shape, box), longest_px)
        share = _vote(mask, box, colours, encoded, rules.box_vote, longest_px)
        if share is not None:
            return _as_logits(share, geometry, logits.shape)
    agreement = 1.0 if box is None else _agreement(mask, box)
    boxed = box if agreement < rules.box_agreement else None  # the box, where the mask contradicts it
    tolerance_px = rules.click_tolerance_px
    answered = bool((logits > 0).any())  # else the model says that nothing is there
    if boxed is None and not (pointed and answered):
        return None
    if boxed is None and (tolerance_px is None or not _contradicts(mask, marks, geometry, tolerance_px)):
        return None
    seeds = _drawn([mark for mark in marks if not mark.negative], geometry)
    if boxed is not None:
        said = _said_by_box(mask.shape, boxed)
    else:
        said = np.where(mask > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        said[cv2.distanceTransform(1 - (mask | seeds), cv2.DIST_L2, 3) > _FAR_PX] = cv2.GC_BGD
    _make_certain(said, marks, geometry)
    share = colours
    if share is None:
        share = _divided(encoded, said, longest_px)
    found = _parts_of((share > 0.5).astype(np.uint8), seeds if pointed else None)
    if not found.any() or (boxed is not None and not pointed and _agreement(found, boxed) <= agreement):
        return None
    return _as_logits(_around(found, share), geometry, logits.shape)


def _said_by_box(shape: tuple[int, ...], box: tuple[int, int, int, int]) -> np.ndarray:
    """GC_* labels uint8 [h, w]: nothing outside of the box, probably the object in it."""
    said = np.full(shape, cv2.GC_BGD, np.uint8)
    said[_window(box)] = cv2.GC_PR_FGD
    return said


def _around(found: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The shares of these parts and their rims, 0 elsewhere."""
    return np.where(cv2.dilate(found, np.ones((3, 3), np.uint8)) > 0, share, np.float32(0))


def _vote(
    mask: np.ndarray,
    box: tuple[int, int, int, int],
    colours: np.ndarray,
    encoded: EncodedFrame,
    least: float,
    longest_px: float,
) -> np.ndarray | None:
    """What two of three say about a box: the model's mask in it, colours from the box, and colours from that mask.

    Returns:
        float32 [h, w]; None where it does not fill the box or is another thing.
    """
    window = _window(box)
    inside = np.zeros_like(mask)
    inside[window] = mask[window]
    if not inside.any():
        return None
    said = _said_by_box(mask.shape, box)
    said[window][inside[window] == 0] = cv2.GC_PR_BGD
    model, recoloured = inside.astype(np.float32), _divided(encoded, said, longest_px)
    # the middle one of three; np.median sorts, which takes a quarter of the whole call
    share = np.maximum(np.minimum(model, colours), np.minimum(np.maximum(model, colours), recoloured))
    found = _parts_of((share > 0.5).astype(np.uint8), None)
    if not found.any() or _agreement(found, box) < least or overlap(found > 0, inside > 0) < _SAME_THING:
        return None
    return _around(found, share)


def _as_logits(share: np.ndarray, geometry: Geometry, shape: tuple[int, ...]) -> np.ndarray:
    """Shares [h, w] of the content at network size as logits [hm, wm] of the whole network input."""
    whole = np.full(geometry.network_hw, -_LOGIT, np.float32)
    whole[: share.shape[0], : share.shape[1]] = _LOGIT * (2 * share - 1)
    return cv2.resize(whole, shape[::-1], interpolation=cv2.INTER_AREA)


def _at_network(logits: np.ndarray, encoded: EncodedFrame, stride: int, radius: int) -> np.ndarray:
    """The mask as the user would see it: uint8 [h, w] of the content at network size."""
    content = encoded.geometry.content_hw
    mask = np.zeros(content, np.uint8)
    flat = Geometry(content, encoded.geometry.network_hw, content)
    patch = enlarge_along_edges(logits, flat, stride, encoded.network_rgb, encoded.network_rgb, radius)
    if patch is not None:
        mask[patch.window] = patch.logits > 0
    return mask


def _only_box(prompt: Prompt, geometry: Geometry) -> tuple[int, int, int, int] | None:
    """The box (x0, y0, x1, y1) in whole network pixels, where it alone says what is meant and has some size."""
    boxes = [box for box in prompt.boxes if not box.negative]
    regions: tuple[Polygon | Mask, ...] = (*prompt.polygons, *prompt.masks)
    others = prompt.text or prompt.reference or any(not region.negative for region in regions)
    if len(boxes) != 1 or others:
        return None
    x0, y0, x1, y1 = (round(side) for side in clipped_bounds(boxes[0], geometry))
    return (x0, y0, x1, y1) if min(x1 - x0, y1 - y0) > 2 * _CERTAIN_PX else None


def _window(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])


def _agreement(mask: np.ndarray, box: tuple[int, int, int, int]) -> float:
    """Intersection over union of a box and a mask's extent."""
    x, y, width, height = cv2.boundingRect(mask)
    across = max(0, min(x + width, box[2]) - max(x, box[0]))
    down = max(0, min(y + height, box[3]) - max(y, box[1]))
    both = across * down
    return both / (width * height + (box[2] - box[0]) * (box[3] - box[1]) - both)


def _contradicts(mask: np.ndarray, marks: Sequence[Click | Scribble], geometry: Geometry, tolerance_px: float) -> bool:
    """Whether a click, or a good part of a stroke, lies well on the wrong side of the mask's border."""
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    inside = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    for mark in marks:
        wrong = ((inside if mark.negative else outside) > tolerance_px)[_drawn([mark], geometry) > 0]
        if wrong.mean() > (0 if isinstance(mark, Click) else _STROKE_SHARE):
            return True
    return False


def _pixel(click: Click, geometry: Geometry) -> tuple[int, int]:
    """Row and column of the content at network size."""
    x, y = np.floor(geometry.to_network((click.x, click.y))).astype(int)
    height, width = geometry.content_hw
    return min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)


def _drawn(marks: Sequence[Click | Scribble], geometry: Geometry) -> np.ndarray:
    """The clicks' pixels and the strokes, uint8 [h, w] of the content at network size."""
    strokes = draw_regions(tuple(mark for mark in marks if not isinstance(mark, Click)), geometry)
    drawn = np.logical_or(*strokes).astype(np.uint8)
    for mark in marks:
        if isinstance(mark, Click):
            drawn[_pixel(mark, geometry)] = 1
    return drawn


def _make_certain(said: np.ndarray, marks: Sequence[Click | Scribble], geometry: Geometry) -> None:
    """Writes into GC_* labels what strokes and clicks are certain about; later ones win."""
    strokes = draw_regions(tuple(mark for mark in marks if not isinstance(mark, Click)), geometry)
    said[strokes[0]], said[strokes[1]] = cv2.GC_FGD, cv2.GC_BGD
    for mark in marks:
        if isinstance(mark, Click):
            y, x = _pixel(mark, geometry)
            cv2.circle(said, (x, y), _CERTAIN_PX, cv2.GC_BGD if mark.negative else cv2.GC_FGD, -1)


def _parts_of(found: np.ndarray, seeds: np.ndarray | None) -> np.ndarray:
    """The connected parts that are pointed at or, where nothing is, all but specks: uint8 [h, w]."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    if seeds is not None:
        kept = np.unique(parts[seeds > 0])
    else:
        kept = np.flatnonzero(areas >= max(_LEAST_PART * areas.max(), 1))
    return np.isin(parts, kept[kept > 0]).astype(np.uint8)


def _divided(encoded: EncodedFrame, said: np.ndarray, longest_px: float) -> np.ndarray:
    """GrabCut around what may be the object, on the source's pixels.

    Args:
        encoded: The picture.
        said: uint8 [h, w] GC_* of the content at network size.
        longest_px: See `obeyed`.

    Returns:
        float32 [h, w], how much of each pixel is the object's.
    """
    share = np.zeros(said.shape, np.float32)
    rows, columns = np.nonzero(said != cv2.GC_BGD)
    if not len(rows):
        return share
    y0, x0 = max(int(rows.min()) - _MARGIN_PX, 0), max(int(columns.min()) - _MARGIN_PX, 0)
    labels = said[y0 : int(rows.max()) + _MARGIN_PX + 1, x0 : int(columns.max()) + _MARGIN_PX + 1]
    height, width = labels.shape
    across, down = (1 / scale for scale in encoded.geometry.scale_xy)
    source = encoded.frame.rgb[
        round(y0 * down) : round((y0 + height) * down), round(x0 * across) : round((x0 + width) * across)
    ]
    shrink = min(1.0, longest_px / max(source.shape[:2]))
    size = max(1, round(source.shape[1] * shrink)), max(1, round(source.shape[0] * shrink))
    picture = cv2.resize(source, size, interpolation=cv2.INTER_AREA)
    labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    if not ((labels & 1).any() and (labels & 1 == 0).any()):
        return share
    cv2.setRNGSeed(0)  # this thread's: the same question gets the same answer
    cv2.grabCut(picture, labels, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), _ROUNDS, cv2.GC_INIT_WITH_MASK)
    objects = (labels & 1).astype(np.float32)  # GC_FGD and GC_PR_FGD are the odd ones
    share[y0 : y0 + height, x0 : x0 + width] = cv2.resize(objects, (width, height), interpolation=cv2.INTER_AREA)
    return share
