# SPDX-License-Identifier: Apache-2.0
"""How alike two things in two pictures look: by what the network reads in them, by colour, and by form."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from seem_ros.perception.prompting import rasterize
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.runtime.interface import Backend, PromptBatch

_FORM_PX = 32
_FORM_REACH = (
    1.3  # half the side of a form's picture in square roots of the area: a thing four times as long as wide fits
)
_LIGHTNESS_BINS, _COLOUR_BINS = 6, 12
_COLOUR_RANGE = (20, 236)  # a and b of 8-bit Lab reach no further for colours of a screen


@dataclass(frozen=True, eq=False)
class Appearance:
    """What a thing looks like in one picture.

    Attributes:
        tokens: float32 [N, C], the finest level's tokens at points inside, each of length 1.
        colours: float32 [6 * 12 * 12], share of its pixels by Lab colour, smoothed.
        forms: float32 [2, 32 * 32], its outline in 0..1, scaled to one area and turned to its longer axis, both ways.
    """

    tokens: np.ndarray
    colours: np.ndarray
    forms: np.ndarray

    def likeness(self, other: Appearance) -> tuple[float, float, float]:
        """How alike tokens, colours and forms are, each about 0..1."""
        if not len(self.tokens) or not len(other.tokens):
            return 0.0, 0.0, 0.0
        cosines = self.tokens @ other.tokens.T
        tokens = (float(cosines.max(axis=0).mean()) + float(cosines.max(axis=1).mean())) / 2
        colours = float(np.minimum(self.colours, other.colours).sum())
        both, either = np.minimum(self.forms[0], other.forms), np.maximum(self.forms[0], other.forms)
        return tokens, colours, float((both.sum(axis=1) / either.sum(axis=1)).max())


def read_appearances(encoded: EncodedFrame, masks: list[np.ndarray], backend: Backend) -> list[Appearance]:
    """What things in a picture look like, all read in one decode.

    Args:
        encoded: The picture.
        masks: bool [h, w] of the network picture's content, not empty.
        backend: Of the picture's features.
    """
    if not masks:
        return []
    spec = backend.spec
    batch = PromptBatch.empty(spec, len(masks))
    nothing = np.zeros(encoded.geometry.content_hw, np.bool_)
    counts = []
    for row, mask in enumerate(masks):
        points, labels = rasterize.sample_points(mask, nothing, encoded.geometry.network_hw, spec.max_points)
        batch.points_xy[row, : len(points)] = points
        batch.points_label[row, : len(labels)] = labels
        counts.append(len(labels))
    read = backend.decode(encoded.features, batch).sampled_tokens
    height, width = encoded.geometry.content_hw
    lab = cv2.cvtColor(np.ascontiguousarray(encoded.network_rgb[:height, :width]), cv2.COLOR_RGB2LAB)
    return [
        Appearance(_unit(read[row, :count, -1]), _colours(lab, mask), _forms(mask))
        for row, (mask, count) in enumerate(zip(masks, counts, strict=True))
    ]


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9)).astype(np.float32)


def _colours(lab: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels at the outline are mixed with what is behind, so they are left out where others remain."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).view(np.bool_)
    pixels = lab[inner if inner.any() else mask]
    ranges = [(0, 256), _COLOUR_RANGE, _COLOUR_RANGE]
    shares, _ = np.histogramdd(pixels, bins=[_LIGHTNESS_BINS, _COLOUR_BINS, _COLOUR_BINS], range=ranges)
    for axis in range(3):  # a colour at a bin's border must not jump
        ahead, behind = np.roll(shares, 1, axis), np.roll(shares, -1, axis)
        shares = 0.5 * shares + 0.25 * ahead + 0.25 * behind
    return (shares / max(shares.sum(), 1e-9)).astype(np.float32).ravel()


def _forms(mask: np.ndarray) -> np.ndarray:
    """Of the largest part: a few strays far away would move the middle and shrink the rest to nothing."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    if count > 2:
        mask = parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    rows, columns = np.nonzero(mask)
    centre = np.array([columns.mean(), rows.mean()])
    x, y = columns - centre[0], rows - centre[1]
    turn = 0.5 * np.arctan2(2 * (x * y).mean(), (x * x).mean() - (y * y).mean())
    scale = _FORM_PX / (2 * _FORM_REACH * np.sqrt(len(rows)))
    forms = []
    for angle in (turn, turn + np.pi):
        rotation = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        shift = np.full(2, _FORM_PX / 2) - rotation @ centre
        placed = np.concatenate([rotation, shift[:, None]], axis=1)
        drawn = cv2.warpAffine(mask.astype(np.uint8) * 255, placed, (_FORM_PX, _FORM_PX), flags=cv2.INTER_LINEAR)
        forms.append(drawn.ravel() / np.float32(255))
    return np.stack(forms)
