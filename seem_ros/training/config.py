# SPDX-License-Identifier: Apache-2.0
"""Everything that decides a training run, in one file of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

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
        return TrainConfig(**field_values(TrainConfig, path, changes))

    def save(self, path: str | Path) -> None:
        """Writes the YAML file that `load` reads."""
        Path(path).write_text(yaml.safe_dump(asdict(self), sort_keys=False))


def field_values(kind: Any, path: str | Path, changes: Mapping[str, object]) -> dict[str, Any]:
    """The fields of a configuration that a YAML file sets.

    Args:
        kind: a dataclass all of whose fields have defaults, whose types the values must have.
        path: the file.
        changes: win over it; None changes nothing.

    Raises:
        DataError: the file is missing, names a field that does not exist, or gives one a value of another type.
    """
    values = read_yaml_mapping(Path(path), DataError)
    values.update({key: value for key, value in changes.items() if value is not None})
    defaults = {
        one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(kind)
    }
    unknown = sorted(set(values) - set(defaults))
    if unknown:
        raise DataError(f"{path}: unknown field {unknown[0]!r}; allowed are {', '.join(sorted(defaults))}")
    for name, value in values.items():
        wanted = type(defaults[name])
        if wanted is tuple and type(value) is list:  # YAML has no tuples
            value = values[name] = tuple(value)
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise DataError(f"{path}: {name} must be {wanted.__name__}, got {str(value)[:60]!r}")
    return values
