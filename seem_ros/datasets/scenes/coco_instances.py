# SPDX-License-Identifier: Apache-2.0
"""COCO instances: a JSON of images, annotations and categories, and a folder of pictures.

Understood beside COCO's own fields: `track_id` of an annotation, `sequence`, `frame` and `weight` of an image (what
`python -m seem_ros.tools.label` writes), and `exhaustive_for` of the file: names of which every instance is labelled.
Crowds are ignored pixels. Where annotations overlap, the smaller one is in front.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seem_ros.datasets.pictures import read_json, read_rgb, require_folder, require_keys
from seem_ros.datasets.refcoco import annotation_mask
from seem_ros.datasets.scenes.label_folder import picture_size
from seem_ros.datasets.scenes.picture import LabeledPicture, Sequences, Track
from seem_ros.datasets.scenes.scene import IGNORE, MAX_OBJECTS, Clip, Thing
from seem_ros.errors import DataError


class CocoInstances:
    """Reads one annotation file.

    Args:
        annotations: the JSON file.
        images: folder of its pictures.
        split: "train" or "val" takes the images with that `split` field, or without any; None takes all.
        exhaustive: whether every instance of every category is labelled, as in COCO itself.

    Raises:
        DataError: a file is missing, a picture has another size than recorded, an annotation without image or
            category, a category without pictures, or no picture in the split. The message names the file.
    """

    def __init__(
        self, annotations: Path | str, images: Path | str, split: str | None = None, exhaustive: bool = False
    ) -> None:
        path = Path(annotations)
        self.folder = require_folder(images, "COCO pictures")
        self.name = path.stem if path.stem != "instances" else path.resolve().parent.name
        content = read_json(path, "COCO instances")
        require_keys(content, ("images", "annotations", "categories"), str(path))
        categories = {}
        for one in content["categories"]:
            require_keys(one, ("id", "name"), f"{path}, a category")
            categories[one["id"]] = str(one["name"])
        self._images = []
        for one in content["images"]:
            require_keys(one, ("id", "file_name", "height", "width"), f"{path}, an image")
            if split is None or one.get("split", split) == split:
                self._images.append(one)
        known = {one["id"] for one in content["images"]}
        self._annotations: dict[int, list[dict]] = defaultdict(list)
        used = set()
        for one in content["annotations"]:
            require_keys(one, ("id", "image_id", "category_id", "segmentation"), f"{path}, an annotation")
            if one["image_id"] not in known or one["category_id"] not in categories:
                raise DataError(
                    f"{path}: annotation {one['id']} belongs to the image {one['image_id']} and the "
                    f"category {one['category_id']}; one of them is not in the file"
                )
            self._annotations[one["image_id"]].append(one)
            used.add(one["category_id"])
        # COCO's own files name 80 classes for any subset, so an unused category is an error only where all are.
        if not used:
            raise DataError(f"{path}: no annotation: every class is without pictures")
        if not self._images:
            raise DataError(f"{path} has no picture" + (f" of the split {split!r}" if split else ""))
        self._categories, self._path = categories, path
        self.names = frozenset(categories[key] for key in used)
        self._all_for = frozenset(categories.values()) if exhaustive else frozenset(content.get("exhaustive_for", ()))
        self.weights = np.array([float(one.get("weight", 1)) for one in self._images])
        self._sequences = Sequences((one.get("sequence"), one.get("frame", 0)) for one in self._images)
        for one in self._images:
            size = picture_size(self.folder / one["file_name"])
            if size != (one["width"], one["height"]):
                raise DataError(
                    f"{self.folder / one['file_name']} is {size[0]}x{size[1]}, but {path} says "
                    f"{one['width']}x{one['height']}"
                )

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[LabeledPicture]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> LabeledPicture:
        """One picture. Raises DataError that names the file which is missing or does not fit."""
        record = self._images[index]
        path, height, width = self.folder / record["file_name"], record["height"], record["width"]
        rgb = read_rgb(path)
        ids = np.zeros((height, width), np.uint8)
        things: list[Thing] = []
        tracks: dict[int, Track] = {}
        found = []
        for one in self._annotations[record["id"]]:
            try:
                mask = annotation_mask(one, height, width)
            except (ValueError, TypeError, IndexError) as error:
                raise DataError(
                    f"{self._path}: the mask of annotation {one['id']} of {path} cannot be read: {error}"
                ) from error
            if mask.shape != ids.shape:
                raise DataError(
                    f"{self._path}: the mask of annotation {one['id']} is {mask.shape[1]}x{mask.shape[0]}, "
                    f"its picture {path} {width}x{height}"
                )
            found.append((int(mask.sum()), one, mask))
        for _, one, mask in sorted(found, key=lambda entry: -entry[0]):
            if one.get("iscrowd") or len(things) == MAX_OBJECTS:
                ids[mask & (ids == 0)] = IGNORE
                continue
            name, value = self._categories[one["category_id"]], len(things) + 1
            ids[mask] = value
            things.append(Thing(value, name))
            tracks[value] = (name, one.get("track_id"))
        return LabeledPicture(str(path), rgb, ids, tuple(things), (), self._all_for, tracks)

    def draw(self, index: int, rng: np.random.Generator) -> Clip:
        """One picture twice, or with a near frame of its sequence; see `SceneSource.draw`."""
        partner = self._sequences.near(index, rng)
        return self.read(index).still() if partner is None else self.read(index).paired(self.read(partner))

    def check(self) -> None:
        """Reads everything once; see `SceneSource.check`."""
        for index in range(len(self)):
            self.read(index)
