# SPDX-License-Identifier: Apache-2.0
"""A labelled folder as a YOLO segmentation set: a text file of polygons a picture, and data.yaml.

A polygon has no holes, and an object in several parts has several lines; COCO's run lengths beside it lose nothing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import yaml

from seem_ros.datasets.scenes.label_folder import SPLITS, EmptySplitError, LabelFolder
from seem_ros.errors import DataError
from seem_ros.files import MadeFiles, claim_folder

#: Parts smaller than this are specks of a mask, no polygons; and the outline's tolerance.
_LEAST_PX, _TOLERANCE_PX = 12, 0.7


def polygons(mask: np.ndarray) -> list[np.ndarray]:
    """Outlines of a mask bool [H, W]: float [P, 2] each, x and y in 0..1 of the picture's size."""
    height, width = mask.shape
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    result = []
    for outline in found:
        thin = cv2.approxPolyDP(outline, _TOLERANCE_PX, True).reshape(-1, 2)
        if len(thin) >= 3 and cv2.contourArea(outline) >= _LEAST_PX:
            result.append((thin + 0.5) / (width, height))
    return result


def export_yolo(folder: Path, out: Path) -> dict[str, int]:
    """Writes images/, labels/ and data.yaml.

    Args:
        folder: holds index.json.
        out: made if missing; pictures are linked where the file system can, else copied. What an earlier export wrote
            there is removed: its class numbers may be others.

    Returns:
        Counts: pictures, objects, classes.

    Raises:
        DataError: a file does not fit, the folder holds foreign files, or the disk is full.
    """
    everything = LabelFolder(folder, None)
    names = sorted(name for name in everything.names if everything.class_count(name))
    claim_folder(out, ("images", "labels", "data.yaml"))
    try:
        with MadeFiles(out, ("images", "labels")) as made:
            pictures, objects = _write_splits(folder, out, names, made)
        data = {
            "path": str(out.resolve()),
            **{split: f"images/{split}" for split in SPLITS if any((out / "images" / split).glob("*"))},
            "names": dict(enumerate(names)),
        }
        (out / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}") from error
    return {"pictures": pictures, "objects": objects, "classes": len(names)}


def _write_splits(folder: Path, out: Path, names: list[str], made: MadeFiles) -> tuple[int, int]:
    """Pictures and polygons of every split; returns how many pictures and objects."""
    pictures = objects = 0
    for split in SPLITS:
        try:
            source = LabelFolder(folder, split)
        except EmptySplitError:
            continue
        for place in ("images", "labels"):
            (out / place / split).mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(source):
            file = Path(picture.name)
            stem = f"{index:06d}_{file.stem}"
            lines = []
            for thing in picture.things:
                if thing.shape in names:
                    for outline in polygons(picture.ids == thing.id):
                        points = " ".join(f"{value:.5f}" for value in outline.ravel())
                        lines.append(f"{names.index(thing.shape)} {points}")
                    objects += 1
            made.add(out / "labels" / split / f"{stem}.txt").write_text("".join(f"{line}\n" for line in lines))
            _link(file, made.add(out / "images" / split / f"{stem}{file.suffix}"))
            pictures += 1
    return pictures, objects


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
