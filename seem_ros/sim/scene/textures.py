# SPDX-License-Identifier: Apache-2.0
"""Procedural pictures for surfaces: wood, noise, tiles and plain for the room, four patterns for the objects."""

from __future__ import annotations

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.vocabulary import COLOUR_RGB, PATTERNS

_SIDE_PX = 64


def _noise(rng: np.random.Generator, height: int, width: int, cells_y: int, cells_x: int) -> np.ndarray:
    """Smooth noise in 0..1 that tiles: float32 [height, width]."""
    coarse = rng.random((cells_y, cells_x), dtype=np.float32)
    padded = np.pad(coarse, 2, mode="wrap")
    scale_y, scale_x = height / cells_y, width / cells_x
    big = cv2.resize(
        padded, (round((cells_x + 4) * scale_x), round((cells_y + 4) * scale_y)), interpolation=cv2.INTER_CUBIC
    )
    top, left = round(2 * scale_y), round(2 * scale_x)
    return np.clip(big[top : top + height, left : left + width], 0, 1)


def _to_bytes(rgb: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.clip(rgb * 255, 0, 255).astype(np.uint8))


def surface(kind: str, rng: np.random.Generator, base_rgb: np.ndarray, side_px: int = 192) -> np.ndarray:
    """Paints a room surface.

    Args:
        kind: "plain", "noise", "wood", "tiles" or "speckle".
        rng: source of the details.
        base_rgb: float [3] in 0..1.
        side_px: width and height of the square result.

    Returns:
        uint8 [side, side, 3] RGB that tiles.

    Raises:
        DataError: unknown kind.
    """
    base = np.asarray(base_rgb, np.float32)
    n = side_px
    shade: np.ndarray
    if kind == "plain":
        shade = np.ones((n, n), np.float32) + 0.02 * (_noise(rng, n, n, 6, 6) - 0.5)
    elif kind == "noise":
        shade = 1 + rng.uniform(0.15, 0.5) * (0.6 * _noise(rng, n, n, 5, 5) + 0.4 * _noise(rng, n, n, 24, 24) - 0.5)
    elif kind == "wood":
        grain = 0.55 * _noise(rng, n, n, 48, 2) + 0.3 * _noise(rng, n, n, 20, 3) + 0.15 * _noise(rng, n, n, 96, 6)
        shade = 1 + rng.uniform(0.3, 0.7) * (grain - 0.5)
        planks = int(rng.integers(1, 5))
        shade *= np.repeat(rng.uniform(0.85, 1.1, planks), -(-n // planks))[:n, None].astype(np.float32)
    elif kind == "tiles":
        count = int(rng.integers(2, 6))
        cell = np.arange(n) * count // n
        joint = (np.arange(n) * count) % n < count * 1.6
        shade = rng.uniform(0.82, 1.08, (count, count)).astype(np.float32)[cell][:, cell]
        shade[joint] *= 0.7
        shade[:, joint] *= 0.7
    elif kind == "speckle":
        shade = np.ones((n, n), np.float32)
        dots = rng.random((n, n)) < 0.06
        shade[dots] *= rng.uniform(0.5, 1.3, int(dots.sum())).astype(np.float32)
    else:
        raise DataError(f"unknown surface {kind!r}; allowed are plain, noise, wood, tiles, speckle")
    return _to_bytes(base * shade[..., None])


def pattern(name: str, colour: str, rng: np.random.Generator) -> np.ndarray:
    """Paints one repeat of an object's pattern: mostly the colour, with a darker or paler second tone.

    Args:
        name: one of `PATTERNS` except "plain".
        colour: one of `COLOURS`.
        rng: source of tone and proportions.

    Returns:
        uint8 [64, 64, 3] RGB that tiles.

    Raises:
        DataError: unknown pattern or colour.
    """
    if name not in PATTERNS or name == "plain":
        raise DataError(f"unknown pattern {name!r}; allowed are {', '.join(PATTERNS[1:])}")
    if colour not in COLOUR_RGB:
        raise DataError(f"unknown colour {colour!r}; allowed are {', '.join(COLOUR_RGB)}")
    main = np.array(COLOUR_RGB[colour], np.float32)
    if colour in ("black", "brown"):
        second = main + rng.uniform(0.28, 0.4)
    elif colour == "white":
        second = main * rng.uniform(0.55, 0.7)
    elif rng.random() < 0.5:
        second = main * rng.uniform(0.35, 0.55)
    else:
        second = main + (1 - main) * rng.uniform(0.75, 1.0)
    n = _SIDE_PX
    y, x = np.mgrid[:n, :n] / n
    if name == "striped":
        across = (y, x, (x + y) % 1)[int(rng.integers(3))]
        where = across < rng.uniform(0.25, 0.4)
    elif name == "checkered":
        where = (x < 0.5) ^ (y < 0.5)
        second = 0.6 * second + 0.4 * main
    else:
        radius = rng.uniform(0.16, 0.22)
        where = np.zeros((n, n), bool)
        for cy, cx in ((0.25, 0.25), (0.75, 0.75)):
            where |= (x - cx) ** 2 + (y - cy) ** 2 < radius**2
    return _to_bytes(np.where(where[..., None], second, main))
