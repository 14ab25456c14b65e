# SPDX-License-Identifier: Apache-2.0
"""Masks from the model's grid to the source picture's pixels, along its edges where the model wants that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from seem_ros.perception.masks.guided_filter import enlarge_along_edges
from seem_ros.perception.masks.upsample import Patch, enlarge, shrinking
from seem_ros.perception.structures.encoded_frame import EncodedFrame


def enlarge_all(
    encoded: EncodedFrame,
    masks: Sequence[np.ndarray | None],
    stride: int,
    edge_radius: int,
    pauses: Callable[[], None],
) -> list[Patch | None]:
    """Masks, each as for `enlarge_mask`, for `paint`.

    Of large pictures, and of very many masks, at a part of the source's resolution, so that a call stays short.
    """
    shrink = shrinking(masks, encoded.geometry, stride)
    patches = []
    for logits in masks:
        pauses()
        patches.append(None if logits is None else enlarge_mask(encoded, logits, stride, edge_radius, shrink))
    return patches


def enlarge_mask(
    encoded: EncodedFrame, logits: np.ndarray, stride: int, edge_radius: int, shrink: int = 1
) -> Patch | None:
    """One mask at source resolution.

    Args:
        encoded: The picture.
        logits: float32 [hm, wm].
        stride: The model's mask stride, pixels of the network's picture.
        edge_radius: Of the filter that follows the picture's edges; 0 = none.
        shrink: Make it at so many times less than the source's resolution, see `Patch.scale`.
    """
    geometry, source_rgb = encoded.shrunk(shrink)
    if not edge_radius:
        patch = enlarge(logits, geometry, stride)
    else:
        patch = enlarge_along_edges(logits, geometry, stride, encoded.network_rgb, source_rgb, edge_radius)
    return patch if patch is None or shrink == 1 else replace(patch, scale=shrink)
