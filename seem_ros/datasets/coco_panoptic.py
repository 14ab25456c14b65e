# SPDX-License-Identifier: Apache-2.0
"""COCO panoptic: one JSON file, a folder of id PNGs (id = R + 256 G + 65536 B, 0 = void) and a folder of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seem_ros.datasets.pictures import read_json, read_rgb, require_folder, require_keys, require_same_size
from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.panoptic_quality import SegmentInfo


@dataclass(frozen=True)
class PanopticSample:
    """One picture: rgb uint8 [H, W, 3]; ids int32 [H, W] (0 = void); records of the segments."""

    name: str
    rgb: np.ndarray
    ids: np.ndarray
    segments: tuple[SegmentInfo, ...]


class CocoPanoptic:
    """Reads e.g. annotations/panoptic_val2017.json, panoptic_val2017/ and val2017/.

    `folder` may be the published tree (annotations/panoptic_<split>.json, annotations/panoptic_<split>/ or
    panoptic_<split>/, <split>/) or the three places may be named one by one.
    """

    def __init__(self, json_path: Path | str, ids_folder: Path | str, images_folder: Path | str) -> None:
        """Raises DataError for a missing or wrong file, or a category without a name."""
        self.ids_folder = require_folder(ids_folder, "panoptic id pictures")
        self.images_folder = require_folder(images_folder, "panoptic images")
        content = read_json(json_path, "panoptic annotations")
        require_keys(content, ("images", "annotations", "categories"), str(json_path))
        if not content["annotations"]:
            raise DataError(f"{json_path} holds no annotation")
        for category in content["categories"]:
            require_keys(category, ("id", "name", "isthing"), f"{json_path}, category")
        self.class_names = tuple(c["name"] for c in content["categories"])
        self.is_thing = tuple(bool(c["isthing"]) for c in content["categories"])
        self._class_of_id = {c["id"]: index for index, c in enumerate(content["categories"])}
        self._images = {image["id"]: image for image in content["images"]}
        self._annotations = content["annotations"]
        self._json_path = json_path

    @classmethod
    def from_folder(cls, folder: Path | str, split: str = "val2017") -> CocoPanoptic:
        """The published tree. Raises DataError when a part is missing."""
        folder = require_folder(folder, "COCO")
        part = f"panoptic_{split}"
        places = (folder / "annotations" / f"{part}.json", folder / f"{part}.json")
        json_path = next((p for p in places if p.is_file()), None)
        if json_path is None:
            raise DataError(f"{folder} holds no annotations/{part}.json; give another split, or the places one by one")
        ids = next((p for p in (json_path.parent / part, folder / part) if p.is_dir()), None)
        if ids is None:
            raise DataError(f"{folder} holds no folder {part} of id pictures (unpack {part}.zip)")
        images = next((p for p in (folder / split, folder / "images" / split) if p.is_dir()), None)
        if images is None:
            raise DataError(f"{folder} holds no folder {split} of pictures")
        return cls(json_path, ids, images)

    def __len__(self) -> int:
        return len(self._annotations)

    def __iter__(self) -> Iterator[PanopticSample]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> PanopticSample:
        """One picture.

        Raises:
            DataError: files missing, sizes that differ, ids and records that do not agree, an unknown category.
        """
        annotation = self._annotations[index]
        require_keys(annotation, ("image_id", "file_name", "segments_info"), f"{self._json_path}, annotation {index}")
        if annotation["image_id"] not in self._images:
            raise DataError(
                f"{self._json_path}: annotation {index} is for image {annotation['image_id']}, which is not listed"
            )
        image_path = self.images_folder / self._images[annotation["image_id"]]["file_name"]
        ids_path = self.ids_folder / annotation["file_name"]
        rgb = read_rgb(image_path)
        colours = cv2.imread(str(ids_path), cv2.IMREAD_COLOR) if ids_path.is_file() else None
        if colours is None:
            raise DataError(f"the id picture {ids_path} does not exist or is no picture")
        blue, green, red = (colours[..., c].astype(np.int32) for c in range(3))
        ids = red + 256 * green + 65536 * blue
        require_same_size(rgb, ids, image_path, ids_path)
        segments = []
        for record in annotation["segments_info"]:
            require_keys(record, ("id", "category_id"), f"{ids_path}, segment")
            if record["category_id"] not in self._class_of_id:
                raise DataError(f"{ids_path}: segment {record['id']} has the unknown category {record['category_id']}")
            segments.append(
                SegmentInfo(int(record["id"]), self._class_of_id[record["category_id"]], bool(record.get("iscrowd", 0)))
            )
        found, listed = set(np.unique(ids).tolist()) - {0}, {s.segment_id for s in segments}
        if found != listed:
            raise DataError(f"{ids_path}: ids in the picture and in the JSON differ: {sorted(found ^ listed)[:5]}")
        return PanopticSample(image_path.name, rgb, ids, tuple(segments))
