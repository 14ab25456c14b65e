# SPDX-License-Identifier: Apache-2.0
"""Copy-paste: objects of one picture put into another, each a new thing with its name, hiding what lies behind.

What is pasted moves between the two frames by itself: real occlusion, which a still has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from seem_ros.datasets.scenes.picture import LabeledPicture
from seem_ros.datasets.scenes.scene import MAX_OBJECTS, Clip, Thing
from seem_ros.errors import DataError

#: Share of its picture that an object worth copying covers: less is a blur when enlarged, more has no outline.
_LEAST_SHARE, _MOST_SHARE = 0.008, 0.35
#: Pixels at the border of a cut-out that carry the old background; they are made transparent.
_SHAVED_PX = 1


@dataclass(frozen=True, eq=False)
class Cutout:
    """One object without its surroundings: rgba uint8 [h, w, 4], and what it is called."""

    rgba: np.ndarray
    name: str | None


def cut_out(picture: LabeledPicture, thing: Thing) -> Cutout | None:
    """Takes an object out of its picture; None where it is cut off by the picture's edge, too small or too large."""
    mask = picture.ids == thing.id
    ys, xs = np.nonzero(mask)
    tall, wide = mask.shape
    if not len(xs) or not _LEAST_SHARE <= len(xs) / mask.size <= _MOST_SHARE:
        return None
    if xs.min() == 0 or ys.min() == 0 or xs.max() == wide - 1 or ys.max() == tall - 1:
        return None
    window = slice(ys.min() - 1, ys.max() + 2), slice(xs.min() - 1, xs.max() + 2)
    alpha = cv2.erode(mask[window].astype(np.uint8) * 255, np.ones((3, 3), np.uint8), iterations=_SHAVED_PX)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.7)
    return Cutout(np.dstack([picture.rgb[window], alpha]), thing.shape)


def collect(pictures: Iterable[LabeledPicture], most: int, names: frozenset[str] | None = None) -> tuple[Cutout, ...]:
    """Takes objects out of pictures until there are enough.

    Args:
        pictures: where from, in the order to go through.
        most: number of cut-outs.
        names: class names that may be taken; None takes all.
    """
    found: list[Cutout] = []
    for picture in pictures:
        for thing in picture.things:
            if names is None or thing.shape in names:
                cutout = cut_out(picture, thing)
                if cutout is not None:
                    found.append(cutout)
        if len(found) >= most:
            break
    return tuple(found[:most])


@dataclass(frozen=True)
class PasteConfig:
    """How objects are pasted.

    Attributes:
        share: part of the clips that get any.
        most: number of objects in one clip at most.
        least_size, most_size: longer side of a pasted object as a share of the picture's shorter side.
        pile_share: part of these clips in which the objects are put onto one place, touching and half hidden.
    """

    share: float = 0.35
    most: int = 6
    least_size: float = 0.12
    most_size: float = 0.6
    pile_share: float = 0.4

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.pile_share <= 1 and self.most >= 1):
            raise DataError("share and pile_share lie in 0..1, most is at least 1")
        if not 0 < self.least_size <= self.most_size <= 1:
            raise DataError(f"sizes satisfy 0 < least_size <= most_size <= 1, got {self.least_size}, {self.most_size}")


def paste(clip: Clip, cutouts: Sequence[Cutout], rng: np.random.Generator, config: PasteConfig | None = None) -> Clip:
    """Puts cut-outs into both frames of a clip, now and then.

    Args:
        clip: where to; it is not changed.
        cutouts: what to choose from.
        rng: draws everything.
        config: how often and how many.

    Returns:
        The clip with further things; a group keeps its name and parts.
    """
    config = config or PasteConfig()
    free = [value for value in range(1, MAX_OBJECTS + 1) if value not in {thing.id for thing in clip.things}]
    if not cutouts or not free or rng.random() >= config.share:
        return clip
    rgb, ids, things = clip.rgb.copy(), clip.ids.copy(), list(clip.things)
    tall, wide = ids.shape[1:]
    pile = rng.random() < config.pile_share
    centre = rng.uniform([0.25 * wide, 0.25 * tall], [0.75 * wide, 0.75 * tall])
    side = float(np.exp(rng.uniform(np.log(config.least_size), np.log(config.most_size)))) * min(tall, wide)
    for value in free[: int(rng.integers(1, config.most + 1))]:
        cutout = cutouts[int(rng.integers(len(cutouts)))]
        if pile:
            place, size = centre + rng.normal(0, 0.55 * side, 2), side * rng.uniform(0.7, 1.3)
        else:
            place = rng.uniform([0, 0], [wide, tall])
            size = rng.uniform(config.least_size, config.most_size) * min(tall, wide)
        angle, gain, flip = rng.normal(0, 60 if pile else 15), rng.uniform(0.75, 1.2), rng.random() < 0.5
        for frame in range(2):
            if frame:
                place = place + rng.normal(0, 0.05, 2) * (wide, tall)
                angle, size = angle + rng.normal(0, 8), size * float(np.exp(rng.normal(0, 0.08)))
            _put(rgb[frame], ids[frame], value, cutout.rgba, place, size, angle, gain, flip)
        things.append(Thing(value, cutout.name))
    return replace(clip, rgb=rgb, ids=ids, things=tuple(things))


def _put(
    rgb: np.ndarray,
    ids: np.ndarray,
    value: int,
    rgba: np.ndarray,
    middle_xy: np.ndarray,
    size_px: float,
    angle_deg: float,
    gain: float,
    flip: bool,
) -> None:
    """Draws one cut-out into a frame, in place."""
    tall, wide = rgba.shape[:2]
    scale = size_px / max(tall, wide)
    if scale < 0.5:
        rgba = cv2.resize(rgba, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        tall, wide = rgba.shape[:2]
        scale = 0.5
    matrix = cv2.getRotationMatrix2D((wide / 2, tall / 2), angle_deg, scale)
    matrix[:, 2] += middle_xy - np.array([wide / 2, tall / 2])
    source = rgba[:, ::-1] if flip else rgba
    layer = cv2.warpAffine(np.ascontiguousarray(source), matrix, ids.shape[::-1], flags=cv2.INTER_LINEAR)
    alpha = layer[..., 3:].astype(np.float32) / 255
    rgb[:] = (rgb * (1 - alpha) + np.clip(layer[..., :3] * gain, 0, 255) * alpha).astype(np.uint8)
    ids[layer[..., 3] > 127] = value
