# SPDX-License-Identifier: Apache-2.0
"""Our simulated tabletop's shards as an evaluation set (written by ``python -m seem_ros.sim.dataset``).

A shard is ``shard_N.rgb.npy`` uint8 [n, T, H, W, 3], ``shard_N.ids.npy`` uint8 [n, T, H, W] (an object keeps its id
through the frames of a clip; 0 = unlabelled) and ``shard_N.json`` with the names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seem_ros.datasets.pictures import read_json, require_folder, require_keys
from seem_ros.errors import DataError


@dataclass(frozen=True)
class WorldInstance:
    """One labelled thing or stuff of a clip; the words are None for stuff."""

    instance_id: int
    name: str
    full_name: str
    is_thing: bool
    shape: str | None
    colour: str | None

    @property
    def class_name(self) -> str:
        """Its class in panoptic output: the shape of a thing, the name of stuff."""
        return self.shape or self.name


@dataclass(frozen=True)
class WorldClip:
    """rgb uint8 [T, H, W, 3]; ids uint8 [T, H, W]; instances in the order of their ids."""

    name: str
    rgb: np.ndarray
    ids: np.ndarray
    instances: tuple[WorldInstance, ...]


class WorldShards:
    """Reads all complete shards of a folder, clips in a fixed order."""

    def __init__(self, folder: Path | str) -> None:
        """Raises DataError for a missing or empty folder, or a shard whose parts do not agree."""
        self.folder = require_folder(folder, "tabletop clips")
        self._shards: list[tuple[str, np.ndarray, np.ndarray, list[dict]]] = []
        self._index: list[tuple[int, int]] = []
        classes: dict[str, bool] = {}
        self.held_out_pairs: frozenset[tuple[str, str]] = frozenset()
        for path in sorted(self.folder.glob("shard_*.json")):
            meta = read_json(path, "tabletop shard")
            require_keys(meta, ("clips", "shapes", "stuff", "held_out_pairs"), str(path))
            rgb, ids = (_array(path.with_name(f"{path.stem}.{part}.npy")) for part in ("rgb", "ids"))
            if not len(rgb) == len(ids) == len(meta["clips"]) or rgb.shape[:4] != ids.shape:
                raise DataError(f"{path}: {len(meta['clips'])} clips, pictures {rgb.shape} and ids {ids.shape} differ")
            self._index += [(len(self._shards), number) for number in range(len(rgb))]
            self._shards.append((path.stem, rgb, ids, meta["clips"]))
            classes |= dict.fromkeys(meta["shapes"], True) | dict.fromkeys(meta["stuff"], False)
            self.held_out_pairs |= {tuple(pair) for pair in meta["held_out_pairs"]}
        if not self._index:
            raise DataError(
                f"{self.folder} holds no shard; make some with python -m seem_ros.sim.dataset --out "
                f"{self.folder} --scenes 300 --seed 900000 --split val"
            )
        self.class_names = tuple(classes)
        self.is_thing = tuple(classes.values())

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[WorldClip]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> WorldClip:
        """One clip. Raises DataError when its pictures hold an id that its record does not name."""
        shard, number = self._index[index]
        stem, rgb, ids, clips = self._shards[shard]
        name = f"{stem}/{number:04d}"
        instances = tuple(
            WorldInstance(i["id"], i["name"], i["name_full"], i["isthing"], i["shape"], i["colour"])
            for i in clips[number]["instances"]
        )
        pictures = np.array(ids[number])
        unknown = set(np.unique(pictures).tolist()) - {i.instance_id for i in instances} - {0}
        if unknown:
            raise DataError(f"{name}: the pictures hold ids without a name: {sorted(unknown)}")
        return WorldClip(name, np.array(rgb[number]), pictures, instances)


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
