# SPDX-License-Identifier: Apache-2.0
"""Pictures with object masks for interactive segmentation: GrabCut, Berkeley, DAVIS-interactive and Pascal VOC.

The sets mark void differently, and the values alone cannot tell (255 is the object in GrabCut and void in VOC), so the
folder names decide, or the caller:

=============  ===========================================  ====================================================
convention     recognised by                                values
=============  ===========================================  ====================================================
``grabcut``    data_GT + boundary_GT; images + masks        0 background, 128 void, 255 (or 1) the object
``nonzero``    img + gt                                     0 background, anything else the object, no void
``instances``  JPEGImages + SegmentationObject              0 background, 255 void, every other value one object
=============  ===========================================  ====================================================

Masks named ``picture#1.png``, ``picture#2.png`` (Berkeley) are several objects of one picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seem_ros.datasets.pictures import list_pictures, read_labels, read_rgb, require_folder, require_same_size
from seem_ros.errors import DataError

LAYOUTS = (
    ("data_GT", "boundary_GT", "grabcut"),
    ("images", "masks", "grabcut"),
    ("img", "gt", "nonzero"),
    ("JPEGImages", "SegmentationObject", "instances"),
)
CONVENTIONS = ("grabcut", "nonzero", "instances")
VOC_VOID = 255
GRABCUT_VOID = 128


@dataclass(frozen=True)
class TrueObject:
    """One object: name, mask bool [H, W], void bool [H, W] (True where the truth is unknown)."""

    name: str
    mask: np.ndarray
    void: np.ndarray


@dataclass(frozen=True)
class InteractiveSample:
    """One picture, rgb uint8 [H, W, 3], and its objects."""

    name: str
    rgb: np.ndarray
    objects: tuple[TrueObject, ...]


class InteractiveFolder:
    """Reads one of the layouts above."""

    def __init__(self, folder: Path | str, convention: str | None = None, split: str | None = None) -> None:
        """
        Args:
            folder: holds a folder of pictures and one of masks.
            convention: "grabcut", "nonzero" or "instances"; None lets the folder names decide.
            split: for VOC, the list ImageSets/Segmentation/<split>.txt; None takes every mask.

        Raises:
            DataError: unknown layout or convention, empty folder, a mask without a picture, or (outside VOC, whose
                pictures outnumber its masks) a picture without a mask.
        """
        folder = require_folder(folder, "interactive data")
        layout = next(((i, m, c) for i, m, c in LAYOUTS if (folder / i).is_dir() and (folder / m).is_dir()), None)
        if layout is None:
            known = "; ".join(f"{i} + {m}" for i, m, _ in LAYOUTS)
            raise DataError(f"{folder} has none of the folder pairs {known}")
        if convention is not None and convention not in CONVENTIONS:
            raise DataError(f"mask convention {convention!r} is unknown: {', '.join(CONVENTIONS)} are allowed")
        self.convention = convention or layout[2]
        images = {p.stem: p for p in list_pictures(folder / layout[0], "pictures")}
        masks: dict[str, list[Path]] = defaultdict(list)
        for path in list_pictures(folder / layout[1], "masks"):
            masks[path.stem if path.stem in images else path.stem.rsplit("#", 1)[0]].append(path)
        if split is not None:
            listed = _read_split(folder / "ImageSets" / "Segmentation" / f"{split}.txt")
            unmasked = sorted(set(listed) - set(masks))
            if unmasked:
                raise DataError(f"{len(unmasked)} pictures of the split {split!r} have no mask, first: {unmasked[0]}")
            masks = {name: masks[name] for name in listed}
        orphans = sorted(set(masks) - set(images))
        if orphans:
            raise DataError(f"{len(orphans)} masks have no picture in {folder / layout[0]}, the first: {orphans[0]}")
        bare = sorted(set(images) - set(masks))
        if bare and split is None and layout[0] != "JPEGImages":
            raise DataError(f"{len(bare)} pictures have no mask in {folder / layout[1]}, the first: {bare[0]}")
        self._items = [(name, images[name], masks[name]) for name in sorted(masks)]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[InteractiveSample]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> InteractiveSample:
        """One picture.

        Raises:
            DataError: sizes differ, a value the convention does not know, or a mask without an object.
        """
        name, image_path, mask_paths = self._items[index]
        rgb = read_rgb(image_path)
        objects: list[TrueObject] = []
        for path in mask_paths:
            labels, _ = read_labels(path)
            require_same_size(rgb, labels, image_path, path)
            found = split_objects(labels, self.convention, path)
            if not found:
                raise DataError(f"{path} marks no object")
            objects.extend(
                TrueObject(path.stem if value is None else f"{path.stem}:{value}", mask, void)
                for value, mask, void in found
            )
        return InteractiveSample(name, rgb, tuple(objects))


def split_objects(
    labels: np.ndarray, convention: str, path: Path | str
) -> list[tuple[int | None, np.ndarray, np.ndarray]]:
    """Objects of a label picture int32 [H, W]: (value or None, mask bool [H, W], void bool [H, W]) each."""
    if convention == "instances":
        void = labels == VOC_VOID
        return [(value, labels == value, void) for value in np.unique(labels).tolist() if value not in (0, VOC_VOID)]
    if convention == "nonzero":
        mask, void = labels != 0, np.zeros(labels.shape, bool)
    else:
        values = set(np.unique(labels).tolist())
        if not values <= {0, GRABCUT_VOID, 255} and not values <= {0, 1}:
            raise DataError(
                f"{path} holds the values {sorted(values)[:8]}; the grabcut convention knows 0, 128 (void) "
                "and 255, or 0 and 1. If other values are objects of their own, choose the convention "
                "'instances'; if anything above 0 is the object, 'nonzero'"
            )
        mask, void = (labels == 255) | (labels == 1), labels == GRABCUT_VOID
    return [(None, mask, void)] if mask.any() else []


def _read_split(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"the list {path} does not exist")
    names = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not names:
        raise DataError(f"the list {path} is empty")
    return names
