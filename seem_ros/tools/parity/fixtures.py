# SPDX-License-Identifier: Apache-2.0
"""Golden fixture files: arrays recorded from the official code, some of them packed or subsampled."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from seem_ros.errors import DataError

FAMILIES = ("feat", "pano", "inter", "ground", "demo", "refimg", "lang", "postproc")


class Fixture:
    """One ``golden_*.npz`` file.

    Attributes:
        name: file name without folder, prefix and suffix.
        variant: e.g. ``focalt_v1``; empty for files that need no whole model.
        family: one of `FAMILIES`.
        meta: what the file says about itself.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            DataError: it is not a fixture.
        """
        self.path = path
        self.name = path.stem.removeprefix("golden_")
        named = re.fullmatch(r"(?:([a-z0-9]+_(?:v0|v1|demo))_)?(\w+?)(?:_[A-Z]|_repaired)?", self.name)
        if named is None or named.group(2) not in FAMILIES:
            raise DataError(f"{path} is not named like a golden fixture")
        self.variant, self.family = named.group(1) or "", named.group(2)
        try:
            self._arrays = np.load(path, allow_pickle=False)
            self.meta: dict[str, Any] = json.loads(str(self._arrays["meta"]))
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} is not a golden fixture: {error}") from error
        self._shapes = self.meta.get("bool_shapes", {})

    def __contains__(self, name: str) -> bool:
        return name in self._arrays.files

    def __getitem__(self, name: str) -> np.ndarray:
        values = self._arrays[name]
        if name in self._shapes:
            shape = self._shapes[name]
            return np.unpackbits(values, axis=-1, count=shape[-1]).astype(bool).reshape(shape)
        return values

    def names(self, prefix: str = "") -> list[str]:
        """Stored arrays whose name starts with a prefix, without it."""
        return [n.removeprefix(prefix) for n in self._arrays.files if n.startswith(prefix) and n != "meta"]

    def cases(self) -> list[str]:
        """The prefixes before ``/``, in stored order."""
        return list(dict.fromkeys(n.split("/")[0] for n in self._arrays.files if "/" in n))

    def stored(self, case: str, name: str) -> str | None:
        """Full name of an array of a case, whatever subsampling its name ends in; None where it is not stored."""
        for full in self._arrays.files:
            if re.fullmatch(re.escape(f"{case}/{name}" if case else name) + r"(_q\d+)?(@\d+|@c\d+)?", full):
                return full
        return None


def subsampled(ours: np.ndarray, golden: np.ndarray, name: str, query_axis: int | None = None) -> np.ndarray:
    """Our full array thinned like the stored one.

    Args:
        ours: full array.
        golden: stored array, every n-th entry along some axes.
        name: stored name; ``_q8`` says that queries are thinned by 8, elsewhere the step follows from the sizes.
        query_axis: which axis the queries are on.

    Raises:
        DataError: no step gives the stored shape.
    """
    if ours.ndim != golden.ndim:
        raise DataError(f"{name}: stored with {golden.ndim} axes {golden.shape}, we have {ours.shape}")
    said = re.search(r"_q(\d+)", name)
    for axis, (size, wanted) in enumerate(zip(ours.shape, golden.shape)):
        if said and axis == query_axis:
            step = int(said.group(1))
        else:
            step = next((s for s in range(1, size + 1) if -(-size // s) == wanted), 0)
        if not step or -(-size // step) != wanted:
            raise DataError(f"{name}: stored shape {golden.shape} is no subsampling of {ours.shape}")
        ours = ours[(slice(None),) * axis + (slice(None, None, step),)]
    return ours
