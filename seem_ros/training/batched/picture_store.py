# SPDX-License-Identifier: Apache-2.0
"""Packed training pictures: kept decoded in a GPU's memory, or decoded when asked for on a CPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from seem_ros.errors import DataError

CANVAS = 448  # longest side of a stored picture, pixels: twice what a crop needs at the network's size
LARGEST_BASE_ID = 199  # ids above are for things pasted over a picture; `IGNORED` is neither thing nor background
IGNORED = 255
_CHUNK = 256  # pictures decoded between two copies to the device: 200 MB


@dataclass(frozen=True)
class NamedObject:
    """What is known of one object: its name, and for simulated things colour, size word and pattern."""

    name: str | None
    colour: str | None = None
    size: str | None = None
    pattern: str | None = None
    isthing: bool = True
    simulated: bool = False


@dataclass
class StoredPicture:
    """One picture's record.

    Attributes:
        source: where it is from.
        hw: height and width, pixels.
        exhaustive: every thing of the source's classes is labelled.
        objects: id -> what it is.
        groups: (name, ids) of things made of several objects; group k has id k + 1.
        clip: pictures of one clip show the same scene with the same ids.
        partners: indices of the other pictures of the clip.
    """

    source: str
    hw: tuple[int, int]
    exhaustive: bool
    objects: dict[int, NamedObject]
    groups: list[tuple[str, list[int]]] = field(default_factory=list)
    clip: str | None = None
    partners: list[int] = field(default_factory=list)


class PackedPictures:
    """Pictures and ids by index, at the top left of a canvas of `CANVAS` pixels.

    Args:
        packs: index files that `pack` wrote, NAME.json beside NAME.rgb.bin and NAME.ids.bin.
        device: where batches are made.
        threads: that decode for a GPU.

    Attributes:
        pictures: their records.
        boxes: int32 [objects, 7]: picture, id, x0, y0, x1, y1 (one past the last pixel), area in pixels.
        group_of: uint8 [n, 256], id of the group that an object belongs to, 0 = none.
        vocabulary: words of the simulated world, as its shards name them; empty without such pictures.

    Raises:
        DataError: no picture, or a part of a pack is missing or damaged.
    """

    def __init__(self, packs: Sequence[Path], device: torch.device, threads: int = 16) -> None:
        self._rows: list[tuple[dict, Path]] = []
        self.vocabulary: dict[str, list] = {}
        for path in packs:
            try:
                content = json.loads(path.read_text())
                self._rows += [(row, path) for row in content["pictures"]]
                self.vocabulary.update(content["vocabulary"])
                self._blobs = {**getattr(self, "_blobs", {}), path: (_mapped(path, "rgb"), _mapped(path, "ids"))}
            except (OSError, ValueError, KeyError) as error:
                raise DataError(f"{path} is no pack of training pictures: {error!r}") from error
        if not self._rows:
            raise DataError(f"no pictures in {', '.join(map(str, packs)) or 'no packs'}")
        n = len(self._rows)
        self.pictures = [_record(row) for row, _ in self._rows]
        clips: dict[str, list[int]] = {}
        for i, picture in enumerate(self.pictures):
            if picture.clip is not None:
                clips.setdefault(picture.clip, []).append(i)
        for members in clips.values():
            for i in members:
                self.pictures[i].partners = [j for j in members if j != i]
        self.hw = np.array([picture.hw for picture in self.pictures], np.int64)
        self.by_source: dict[str, list[int]] = {}
        for i, picture in enumerate(self.pictures):
            self.by_source.setdefault(picture.source, []).append(i)
        table = [(i, *box) for i, (row, _) in enumerate(self._rows) for box in row["boxes"]]
        self.boxes = np.array(table, np.int32).reshape(-1, 7)
        groups = np.zeros((n, 256), np.uint8)
        for i, picture in enumerate(self.pictures):
            for k, (_, members) in enumerate(picture.groups):
                groups[i, members] = k + 1
        self.group_of = torch.from_numpy(groups).to(device)
        self._kept = self._decode_all(device, threads) if device.type == "cuda" else None

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [n, 3, CANVAS, CANVAS] and ids [n, CANVAS, CANVAS], uint8, by index [n]."""
        if self._kept is not None:
            return self._kept[0][index], self._kept[1][index]
        some = [self._decoded(i) for i in index.tolist()]
        return torch.from_numpy(np.stack([rgb for rgb, _ in some])), torch.from_numpy(np.stack([m for _, m in some]))

    def _decode_all(self, device: torch.device, threads: int) -> tuple[Tensor, Tensor]:
        n = len(self._rows)
        rgb = torch.zeros(n, 3, CANVAS, CANVAS, dtype=torch.uint8, device=device)
        ids = torch.zeros(n, CANVAS, CANVAS, dtype=torch.uint8, device=device)
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, n, _CHUNK):
                part = range(start, min(n, start + _CHUNK))
                some = list(pool.map(self._decoded, part))
                rgb[start : part.stop] = torch.from_numpy(np.stack([x for x, _ in some])).to(device)
                ids[start : part.stop] = torch.from_numpy(np.stack([x for _, x in some])).to(device)
        return rgb, ids

    def _decoded(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        row, path = self._rows[i]
        blobs = self._blobs[path]
        picture, label = (
            cv2.imdecode(blob[row[key][0] : row[key][0] + row[key][1]], cv2.IMREAD_UNCHANGED)
            for blob, key in zip(blobs, ("rgb", "ids"))
        )
        if picture is None or label is None:
            raise DataError(f"{path}: picture {i} is damaged")
        label = label if label.ndim == 2 else label[..., 0]  # grey pictures come as three equal channels
        rgb, ids = np.zeros((3, CANVAS, CANVAS), np.uint8), np.zeros((CANVAS, CANVAS), np.uint8)
        h, w = picture.shape[:2]
        rgb[:, :h, :w], ids[:h, :w] = picture[..., ::-1].transpose(2, 0, 1), label
        return rgb, ids


def _record(row: dict) -> StoredPicture:
    objects = {one[0]: NamedObject(*one[1:]) for one in row["objects"]}
    groups = [(name, ids) for name, ids in row["groups"]]
    return StoredPicture(row["source"], tuple(row["hw"]), row["exhaustive"], objects, groups, row["clip"])


def _mapped(path: Path, part: str) -> np.ndarray:
    return np.memmap(path.with_name(f"{path.stem}.{part}.bin"), np.uint8, "r")


def to_device(values: np.ndarray, device: torch.device) -> Tensor:
    """Copies without waiting."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
