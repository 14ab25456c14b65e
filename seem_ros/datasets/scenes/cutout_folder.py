# SPDX-License-Identifier: Apache-2.0
"""Clips composited from RGBA cut-outs over textures, so that clicks and boxes carry over to things never simulated.

The folder holds `cutouts*/**/*.png` (RGBA) and `textures*/**/*.{jpg,png}`. Cut-outs carry no name here: their words
would be seen too rarely to be learned, and a word that was not learned must not count as known.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from seem_ros.datasets.pictures import require_folder
from seem_ros.datasets.scenes.scene import Clip, Thing
from seem_ros.errors import DataError

#: Size of the composited pictures, that of the simulated camera.
HEIGHT_PX, WIDTH_PX = 240, 320


class CutoutFolder:
    """Makes two-frame clips of moving cut-outs.

    Args:
        folder: holds cut-outs and textures.

    Raises:
        DataError: one of the two is missing.
    """

    names: frozenset[str] = frozenset()
    weights = None

    def __init__(self, folder: str | Path) -> None:
        folder = require_folder(folder, "cut-outs")
        self.name = folder.resolve().name
        self.cutouts = sorted(p for d in folder.glob("cutouts*") for p in d.rglob("*.png"))
        self.textures = sorted(
            p for d in folder.glob("textures*") for p in d.rglob("*") if p.suffix in (".jpg", ".png")
        )
        if not self.cutouts or not self.textures:
            raise DataError(
                f"{folder}: needs cutouts*/*.png and textures*/*.jpg, found "
                f"{len(self.cutouts)} cut-outs and {len(self.textures)} textures"
            )
        self._cache: dict[Path, np.ndarray] = {}

    def __len__(self) -> int:
        """Number of cut-outs: a set of four times the cut-outs counts four times in a mix by size."""
        return len(self.cutouts)

    def draw(self, index: int, rng: np.random.Generator) -> Clip:
        """A clip that shows the cut-out `index` among others; see `SceneSource.draw`."""
        return self.clip(rng, HEIGHT_PX, WIDTH_PX, first=index)

    def check(self) -> None:
        """Reads everything once; see `SceneSource.check`."""
        for path in (*self.cutouts, *self.textures):
            picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if picture is None:
                raise DataError(f"{path} is not a picture")
            if path in self.cutouts[:1] and (picture.ndim != 3 or picture.shape[2] != 4):
                raise DataError(f"{path} is no cut-out: it has no transparency")

    def read(self, path: Path) -> np.ndarray:
        """One cut-out, uint8 RGBA, or texture, RGB."""
        if path not in self._cache:
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if image is None:
                raise DataError(f"{path} is not a picture")
            image = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
            order = (2, 1, 0, 3) if image.shape[2] == 4 else (2, 1, 0)
            self._cache[path] = np.ascontiguousarray(image[..., order])
        return self._cache[path]

    def _background(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        out = np.empty((height, width, 3), np.uint8)
        horizon = int(height * rng.uniform(0.0, 0.6))
        for top, bottom in ((0, horizon), (horizon, height)):
            if bottom > top:
                texture = self.read(self.textures[rng.integers(len(self.textures))])[..., :3]
                scale = rng.uniform(0.8, 3.0)
                texture = cv2.resize(
                    texture, None, fx=scale * 128 / texture.shape[1], fy=scale * 128 / texture.shape[0]
                )
                reps = (-(-(bottom - top) // texture.shape[0]), -(-width // texture.shape[1]), 1)
                out[top:bottom] = np.tile(texture, reps)[: bottom - top, :width]
        return out

    def clip(
        self, rng: np.random.Generator, height: int = HEIGHT_PX, width: int = WIDTH_PX, first: int | None = None
    ) -> Clip:
        """Returns a clip of 3 to 9 cut-outs that move, turn and grow a little between the two frames.

        Args:
            rng: draws everything.
            height, width: size of the frames.
            first: index of a cut-out that is among them; None draws it.
        """
        count = int(rng.integers(3, 10))
        background = self._background(rng, height, width)
        rgb = np.stack([background, np.roll(background, rng.integers(-6, 7, 2), (0, 1))])
        ids = np.zeros((2, height, width), np.uint8)
        for i in range(1, count + 1):
            drawn = int(rng.integers(len(self.cutouts)))
            cutout = self.read(self.cutouts[first if i == count and first is not None else drawn])
            if cutout.shape[2] != 4:
                continue
            size, angle = rng.uniform(20, 110), rng.uniform(-40, 40)
            x, y = rng.uniform(0, width), rng.uniform(0.1 * height, height)
            gain = rng.uniform(0.7, 1.2)
            for f in range(2):
                if f:
                    x, y = x + rng.normal(0, 14), y + rng.normal(0, 10)
                    angle, size = angle + rng.normal(0, 8), size * rng.uniform(0.9, 1.1)
                matrix = cv2.getRotationMatrix2D(
                    (cutout.shape[1] / 2, cutout.shape[0] / 2), angle, size / cutout.shape[1]
                )
                matrix[:, 2] += (x - cutout.shape[1] / 2, y - cutout.shape[0] / 2)
                layer = cv2.warpAffine(cutout, matrix, (width, height), flags=cv2.INTER_AREA)
                alpha = layer[..., 3:].astype(np.float32) / 255
                rgb[f] = (rgb[f] * (1 - alpha) + np.clip(layer[..., :3] * gain, 0, 255) * alpha).astype(np.uint8)
                ids[f][layer[..., 3] > 127] = i
        things = tuple(Thing(i, None) for i in range(1, count + 1))
        return Clip(rgb, ids, things, exhaustive_for=frozenset())
