# SPDX-License-Identifier: Apache-2.0
"""A mix of sources by weights, as a configuration file writes it.

sources:
  - {kind: labels, path: data/real, weight: 0.6, power: 0.6, leave_out: [snack_packs]}
  - {kind: simulated, path: data/clutter, weight: 0.2}
  - {kind: cutouts, path: data/train_assets, weight: 0.1}
  - {kind: coco, path: my/instances.json, images: my/images, weight: 0.1, exhaustive: true}
  - {kind: video, path: my/davis, weight: 0.1}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from seem_ros.datasets.scenes.coco_instances import CocoInstances
from seem_ros.datasets.scenes.cutout_folder import CutoutFolder
from seem_ros.datasets.scenes.label_folder import LabelFolder
from seem_ros.datasets.scenes.pasting import Cutout, PasteConfig, paste
from seem_ros.datasets.scenes.scene import Clip, SceneSource
from seem_ros.datasets.scenes.shards import Shards
from seem_ros.datasets.scenes.video_folder import VideoFolder
from seem_ros.datasets.scenes.views import ViewConfig, two_views
from seem_ros.errors import DataError

KINDS = ("simulated", "cutouts", "labels", "coco", "video")


@dataclass(frozen=True)
class SourceSpec:
    """One line of the mix.

    Attributes:
        kind: one of `KINDS`.
        path: folder, or the JSON file of COCO instances. For "labels" also a folder of such folders.
        weight: share of the clips relative to the other lines.
        images: folder of the pictures, for "coco"; "" takes the JSON's own folder.
        split: "train", "val" or "all", for "labels" and "coco"; a list's name for "video".
        exhaustive: every instance of every class is labelled, for "coco".
        power: within a folder of folders, a folder of n pictures is drawn in proportion to n ** power, so that small
            ones count (1 = every picture alike).
        leave_out: names of folders in a folder of folders that are not read.
    """

    kind: str
    path: str
    weight: float = 1.0
    images: str = ""
    split: str = "train"
    exhaustive: bool = False
    power: float = 0.6
    leave_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"a source's kind is one of {', '.join(KINDS)}, got {self.kind!r}")
        if not self.weight > 0:
            raise DataError(f"the source {self.path}: its weight must be above 0, got {self.weight}")
        if not 0 <= self.power <= 1:
            raise DataError(f"the source {self.path}: its power lies in 0..1, got {self.power}")

    @staticmethod
    def of(values: Mapping[str, Any]) -> SourceSpec:
        """From a mapping as YAML gives it. Raises DataError for a field that is unknown or missing."""
        known = [one.name for one in fields(SourceSpec)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise DataError(f"a source has no field {unknown[0]!r}; allowed are {', '.join(known)}")
        if "kind" not in values or "path" not in values:
            raise DataError(f"a source needs kind and path, got {dict(values)}")
        return SourceSpec(**{**values, "leave_out": tuple(values.get("leave_out", ()))})


def open_sources(spec: SourceSpec) -> list[tuple[SceneSource, float]]:
    """Opens one line of the mix: its sources and their weights, which sum to the line's.

    Raises:
        DataError: something is missing or does not fit; the message names the file.
    """
    split = None if spec.split == "all" else spec.split
    if spec.kind == "simulated":
        return [(Shards(spec.path), spec.weight)]
    if spec.kind == "cutouts":
        return [(CutoutFolder(spec.path), spec.weight)]
    if spec.kind == "coco":
        return [(CocoInstances(spec.path, spec.images or Path(spec.path).parent, split, spec.exhaustive), spec.weight)]
    if spec.kind == "video":
        return [(VideoFolder(spec.path, None if split == "train" else split), spec.weight)]
    folder = Path(spec.path)
    if (folder / "index.json").is_file():
        return [(LabelFolder(folder, split), spec.weight)]
    found = [one.parent for one in sorted(folder.glob("*/index.json"))]
    strange = sorted(set(spec.leave_out) - {one.name for one in found})
    if strange:
        raise DataError(f"{folder} has no folder {strange[0]!r} with an index.json, which is to be left out")
    folders = [LabelFolder(one, split) for one in found if one.name not in spec.leave_out]
    if not folders:
        raise DataError(f"{folder} holds no index.json, nor a folder that does")
    shares = np.array([len(one) for one in folders], float) ** spec.power
    return [(one, float(share)) for one, share in zip(folders, spec.weight * shares / shares.sum(), strict=True)]


class Mixture:
    """Draws clips of the network's size from many sources.

    Args:
        specs: the lines of the mix.
        views: how windows are cut.
        pasting: how objects are pasted.
        cutouts: what is pasted; without any nothing is.

    Raises:
        DataError: a source cannot be read, or there is none.
    """

    def __init__(
        self,
        specs: Sequence[SourceSpec],
        views: ViewConfig | None = None,
        pasting: PasteConfig | None = None,
        cutouts: Sequence[Cutout] = (),
    ) -> None:
        opened = [pair for spec in specs for pair in open_sources(spec)]
        if not opened:
            raise DataError("a mix needs at least one source")
        self.sources: tuple[SceneSource, ...] = tuple(source for source, _ in opened)
        weights = np.array([weight for _, weight in opened])
        self.shares: np.ndarray = weights / weights.sum()
        self._views, self._pasting, self._cutouts = views, pasting, tuple(cutouts)
        self._spelling: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Class names that may occur, sorted."""
        names = set().union(*(source.names for source in self.sources))
        return tuple(sorted({self._spelling.get(name, name) for name in names}))

    def spell_as(self, names: Iterable[str]) -> None:
        """Makes one class of names that differ in capitals alone, for no model reads them, spelt as in ``names``."""
        known: dict[str, str] = {}
        for name in (*names, *self.names):
            known.setdefault(name.casefold(), name)
        self._spelling = {name: known[name.casefold()] for name in self.names if known[name.casefold()] != name}

    def check(self) -> None:
        """Reads everything once, before anything is written. Raises DataError that names the first bad file."""
        for source in self.sources:
            source.check()

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Clip:
        """Draws one clip.

        Args:
            rng: draws everything: source, picture, frames, pasted things, window, light.
            height, width: of the clip.
        """
        source = self.sources[int(rng.choice(len(self.sources), p=self.shares))]
        clip = paste(source.draw(draw_index(source, rng), rng), self._cutouts, rng, self._pasting)
        if self._spelling:
            clip = clip.renamed(self._spelling)
        return two_views(clip, rng, height, width, self._views)


def draw_index(source: SceneSource, rng: np.random.Generator) -> int:
    """A scene of a source: all alike, or as often as its pictures' weights say (corrected ones more)."""
    if source.weights is None:
        return int(rng.integers(len(source)))
    return int(rng.choice(len(source), p=source.weights / source.weights.sum()))
