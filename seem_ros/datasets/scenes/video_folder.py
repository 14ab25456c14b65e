# SPDX-License-Identifier: Apache-2.0
"""Videos in the DAVIS layout as scenes: real pairs of frames, an object keeps its id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seem_ros.datasets.davis import DavisVideos
from seem_ros.datasets.scenes.picture import MOST_FRAMES_APART
from seem_ros.datasets.scenes.scene import IGNORE, MAX_OBJECTS, Clip, Thing
from seem_ros.errors import DataError


class VideoFolder:
    """Every annotated frame of every sequence, with a near frame beside it.

    Args:
        folder: JPEGImages and Annotations, or images and masks of one sequence (see `datasets.davis`).
        split: list of sequences (ImageSets/SPLIT.txt); None takes all.
        names: what objects are called: sequence -> object id -> name.

    Raises:
        DataError: not this layout, or frames without their annotation.
    """

    weights = None

    def __init__(
        self, folder: Path | str, split: str | None = None, names: Mapping[str, Mapping[int, str]] | None = None
    ) -> None:
        self.name = Path(folder).resolve().name
        self._videos = DavisVideos(folder, split).sequences
        self._names = names or {}
        self._places = [
            (video, frame) for video in range(len(self._videos)) for frame in range(len(self._videos[video]))
        ]
        self.names = frozenset(name for table in self._names.values() for name in table.values())

    def __len__(self) -> int:
        return len(self._places)

    def draw(self, index: int, rng: np.random.Generator) -> Clip:
        """A frame and one near it; see `SceneSource.draw`."""
        video, frame = self._places[index]
        sequence = self._videos[video]
        near = [
            other
            for other in range(max(0, frame - MOST_FRAMES_APART), frame + MOST_FRAMES_APART + 1)
            if other != frame and other < len(sequence)
        ] or [frame]
        frames = [sequence.read(frame), sequence.read(near[int(rng.integers(len(near)))])]
        if frames[0].rgb.shape != frames[1].rgb.shape:
            raise DataError(f"{sequence.images[frame]}: the frames of one sequence must have one size")
        for one in frames:
            if one.labels.max(initial=0) > MAX_OBJECTS:
                raise DataError(
                    f"{sequence.annotations[frame]} holds the value {one.labels.max()}; objects are 1..{MAX_OBJECTS}"
                )
        ids = np.stack([np.where(one.void, IGNORE, one.labels).astype(np.uint8) for one in frames])
        called = self._names.get(sequence.name, {})
        things = tuple(Thing(int(value), called.get(int(value))) for value in np.unique(ids) if 0 < value < IGNORE)
        return Clip(np.stack([one.rgb for one in frames]), ids, things, (), frozenset())

    def check(self) -> None:
        """Reads everything once; see `SceneSource.check`."""
        for sequence in self._videos:
            for _ in sequence:
                pass
