# SPDX-License-Identifier: Apache-2.0
"""DAVIS video: JPEGImages/[480p/]<sequence>/00000.jpg and Annotations/[480p/]<sequence>/00000.png.

Annotations are indexed PNGs: 0 background, 255 void, every other value one object with that id through the sequence.
DAVIS 2016 has grey PNGs with one object marked 255 (or 1); a grey annotation holding no other values is read so.
A folder with ``images`` and ``masks`` (or ``color`` and ``label``) is read as a single sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seem_ros.datasets.pictures import list_pictures, read_labels, read_rgb, require_folder, require_same_size
from seem_ros.errors import DataError

RESOLUTIONS = ("480p", "1080p", "Full-Resolution")
SINGLE = (("images", "masks"), ("color", "label"))
VOID = 255


@dataclass(frozen=True)
class VideoFrame:
    """rgb uint8 [H, W, 3]; labels int32 [H, W] (0 background, else object id); void bool [H, W]."""

    rgb: np.ndarray
    labels: np.ndarray
    void: np.ndarray


@dataclass(frozen=True)
class VideoSequence:
    """Frames on disk, read one by one when asked for."""

    name: str
    images: tuple[Path, ...]
    annotations: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[VideoFrame]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> VideoFrame:
        """One frame. Raises DataError for a file that is missing or does not fit."""
        rgb = read_rgb(self.images[index])
        labels, indexed = read_labels(self.annotations[index])
        require_same_size(rgb, labels, self.images[index], self.annotations[index])
        if not indexed and not np.any((labels != 0) & (labels != 255)):
            return VideoFrame(rgb, (labels == 255).astype(np.int32), np.zeros(labels.shape, bool))
        void = labels == VOID
        return VideoFrame(rgb, np.where(void, 0, labels), void)


class DavisVideos:
    """Reads every sequence (or those of a list) of a DAVIS tree."""

    def __init__(self, folder: Path | str, split: str | None = None, resolution: str | None = None) -> None:
        """
        Args:
            folder: holds JPEGImages and Annotations, or images and masks (a single sequence).
            split: a list of sequence names, ImageSets/<split>.txt, e.g. "2017/val"; None takes all annotated ones.
            resolution: sub-folder such as "480p"; None takes the one that is there.

        Raises:
            DataError: not this layout, empty, sequences without annotations, or frames without their annotation.
        """
        folder = require_folder(folder, "DAVIS")
        self.sequences: tuple[VideoSequence, ...]
        single = next(((i, m) for i, m in SINGLE if (folder / i).is_dir() and (folder / m).is_dir()), None)
        if single and not (folder / "JPEGImages").is_dir():
            self.sequences = (_pair(folder.name, folder / single[0], folder / single[1]),)
            return
        images, annotations = (
            _with_resolution(require_folder(folder / part, "DAVIS"), resolution)
            for part in ("JPEGImages", "Annotations")
        )
        if split is None:
            names = sorted(p.name for p in annotations.iterdir() if p.is_dir())
        else:
            names = _read_list(folder / "ImageSets" / f"{split}.txt")
        if not names:
            raise DataError(f"{annotations} holds no sequence")
        self.sequences = tuple(_pair(name, images / name, annotations / name) for name in names)

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[VideoSequence]:
        return iter(self.sequences)


def _with_resolution(folder: Path, resolution: str | None) -> Path:
    if resolution is not None:
        return require_folder(folder / resolution, "DAVIS")
    found = [folder / name for name in RESOLUTIONS if (folder / name).is_dir()]
    if len(found) > 1:
        raise DataError(f"{folder} holds {', '.join(p.name for p in found)}: choose a resolution")
    return found[0] if found else folder


def _pair(name: str, images: Path, annotations: Path) -> VideoSequence:
    frames = list_pictures(images, f"sequence {name}")
    masks = {p.stem: p for p in list_pictures(annotations, f"annotations of {name}")}
    stems = [p.stem for p in frames]
    alone = sorted(set(stems) ^ set(masks))
    if alone:
        side = "annotation" if alone[0] in stems else "picture"
        raise DataError(
            f"sequence {name}: {len(alone)} frames have no partner; {alone[0]} has no {side}. "
            "Every frame must be annotated to be scored (test sets publish only the first)"
        )
    return VideoSequence(name, tuple(frames), tuple(masks[stem] for stem in stems))


def _read_list(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"the list {path} does not exist")
    # DAVIS 2016 lists picture paths (/JPEGImages/480p/bear/00000.jpg ...), 2017 sequence names.
    names: dict[str, None] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            word = line.split()[0]
            names[Path(word).parent.name if "/" in word else word] = None
    return list(names)
