# SPDX-License-Identifier: Apache-2.0
"""Clicks are obeyed: where they contradict the model's mask, colours decide, with the clicks as certain.

A small model that takes two things for one does not change its mind for a click. GrabCut (Rother, Kolmogorov and Blake,
SIGGRAPH 2004; OpenCV's) then divides the place by colours: the mask says what is likely, clicks say what is certain.
"""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from seem_ros.perception.edges import enlarge_along_edges
from seem_ros.perception.encoded import EncodedFrame
from seem_ros.perception.geometry import Geometry
from seem_ros.perception.prompts import Click
from seem_ros.runtime.interface import ModelSpec

_CERTAIN_PX = 2  # around a click
_FAR_PX = 10  # from the mask and the clicks: certainly not the object
_MARGIN_PX = 14
_LONGEST_SIDE_PX = 160  # of what GrabCut works on; larger pieces are shrunk
_ROUNDS = 2
_LOGIT = 4.0


def all_obeyed(
    fine: np.ndarray, coarse: np.ndarray, clicks: Sequence[Sequence[Click]], encoded: EncodedFrame, spec: ModelSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Masks that agree with the user's clicks; see `obeyed`.

    Args:
        fine: float32 [B, hm, wm] logits.
        coarse: float32 [B, h4, w4], the same for memory.
        clicks: Per row, in source pixels.
        encoded: The picture.
        spec: The model's; ``edge_radius`` and ``click_tolerance_px`` are among its thresholds.

    Returns:
        New arrays like ``fine`` and ``coarse``.
    """
    fine, coarse = fine.copy(), coarse.copy()
    radius, tolerance = int(spec.thresholds["edge_radius"]), spec.thresholds["click_tolerance_px"]
    for row, own in enumerate(clicks):
        better = obeyed(fine[row], own, encoded, spec.mask_stride, radius, tolerance) if own else None
        if better is not None:
            fine[row], coarse[row] = better, cv2.resize(better, coarse.shape[:0:-1], interpolation=cv2.INTER_AREA)
    return fine, coarse


def obeyed(
    logits: np.ndarray, clicks: Sequence[Click], encoded: EncodedFrame, stride: int, radius: int, tolerance_px: float
) -> np.ndarray | None:
    """One mask that agrees with the user's clicks.

    Args:
        logits: float32 [hm, wm] at ``stride`` of the network input.
        clicks: In source pixels.
        encoded: The picture.
        stride: Network pixels per cell.
        radius: See `edges.enlarge_along_edges`.
        tolerance_px: How far a click may lie on the wrong side of the mask's border, network pixels.

    Returns:
        New logits float32 [hm, wm], or None where the mask agrees or nothing better was found.
    """
    content = encoded.geometry.content_hw
    flat = Geometry(content, encoded.geometry.network_hw, content)
    patch = enlarge_along_edges(logits, flat, stride, encoded.network_rgb, encoded.network_rgb, radius)
    if patch is None:
        return None
    mask = np.zeros(content, np.uint8)
    mask[patch.window] = patch.logits > 0
    places = np.floor(encoded.geometry.to_network(np.array([(click.x, click.y) for click in clicks]))).astype(int)
    places = np.clip(places, 0, (content[1] - 1, content[0] - 1))
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    inside = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    wrong = [(inside if click.negative else outside)[y, x] for click, (x, y) in zip(clicks, places, strict=True)]
    if max(wrong) <= tolerance_px or all(click.negative for click in clicks):
        return None
    said = np.where(mask > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    for click, (x, y) in zip(clicks, places, strict=True):
        mask[y, x] |= not click.negative
    said[cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3) > _FAR_PX] = cv2.GC_BGD
    for click, (x, y) in zip(clicks, places, strict=True):
        cv2.circle(said, (int(x), int(y)), _CERTAIN_PX, cv2.GC_BGD if click.negative else cv2.GC_FGD, -1)
    found = _divided(encoded.network_rgb[: content[0], : content[1]], said)
    _, parts = cv2.connectedComponents(found)
    kept = {parts[y, x] for click, (x, y) in zip(clicks, places, strict=True) if not click.negative} - {0}
    if not kept:
        return None
    whole = np.full(encoded.geometry.network_hw, -_LOGIT, np.float32)
    whole[: content[0], : content[1]][np.isin(parts, list(kept))] = _LOGIT
    return cv2.resize(whole, logits.shape[::-1], interpolation=cv2.INTER_AREA)


def _divided(rgb: np.ndarray, said: np.ndarray) -> np.ndarray:
    """GrabCut around what may be the object: rgb uint8 [h, w, 3] and GC_* uint8 [h, w] to uint8 [h, w], 1 = object."""
    rows, columns = np.nonzero(said != cv2.GC_BGD)
    y0, x0 = max(int(rows.min()) - _MARGIN_PX, 0), max(int(columns.min()) - _MARGIN_PX, 0)
    window = slice(y0, int(rows.max()) + _MARGIN_PX + 1), slice(x0, int(columns.max()) + _MARGIN_PX + 1)
    picture, labels = np.ascontiguousarray(rgb[window]), np.ascontiguousarray(said[window])
    size = labels.shape[::-1]
    shrink = min(1.0, _LONGEST_SIDE_PX / max(size))
    if shrink < 1:
        small = max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        labels = cv2.resize(labels, small, interpolation=cv2.INTER_NEAREST)
    model = np.zeros((1, 65)), np.zeros((1, 65))
    found = np.zeros(said.shape, np.uint8)
    if np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).any() and np.isin(labels, (cv2.GC_BGD, cv2.GC_PR_BGD)).any():
        cv2.grabCut(picture, labels, None, *model, _ROUNDS, cv2.GC_INIT_WITH_MASK)
        objects = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
        found[window] = cv2.resize(objects, size, interpolation=cv2.INTER_NEAREST)
    return found
