# SPDX-License-Identifier: Apache-2.0
"""Everything that decides a training run, in one file of plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import yaml

from seem_ros.errors import DataError
from seem_ros.plain_yaml import read_yaml_mapping


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Two runs with the same values, data and process count make the same weights.

    Attributes:
        data: folder of training shards (`python -m seem_ros.sim.dataset`).
        cutouts: folder of RGBA cut-outs and textures to composite, or "" for none.
        cutout_share: part of the clips that are composited from cut-outs.
        out: folder for checkpoints, curves and logs.
        init: weights to start from: an average.pt, a package or `builtin` ("" = from nothing).
        images: pictures to see in all; the learning rate follows a cosine down to zero over them.
        clips: clips per process and step; each gives two frames.
        height, width: size of the network input, multiples of 32.
        whole_share: part of the clips shown whole (240x320 padded) in place of a random crop.
        learning_rate, weight_decay, warmup, clip_norm: AdamW.
        ema: decay of the averaged weights that are kept as the result.
        seed: seeds everything.
        processes: processes on this machine; gradients are averaged. On a CPU two single-threaded
            processes beat two threads.
        save_every: steps between resumable checkpoints.
    """

    data: str = "data/train"
    cutouts: str = ""
    cutout_share: float = 0.15
    out: str = "out/train"
    init: str = ""
    images: int = 120_000
    clips: int = 4
    height: int = 192
    width: int = 256
    whole_share: float = 0.3
    learning_rate: float = 1e-3
    weight_decay: float = 0.03
    warmup: int = 150
    clip_norm: float = 3.0
    ema: float = 0.998
    seed: int = 1
    processes: int = 2
    save_every: int = 100

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            if getattr(self, name) <= 0 or getattr(self, name) % 32:
                raise DataError(f"training {name}: multiples of 32 are allowed, got {getattr(self, name)}")
        for name in ("images", "clips", "processes", "save_every"):
            if getattr(self, name) < 1:
                raise DataError(f"training {name}: at least 1 is allowed, got {getattr(self, name)}")

    @staticmethod
    def load(path: str | Path, **changes: object) -> TrainConfig:
        """Reads a YAML file of these fields; `changes` that are not None win over the file.

        Raises:
            DataError: the file is missing or names a field that does not exist.
        """
        values = read_yaml_mapping(Path(path), DataError)
        values.update({k: v for k, v in changes.items() if v is not None})
        known = {f.name for f in fields(TrainConfig)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise DataError(f"{path}: unknown field {unknown[0]!r}; allowed are {', '.join(sorted(known))}")
        for one in fields(TrainConfig):
            kind, value = type(one.default), values.get(one.name, one.default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise DataError(f"{path}: {one.name} must be {kind.__name__}, got {str(value)[:60]!r}")
        return TrainConfig(**values)

    def save(self, path: str | Path) -> None:
        """Writes the YAML file that `load` reads."""
        Path(path).write_text(yaml.safe_dump(asdict(self), sort_keys=False))
