# SPDX-License-Identifier: Apache-2.0
"""Frames in the manner of YCB-Video: <set>/color/NNNNNN.png, <set>/label/NNNNNN.png, <set>/depth/ and an index.json.

Label values are class ids; index.json names them for each frame. 0 is background; there is no void.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seem_ros.datasets.davis import VideoSequence
from seem_ros.datasets.pictures import (
    read_json,
    read_labels,
    read_rgb,
    require_folder,
    require_keys,
    require_same_size,
)
from seem_ros.errors import DataError


@dataclass(frozen=True)
class YcbSample:
    """rgb uint8 [H, W, 3]; labels int32 [H, W]; names of the label values, as words ("gelatin box")."""

    name: str
    rgb: np.ndarray
    labels: np.ndarray
    names: dict[int, str]

    def mask(self, value: int) -> np.ndarray:
        """bool [H, W] of one label value."""
        return self.labels == value


class YcbFrames:
    """Reads all frames listed in index.json."""

    def __init__(self, folder: Path | str) -> None:
        """Raises DataError for a missing or wrong index, or an empty list."""
        self.folder = require_folder(folder, "YCB frames")
        index = read_json(self.folder / "index.json", "YCB frames")
        require_keys(index, ("frames",), str(self.folder / "index.json"))
        for number, frame in enumerate(index["frames"]):
            require_keys(frame, ("set", "frame", "labels"), f"{self.folder / 'index.json'}, frame {number}")
        if not index["frames"]:
            raise DataError(f"{self.folder / 'index.json'} lists no frame")
        self._frames = index["frames"]

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[YcbSample]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> YcbSample:
        """One frame. Raises DataError when a file is missing, sizes differ, or a label has no name."""
        frame = self._frames[index]
        image_path = self.folder / frame["set"] / "color" / f"{frame['frame']}.png"
        label_path = self.folder / frame["set"] / "label" / f"{frame['frame']}.png"
        rgb = read_rgb(image_path)
        labels, _ = read_labels(label_path)
        require_same_size(rgb, labels, image_path, label_path)
        names = {int(value): _words(name) for value, name in frame["labels"].items()}
        unknown = set(np.unique(labels).tolist()) - set(names) - {0}
        if unknown:
            raise DataError(f"{label_path} holds labels without a name in index.json: {sorted(unknown)}")
        return YcbSample(f"{frame['set']}/{frame['frame']}", rgb, labels, names)

    def sequences(self) -> list[VideoSequence]:
        """The sets whose frames follow one another (named ``real_*``), as videos."""
        result = []
        for name in sorted({frame["set"] for frame in self._frames if frame["set"].startswith("real")}):
            frames = sorted(frame["frame"] for frame in self._frames if frame["set"] == name)
            result.append(
                VideoSequence(
                    name,
                    tuple(self.folder / name / "color" / f"{f}.png" for f in frames),
                    tuple(self.folder / name / "label" / f"{f}.png" for f in frames),
                )
            )
        return result


def _words(name: str) -> str:
    """ "009_gelatin_box" as a person says it: "gelatin box"."""
    parts = name.split("_")
    return " ".join(parts[1:] if parts[0].isdigit() and len(parts) > 1 else parts)
