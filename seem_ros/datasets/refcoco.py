# SPDX-License-Identifier: Apache-2.0
"""RefCOCO, RefCOCO+ and RefCOCOg: phrases for objects of COCO pictures.

The published phrase lists are Python pickles (``refs(unc).p``). Unpickling runs whatever code the file's author
wrote, so this reader never does it. It reads the same list as JSON, ``refs(unc).json``. To convert a file *whose
origin you trust*, once, on a machine where that may go wrong::

    python3 -c 'import json, pickle, sys; json.dump(pickle.load(open(sys.argv[1], "rb")), open(sys.argv[2], "w"))' \\
        "refs(unc).p" "refs(unc).json"

Expected folder: ``refs(<by>).json`` and ``instances.json`` (COCO format) side by side, as published, and a folder of
the COCO pictures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seem_ros.datasets.pictures import read_json, read_rgb, require_folder, require_keys, require_same_size
from seem_ros.errors import DataError


@dataclass(frozen=True)
class Expression:
    """A text and the object it names: mask bool [H, W]."""

    text: str
    mask: np.ndarray


@dataclass(frozen=True)
class ReferringSample:
    """One picture with all its phrases: rgb uint8 [H, W, 3]."""

    name: str
    rgb: np.ndarray
    phrases: tuple[Expression, ...]


class RefCoco:
    """Reads one split; samples are grouped by picture so that each is encoded once."""

    def __init__(
        self, folder: Path | str, images_folder: Path | str, split: str = "val", by: str | None = None
    ) -> None:
        """
        Args:
            folder: holds refs(<by>).json and instances.json.
            images_folder: the COCO pictures (train2014).
            split: "val", "test", "testA", "testB" or "train": as named in the refs file.
            by: which refs file ("unc", "google", "umd"); may be left out when there is one.

        Raises:
            DataError: a file is missing (with the conversion command when only the pickle is there), the split is
                empty, or an entry points to an unknown annotation or picture.
        """
        folder = require_folder(folder, "RefCOCO")
        self.images_folder = require_folder(images_folder, "RefCOCO images")
        refs_path = _refs_path(folder, by)
        refs = read_json(refs_path, "RefCOCO phrases")
        instances = read_json(folder / "instances.json", "RefCOCO instances")
        require_keys(instances, ("images", "annotations"), str(folder / "instances.json"))
        self._images = {image["id"]: image for image in instances["images"]}
        self._annotations = {annotation["id"]: annotation for annotation in instances["annotations"]}
        if not isinstance(refs, list):
            raise DataError(f"{refs_path} must hold a list of phrases, got {type(refs).__name__}")
        self._refs_by_image: dict[int, list[dict]] = defaultdict(list)
        for index, ref in enumerate(refs):
            require_keys(ref, ("ann_id", "image_id", "split", "sentences"), f"{refs_path}, entry {index}")
            if ref["split"] != split:
                continue
            if ref["ann_id"] not in self._annotations or ref["image_id"] not in self._images:
                raise DataError(
                    f"{refs_path}, entry {index}: annotation {ref['ann_id']} or image {ref['image_id']} is "
                    "not in instances.json"
                )
            self._refs_by_image[ref["image_id"]].append(ref)
        if not self._refs_by_image:
            splits = sorted({str(ref["split"]) for ref in refs})
            raise DataError(f"{refs_path} has no phrase of the split {split!r}; it has {', '.join(splits) or 'none'}")
        self._order = sorted(self._refs_by_image)

    def __len__(self) -> int:
        """Pictures with phrases."""
        return len(self._order)

    def __iter__(self) -> Iterator[ReferringSample]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> ReferringSample:
        """One picture and its phrases. Raises DataError for files that are missing or do not fit."""
        image = self._images[self._order[index]]
        path = self.images_folder / image["file_name"]
        rgb = read_rgb(path)
        phrases: list[Expression] = []
        for ref in self._refs_by_image[image["id"]]:
            mask = annotation_mask(self._annotations[ref["ann_id"]], image["height"], image["width"])
            require_same_size(rgb, mask, path, f"annotation {ref['ann_id']}")
            if not mask.any():
                raise DataError(f"annotation {ref['ann_id']} of {path} has an empty mask")
            phrases.extend(Expression(sentence["sent"], mask) for sentence in ref["sentences"])
        return ReferringSample(path.name, rgb, tuple(phrases))


def annotation_mask(annotation: dict, height: int, width: int) -> np.ndarray:
    """bool [height, width] of a COCO annotation: polygons, or run lengths with or without compression."""
    from pycocotools import mask as codec

    shape = annotation.get("segmentation")
    if isinstance(shape, list) and shape:
        runs = codec.merge(codec.frPyObjects(shape, height, width))
    elif isinstance(shape, dict) and "counts" in shape:
        runs = codec.frPyObjects(shape, height, width) if isinstance(shape["counts"], list) else shape
    else:
        raise DataError(f"annotation {annotation.get('id')} has no polygon and no run lengths")
    return codec.decode(runs).astype(bool)


def _refs_path(folder: Path, by: str | None) -> Path:
    found = [folder / f"refs({by}).json"] if by else sorted(folder.glob("refs(*).json"))
    if len(found) > 1:
        raise DataError(f"{folder} holds {', '.join(p.name for p in found)}: say which by its name in parentheses")
    if found and found[0].is_file():
        return found[0]
    pickles = sorted(folder.glob("refs(*).p"))
    if pickles:
        raise DataError(
            f"{folder} holds {pickles[0].name}, a Python pickle: it is never opened here, because "
            "unpickling runs code from the file. "
            f"If you trust its origin, convert it once to {pickles[0].stem}.json with: "
            'python3 -c \'import json, pickle, sys; json.dump(pickle.load(open(sys.argv[1], "rb")), '
            f"open(sys.argv[2], \"w\"))' '{pickles[0].name}' '{pickles[0].stem}.json'"
        )
    raise DataError(f"{folder} holds no refs({by or '*'}).json")
