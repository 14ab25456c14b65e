# SPDX-License-Identifier: Apache-2.0
"""The two views of a scene that a training step sees: a window of each frame, moved, turned and lit differently."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from seem_ros.datasets.scenes.scene import IGNORE, Clip
from seem_ros.errors import DataError


@dataclass(frozen=True)
class ViewConfig:
    """How the views are drawn. Defaults: a prototype's on photographs, measured by what it reached.

    Attributes:
        whole_share: part of the clips fitted whole, as the product sees pictures; the rest is a window.
        most_zoom: a window shows at least 1 / most_zoom of the side that the network's input would cover.
        aim_share: part of the windows that are centred on a labelled pixel.
        move: how far the second view of a still is moved, as a share of its size (standard deviation).
        scale: how much larger or smaller it is (standard deviation of the logarithm).
        turn_deg: by how much it is turned (standard deviation).
        real_share: share of the three that the second frame of a real pair gets, which differs already.
    """

    whole_share: float = 0.25
    most_zoom: float = 2.2
    aim_share: float = 0.7
    move: float = 0.06
    scale: float = 0.12
    turn_deg: float = 6.0
    real_share: float = 0.3

    def __post_init__(self) -> None:
        for name in ("whole_share", "aim_share", "real_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} lies in 0..1, got {getattr(self, name)}")
        if self.most_zoom < 1 or min(self.move, self.scale, self.turn_deg) < 0:
            raise DataError("most_zoom is at least 1, and move, scale and turn_deg at least 0")


def two_views(clip: Clip, rng: np.random.Generator, height: int, width: int, config: ViewConfig | None = None) -> Clip:
    """Cuts a clip to the network's size.

    Args:
        clip: any size.
        rng: draws windows, movement and light.
        height, width: of the result.
        config: how.

    Returns:
        A clip [2, height, width]; what lies outside the picture is black and unlabelled.
    """
    config = config or ViewConfig()
    tall, wide = clip.ids.shape[1:]
    whole = rng.random() < config.whole_share
    if whole:
        scale, (x, y) = min(width / wide, height / tall), (wide / 2, tall / 2)
    else:
        scale = max(width / wide, height / tall) * float(np.exp(rng.uniform(0, np.log(config.most_zoom))))
        x, y = _aim(clip.ids[0], rng, config)
    flip, turn = rng.random() < 0.5, rng.normal(0, 4)
    x, y = _inside((x, y), (wide, tall), (width, height), scale)
    rgb, ids = np.empty((2, height, width, 3), np.uint8), np.empty((2, height, width), np.uint8)
    share = 1.0 if clip.still else config.real_share
    for frame in range(2):
        if frame:
            scale *= float(np.exp(rng.normal(0, config.scale * share)))
            turn += rng.normal(0, config.turn_deg * share)
            x += rng.normal(0, config.move * share) * wide
            y += rng.normal(0, config.move * share) * tall
            x, y = _inside((x, y), (wide, tall), (width, height), scale)
        matrix: np.ndarray = cv2.getRotationMatrix2D((x, y), turn, scale)
        matrix[:, 2] += (width / 2 - x, height / 2 - y)
        if flip:
            matrix = np.array([[-1.0, 0, width], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
        picture, small = clip.rgb[frame], matrix
        if scale < 0.5:  # warping has no area filter: thin things would break up
            shrink = 2 * scale
            size = (max(1, round(wide * shrink)), max(1, round(tall * shrink)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            small = matrix @ np.diag([wide / size[0], tall / size[1], 1.0])
        light = disturb(cv2.warpAffine(picture, small, (width, height), flags=cv2.INTER_LINEAR), rng)
        rgb[frame] = light
        ids[frame] = cv2.warpAffine(clip.ids[frame], matrix, (width, height), flags=cv2.INTER_NEAREST)
    return replace(clip, rgb=rgb, ids=ids)


def _aim(ids: np.ndarray, rng: np.random.Generator, config: ViewConfig) -> tuple[float, float]:
    """Where to look: at a labelled pixel, every object as likely as the next, or somewhere near the middle."""
    tall, wide = ids.shape
    values = np.flatnonzero(np.bincount(ids.ravel(), minlength=256)[1:IGNORE]) + 1
    if len(values) and rng.random() < config.aim_share:
        ys, xs = np.nonzero(ids == values[int(rng.integers(len(values)))])
        pick = int(rng.integers(len(xs)))
        x, y = float(xs[pick]), float(ys[pick])
        return x + rng.normal(0, 0.08) * wide, y + rng.normal(0, 0.08) * tall
    return wide / 2 + rng.normal(0, 0.1) * wide, tall / 2 + rng.normal(0, 0.1) * tall


def _inside(
    middle_xy: tuple[float, float], size_wh: tuple[int, int], view_wh: tuple[int, int], scale: float
) -> tuple[float, float]:
    """Keeps a window inside the picture where it fits; unclamped, half of every view would be black."""
    place = []
    for middle, size, view in zip(middle_xy, size_wh, view_wh, strict=True):
        half = view / 2 / scale
        place.append(float(np.clip(middle, half, size - half)) if size > 2 * half else size / 2)
    return place[0], place[1]


def disturb(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, contrast, a little tint, noise and blur, mild enough that a red mug stays red.

    Args:
        picture: uint8 [H, W, 3].
        rng: draws the change; a fifth of the pictures stays as it is.
    """
    if rng.random() < 0.2:
        return picture
    table = np.arange(256, dtype=np.float32)[:, None] / 255
    table = table ** rng.uniform(0.8, 1.25) * rng.uniform(0.8, 1.2) * rng.uniform(0.95, 1.05, 3).astype(np.float32)
    table = (np.clip((table - 0.5) * rng.uniform(0.85, 1.15) + 0.5, 0, 1) * 255).astype(np.uint8)
    out = cv2.LUT(picture, table[None].transpose(1, 0, 2).copy().reshape(256, 1, 3))
    kind = rng.random()
    if kind < 0.15:
        return cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.1))
    if kind < 0.45:
        noise = rng.standard_normal(out.shape, dtype=np.float32) * rng.uniform(2, 9)
        return np.clip(out + noise, 0, 255).astype(np.uint8)
    return out
