# SPDX-License-Identifier: Apache-2.0
"""A person's corrections, saved into the same set: objects outlined anew, renamed, added or taken out.

A corrected picture counts as looked at: it leaves the list of doubts, and training draws it more often.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seem_ros.datasets.pictures import read_json, read_labels, read_rgb
from seem_ros.errors import DataError
from seem_ros.files import write_atomically
from seem_ros.labelling.label_set import CORRECTED_WEIGHT, LabelSet


@dataclass(frozen=True, eq=False)
class Opened:
    """One picture of a set: rgb uint8 [H, W, 3], ids uint8 [H, W], and its record in labels.json."""

    rgb: np.ndarray
    ids: np.ndarray
    item: dict[str, Any]


class Correction:
    """Corrects pictures of one set.

    Args:
        labels: the set.
    """

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels

    def open(self, file: str) -> Opened:
        """One picture by its file as index.json or doubts.csv gives it.

        Raises:
            DataError: the set has no such picture, or its files cannot be read.
        """
        _, item = self._find(file)
        folder = self._labels.folder
        ids, _ = read_labels(folder / item["mask"])
        return Opened(read_rgb(folder / item["file"]), ids.astype(np.uint8), item)

    def put(self, file: str, mask: np.ndarray, object_id: int | None = None, name: str | None = None) -> int:
        """Gives an object another outline or name, or adds one.

        Args:
            file: the picture.
            mask: bool [H, W]; its pixels are taken from whatever has them now.
            object_id: an object of the picture; None adds one.
            name: what it is; None keeps the name, which a new object must have.

        Returns:
            The object's id.

        Raises:
            DataError: sizes differ, the mask is empty, there is no such object, a new one has no name, or the picture
                has 254 objects.
        """
        opened = self.open(file)
        if mask.shape != opened.ids.shape or not mask.any():
            raise DataError(
                f"{file}: a mask of {opened.ids.shape[1]}x{opened.ids.shape[0]} with a pixel inside is "
                f"needed, got {mask.shape[1]}x{mask.shape[0]}"
            )
        objects = opened.item["objects"]
        record = next((one for one in objects if one["id"] == object_id), None)
        if object_id is None:
            free = sorted(set(range(1, 255)) - {one["id"] for one in objects})
            if not name or not free:
                raise DataError(f"{file}: a new object needs a name, and a picture has 254 at most")
            record = {"id": free[0], "name": name, "track": self._track(opened.item, name, mask), "doubt": 0.0}
            objects.append(record)
        if record is None:
            known = ", ".join(str(one["id"]) for one in objects) or "none"
            raise DataError(f"{file} has no object {object_id}; it has {known}")
        record |= {"name": name or record["name"], "doubt": 0.0}
        opened.ids[opened.ids == record["id"]] = 0
        opened.ids[mask] = record["id"]
        self._save(file, opened.ids, objects)
        return record["id"]

    def take_out(self, file: str, object_id: int) -> None:
        """Takes an object out. Raises DataError when the picture has no such object."""
        opened = self.open(file)
        left = [one for one in opened.item["objects"] if one["id"] != object_id]
        if len(left) == len(opened.item["objects"]):
            raise DataError(f"{file} has no object {object_id}")
        opened.ids[opened.ids == object_id] = 0
        self._save(file, opened.ids, left)

    def confirm(self, file: str) -> None:
        """Says that a picture is right as it is."""
        opened = self.open(file)
        self._save(file, opened.ids, opened.item["objects"])

    def _save(self, file: str, ids: np.ndarray, objects: list[dict[str, Any]]) -> None:
        """The mask first: a record without its pixels would be refused, pixels of a record that is gone are not."""
        path, item = self._find(file)
        present = set(np.unique(ids).tolist())
        kept = [one for one in objects if one["id"] in present]
        record = read_json(path, "labels")
        for one in record["items"]:
            if one["file"] == item["file"]:
                one |= {"objects": kept, "corrected": True, "weight": CORRECTED_WEIGHT, "doubt": 0.0, "why": ""}
        good, data = cv2.imencode(".png", ids)
        if not good:
            raise DataError(f"the mask of {file} cannot be encoded")
        try:
            write_atomically(self._labels.folder / item["mask"], data.tobytes())
            write_atomically(path, json.dumps(record).encode())
        except OSError as error:
            raise DataError(f"the correction of {file} cannot be written: {error.strerror or error}") from error

    def _track(self, item: dict[str, Any], name: str, mask: np.ndarray) -> int:
        """The track of an added object: that of the nearest one of this name in the nearest frame with one, else new.

        Frames of one object have one track, or training would be told that it is gone. A track that this picture has
        already is another object's.
        """
        here = {one["track"] for one in item["objects"]}
        items = read_json(self._find(item["file"])[0], "labels")["items"]
        for other in sorted(items, key=lambda one: abs(one["frame"] - item["frame"])):
            same = [one for one in other["objects"] if one["name"] == name and one["track"] not in here]
            if not same:
                continue
            ids, _ = read_labels(self._labels.folder / other["mask"])
            middle = np.argwhere(mask).mean(axis=0)
            away = [np.linalg.norm(np.argwhere(ids == one["id"]).mean(axis=0) - middle) for one in same]
            return int(same[int(np.argmin(away))]["track"])
        return max((one["track"] for other in items for one in other["objects"]), default=0) + 1

    def _find(self, file: str) -> tuple[Path, dict[str, Any]]:
        """labels.json that holds a picture, and the picture's record."""
        source = self._labels.folder.joinpath(*Path(file).parts[:2]) / "labels.json"
        if not Path(file).is_absolute() and ".." not in Path(file).parts and source.is_file():
            for item in read_json(source, "labels")["items"]:
                if item["file"] == file:
                    return source, item
        raise DataError(f"{self._labels.folder} has no picture {file}; doubts.csv and index.json list them")
