# SPDX-License-Identifier: Apache-2.0
"""Rendered clips of the simulated world, as `python -m seem_ros.sim.dataset` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seem_ros.datasets.pictures import read_json, require_folder, require_keys
from seem_ros.datasets.scenes.scene import Clip, Thing
from seem_ros.errors import DataError


class Shards:
    """Reads `shard_*.json` + `.npy` folders; shards that appear later are found by `refresh`.

    Args:
        folder: holds the shards.

    Raises:
        DataError: no shard, or one whose parts do not agree; the message names the file.
    """

    weights = None

    def __init__(self, folder: str | Path) -> None:
        self.folder = require_folder(folder, "rendered clips")
        self.name = self.folder.resolve().name
        self._open: dict[str, tuple[np.ndarray, np.ndarray, list[dict]]] = {}
        self._index: list[tuple[str, int]] = []
        self.header: dict = {}
        self.refresh()
        if not self._index:
            raise DataError(f"{self.folder} holds no shard; make some with python -m seem_ros.sim.dataset")

    def __len__(self) -> int:
        return len(self._index)

    @property
    def names(self) -> frozenset[str]:
        """Class names that may occur."""
        return frozenset([*self.header["shapes"], *self.header["stuff"]])

    def refresh(self) -> None:
        """Opens shards that have appeared since."""
        for path in sorted(self.folder.glob("shard_*.json")):
            if path.stem in self._open:
                continue
            header = read_json(path, "rendered clips")
            require_keys(header, ("clips", "shapes", "colours", "stuff", "held_out_pairs"), str(path))
            clips = header["clips"]
            self.header = {k: v for k, v in header.items() if k != "clips"}
            rgb, ids = (_array(path.with_suffix(f".{part}.npy")) for part in ("rgb", "ids"))
            if not len(rgb) == len(ids) == len(clips) or rgb.shape[:-1] != ids.shape:
                raise DataError(f"{path}: {len(clips)} clips, but pictures {rgb.shape} and id maps {ids.shape}")
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

    def draw(self, index: int, rng: np.random.Generator) -> Clip:
        """Two different frames of a clip; see `SceneSource.draw`."""
        first, second = (int(frame) for frame in rng.permutation(self._open[self._index[index][0]][0].shape[1])[:2])
        return self.clip(index, (first, second))

    def check(self) -> None:
        """Reads every id map once; see `SceneSource.check`."""
        for index, (name, i) in enumerate(self._index):
            known = {0, *(one["id"] for one in self._open[name][2][i]["instances"])}
            strange = set(np.unique(self._open[name][1][i]).tolist()) - known
            if strange:
                raise DataError(
                    f"{self.folder / name}.ids.npy, clip {i}, holds {min(strange)} without a record (scene {index})"
                )


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is missing or is no whole array") from error
