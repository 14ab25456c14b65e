# SPDX-License-Identifier: Apache-2.0
"""Training clips: two frames of one scene with instance ids, from rendered shards, cropped and disturbed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seem_ros.errors import DataError


@dataclass(frozen=True)
class Thing:
    """One instance of a clip: what it is called. `shape` is the name of stuff, and None for cut-outs without a name."""

    id: int
    shape: str | None
    colour: str | None = None
    size: str | None = None
    pattern: str | None = None
    isthing: bool = True


@dataclass(frozen=True)
class Clip:
    """Two frames: rgb [2, H, W, 3] uint8, ids [2, H, W] uint8 (0 = unlabeled), and the instances."""

    rgb: np.ndarray
    ids: np.ndarray
    things: tuple[Thing, ...]


class Shards:
    """Reads `shard_*.json` + `.npy` folders; shards that appear later are found by `refresh`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._open: dict[str, tuple[np.ndarray, np.ndarray, list[dict]]] = {}
        self._index: list[tuple[str, int]] = []
        self.header: dict = {}
        self.refresh()
        if not self._index:
            raise DataError(f"{self.folder} holds no shard; make some with python -m seem_ros.sim.dataset")

    def __len__(self) -> int:
        return len(self._index)

    def refresh(self) -> None:
        """Opens shards that have appeared since."""
        for path in sorted(self.folder.glob("shard_*.json")):
            if path.stem in self._open:
                continue
            header = json.loads(path.read_text())
            clips = header["clips"]
            self.header = {k: v for k, v in header.items() if k != "clips"}
            rgb = np.load(path.with_suffix(".rgb.npy"), mmap_mode="r")
            ids = np.load(path.with_suffix(".ids.npy"), mmap_mode="r")
            if not len(rgb) == len(ids) == len(clips):
                raise DataError(f"{path}: {len(clips)} clips but {len(rgb)} pictures and {len(ids)} id maps")
            self._open[path.stem] = (rgb, ids, clips)
            self._index += [(path.stem, i) for i in range(len(clips))]

    def clip(self, index: int, frames: tuple[int, int]) -> Clip:
        """Returns two frames of a clip, whole."""
        name, i = self._index[index]
        rgb, ids, clips = self._open[name]
        things = tuple(
            Thing(
                t["id"], t["shape"] if t["isthing"] else t["name"], t["colour"], t["size"], t["pattern"], t["isthing"]
            )
            for t in clips[i]["instances"]
        )
        return Clip(np.stack([rgb[i, f] for f in frames]), np.stack([ids[i, f] for f in frames]), things)

    @property
    def frames(self) -> int:
        """Frames per clip."""
        return next(iter(self._open.values()))[0].shape[1]


def crop(clip: Clip, rng: np.random.Generator, height: int, width: int, whole: bool) -> Clip:
    """Cuts both frames alike to height x width: the whole picture zero-padded, or a random window scaled."""
    h, w = clip.ids.shape[1:]
    if whole:
        scale = min(height / h, width / w, 1.0)
        window = (0, 0, w, h)
        out_w, out_h = round(w * scale), round(h * scale)
    else:
        part = rng.uniform(0.55, 1.0)
        cw, ch = round(w * part), round(min(h, w * part * height / width))
        x, y = int(rng.integers(0, w - cw + 1)), int(rng.integers(0, h - ch + 1))
        window, out_w, out_h = (x, y, cw, ch), width, height
    x, y, cw, ch = window
    rgb = np.zeros((2, height, width, 3), np.uint8)
    ids = np.zeros((2, height, width), np.uint8)
    flip = rng.random() < 0.5
    for f in range(2):
        picture, label = clip.rgb[f, y : y + ch, x : x + cw], clip.ids[f, y : y + ch, x : x + cw]
        if flip:
            picture, label = picture[:, ::-1], label[:, ::-1]
        picture, label = np.ascontiguousarray(picture), np.ascontiguousarray(label)
        if (ch, cw) != (out_h, out_w):
            picture = cv2.resize(picture, (out_w, out_h), interpolation=cv2.INTER_LINEAR)
            label = cv2.resize(label, (out_w, out_h), interpolation=cv2.INTER_NEAREST)
        rgb[f, :out_h, :out_w], ids[f, :out_h, :out_w] = disturb(picture, rng), label
    return Clip(rgb, ids, clip.things)


def disturb(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, contrast, a little tint, noise and blur, mild enough that a red mug stays red."""
    if rng.random() < 0.2:
        return picture
    table = np.arange(256, dtype=np.float32)[:, None] / 255
    table = table ** rng.uniform(0.8, 1.25) * rng.uniform(0.8, 1.2) * rng.uniform(0.95, 1.05, 3).astype(np.float32)
    table = (np.clip((table - 0.5) * rng.uniform(0.85, 1.15) + 0.5, 0, 1) * 255).astype(np.uint8)
    out = cv2.LUT(picture, table[None].transpose(1, 0, 2).copy().reshape(256, 1, 3))
    kind = rng.random()
    if kind < 0.15:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.1))
    elif kind < 0.45:
        noise = rng.standard_normal(out.shape, dtype=np.float32) * rng.uniform(2, 9)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    return out
