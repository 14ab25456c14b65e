# SPDX-License-Identifier: Apache-2.0
"""A folder of pictures with label images and an index.json: stills, frames of videos, whole things made of parts.

    FOLDER/index.json   {"classes": {name: count}, "exhaustive_for_its_classes": bool, "items": [ITEM, ...]}
    ITEM                {"file", "mask", "width", "height", "split": "train" | "val", "exhaustive": bool,
                         "objects": [{"id", "name" | null, "track"?}], "groups"?: [{"name", "ids"}],
                         "sequence"?, "frame"?, "weight"?}

Masks are grey PNGs: 0 unlabelled, an object's id, 255 ignored. Frames of one sequence give real pairs: objects with a
track keep their identity; without tracks, all objects of one name are taken together. Pictures of weight 3 are drawn
three times as often as those of weight 1, the usual one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from seem_ros.datasets.pictures import (
    read_json,
    read_labels,
    read_rgb,
    require_folder,
    require_keys,
    require_same_size,
)
from seem_ros.datasets.scenes.picture import LabeledPicture, Sequences
from seem_ros.datasets.scenes.scene import MAX_OBJECTS, Clip, Group, Thing, check_ids
from seem_ros.errors import DataError

SPLITS = ("train", "val")


class EmptySplitError(DataError):
    """The folder has pictures, none of them in this split."""


class LabelFolder:
    """Reads one split of such a folder.

    Args:
        folder: holds index.json.
        split: "train", "val" or None for all.

    Raises:
        DataError: no index, a field is missing, a picture or mask is not there or has another size, an id is recorded
            twice, a class has no picture, or the split is empty. The message names the file.
    """

    def __init__(self, folder: Path | str, split: str | None = "train") -> None:
        self.folder = require_folder(folder, "labelled pictures")
        self.name = self.folder.resolve().name
        self.licence = ""
        index = self.folder / "index.json"
        content = read_json(index, "labelled pictures")
        require_keys(content, ("items",), str(index))
        if split is not None and split not in SPLITS:
            raise DataError(f"the split is train, val or all (None), got {split!r}")
        self.licence = str(content.get("licence", ""))
        items = content["items"]
        for number, item in enumerate(items):
            self._check_item(item, f"{index}, item {number}")
        counts: dict[str, int] = defaultdict(int)
        for item in items:
            for name in {one["name"] for one in item["objects"] if one["name"]}:
                counts[name] += 1
        empty = sorted(set(content.get("classes", {})) - set(counts))
        if empty:
            raise DataError(f"{index}: the class {empty[0]!r} has no picture")
        self._all_for = frozenset(counts) if content.get("exhaustive_for_its_classes") else frozenset()
        self._items = [item for item in items if split is None or item.get("split", "train") == split]
        if not self._items:
            raise EmptySplitError(f"{index} has no picture of the split {split!r}")
        self.names = frozenset(
            one["name"] for item in self._items for one in [*item["objects"], *item.get("groups", ())] if one["name"]
        )
        self.weights = np.array([float(item.get("weight", 1)) for item in self._items])
        self._sequences = Sequences((item.get("sequence"), item.get("frame", 0)) for item in self._items)

    @property
    def exhaustive_for(self) -> frozenset[str]:
        """Class names of which every instance is labelled in every picture."""
        return self._all_for

    def class_count(self, name: str) -> int:
        """Number of objects of a class in the pictures that this reader reads."""
        return sum(one["name"] == name for item in self._items for one in item["objects"])

    def counts(self, split: str) -> dict[str, int]:
        """Class name -> number of objects in the pictures of a split that this reader reads."""
        names = [one["name"] for item in self._items if item.get("split", "train") == split for one in item["objects"]]
        return dict(Counter(name for name in names if name))

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[LabeledPicture]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> LabeledPicture:
        """One picture. Raises DataError that names the file which is missing or does not fit."""
        item = self._items[index]
        image_path, mask_path = self.folder / item["file"], self.folder / item["mask"]
        rgb, (labels, _) = read_rgb(image_path), read_labels(mask_path)
        require_same_size(rgb, labels, image_path, mask_path)
        things = tuple(Thing(one["id"], one["name"]) for one in item["objects"])
        tracks = {one["id"]: (one["name"], one.get("track")) for one in item["objects"]}
        check_ids(labels, things, str(mask_path))
        present = set(np.unique(labels).tolist())
        lost = [thing.id for thing in things if thing.id not in present]
        if lost:
            raise DataError(f"{mask_path} has no pixel of object {lost[0]}, which {self.folder / 'index.json'} lists")
        groups = tuple(Group(one["name"], frozenset(one["ids"])) for one in item.get("groups", ()))
        exhaustive = self.names if item.get("exhaustive") else self._all_for
        return LabeledPicture(str(image_path), rgb, labels.astype(np.uint8), things, groups, exhaustive, tracks)

    def draw(self, index: int, rng: np.random.Generator) -> Clip:
        """One picture twice, or with a near frame of its sequence; see `SceneSource.draw`."""
        partner = self._sequences.near(index, rng)
        return self.read(index).still() if partner is None else self.read(index).paired(self.read(partner))

    def check(self) -> None:
        """Reads everything once; see `SceneSource.check`."""
        for index in range(len(self)):
            self.read(index)

    def _check_item(self, item: dict, where: str) -> None:
        require_keys(item, ("file", "mask", "objects"), where)
        if "sequence" in item:
            require_keys(item, ("frame",), where)
        for one in [*item["objects"], *item.get("groups", ())]:
            require_keys(one, ("name",), where)
        ids = [one.get("id") for one in item["objects"]]
        wrong = [one for one in ids if not isinstance(one, int) or not 1 <= one <= MAX_OBJECTS]
        if wrong:
            raise DataError(f"{where} ({item['file']}): an object's id is 1..{MAX_OBJECTS}, got {wrong[0]!r}")
        if len(set(ids)) != len(ids):
            raise DataError(f"{where} ({item['file']}): an object's id is recorded twice")
        for group in item.get("groups", ()):
            if not set(group.get("ids", ())) or not set(group["ids"]) <= set(ids):
                raise DataError(f"{where} ({item['file']}): the group {group['name']!r} names ids without a record")
        sizes = [picture_size(self.folder / item[key]) for key in ("file", "mask")]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"{self.folder / item['file']} is {sizes[0][0]}x{sizes[0][1]} but its mask "
                f"{self.folder / item['mask']} is {sizes[1][0]}x{sizes[1][1]}: they must have one size"
            )
        given = (item.get("width", sizes[0][0]), item.get("height", sizes[0][1]))
        if given != sizes[0]:
            raise DataError(
                f"{self.folder / item['file']} is {sizes[0][0]}x{sizes[0][1]}, but {where} says {given[0]}x{given[1]}"
            )


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) from a picture's header. Raises DataError when it is missing or no picture."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} cannot be read as a picture") from error
