# SPDX-License-Identifier: Apache-2.0
"""A set of labels on disk: one folder a source, and what is made of all of them together.

DIR/sources/NAME/   images/000120.jpg, masks/000120.png (an object's id per pixel), dropped/000120.png (what was not
                        believed), labels.json, sheet.jpg
DIR/index.json      what training and evaluation read (see `datasets.scenes.label_folder`)
DIR/instances.json  the same as COCO instances with track ids
DIR/doubts.csv      which pictures to look at first, and why
DIR/dropped.csv     what was not believed
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import cv2
import numpy as np

from seem_ros.datasets.pictures import read_json, read_labels
from seem_ros.errors import DataError
from seem_ros.files import claim_folder, unused_name, write_atomically
from seem_ros.labelling.teacher import KeyFrame
from seem_ros.perception.visualize import colour, contact_sheet

MERGED = ("index.json", "instances.json", "doubts.csv", "dropped.csv", "labelling.json")
#: A picture that a person looked at is drawn so many times as often in training.
CORRECTED_WEIGHT = 4.0
#: Of the pictures, kept for measuring where nobody says otherwise.
VAL_SHARE = 0.1
_SHEET_CELLS = 24
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class Doubt:
    """How much a picture wants a person's look: its file, the doubt 0..1, and why."""

    file: str
    doubt: float
    why: str


class _ObjectRecord(TypedDict):
    id: int
    name: str
    track: int
    doubt: float


class _DropRecord(TypedDict):
    frame: str
    value: int
    track: int
    name: str
    reason: str
    doubt: float


def source_name(path: str) -> str:
    """A folder name for a source: readable, and another one for another path."""
    stem = re.sub(r"[^\w.-]+", "_", Path(path).name)[:40] or "source"
    return f"{stem}-{hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:8]}"


class LabelSet:
    """Reads and writes one such folder.

    Args:
        folder: made if missing.
        about: how it is made; a folder that was made in another way is refused. None opens what is there.

    Raises:
        DataError: the folder holds foreign files, was made in another way, or cannot be written.
    """

    def __init__(self, folder: Path, about: dict[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        if about is None:
            if not (self.folder / "labelling.json").is_file():
                raise DataError(f"{folder} holds no labels made by seem_ros.tools.label")
            self.about: dict[str, Any] = read_json(self.folder / "labelling.json", "labels")
            return
        claim_folder(self.folder, (*MERGED, "sources"))
        self.about = json.loads(json.dumps(about))
        if (self.folder / "labelling.json").is_file():
            before = read_json(self.folder / "labelling.json", "labels")
            other = sorted(key for key in self.about if before.get(key) != self.about[key])
            if other:
                raise DataError(
                    f"{folder} was labelled with {other[0]} {before.get(other[0])!r}, now it is "
                    f"{self.about[other[0]]!r}: give another --out"
                )
        self._write("labelling.json", json.dumps(self.about, indent=1))

    # Sources ----------------------------------------------------------------------------------------------------

    def is_done(self, source: str) -> bool:
        """Whether a source is labelled already."""
        return (self.folder / "sources" / source_name(source) / "labels.json").is_file()

    def add_source(self, source: str, key_frames: Iterable[tuple[str, KeyFrame]]) -> dict[str, int]:
        """Writes one source whole or not at all.

        Args:
            source: its path.
            key_frames: name and labels of each key frame, in order; may be made while they are written.

        Returns:
            Counts: pictures, objects, dropped.

        Raises:
            DataError: the disk is full; whatever `key_frames` raises goes on after the half-written folder is gone.
        """
        name = source_name(source)
        final = self.folder / "sources" / name
        part = self.folder / "sources" / f".{name}.part"
        if part.exists():  # of a run that was killed; nobody else writes this name
            shutil.rmtree(part)
        try:
            for folder in ("images", "masks", "dropped"):
                (part / folder).mkdir(parents=True)
            record = self._write_frames(part, f"sources/{name}", source, key_frames)
            (part / "labels.json").write_text(json.dumps(record))
            part.rename(final)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise DataError(f"the labels of {source} cannot be written: {error.strerror or error}") from error
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return {
            "pictures": len(record["items"]),
            "objects": sum(len(item["objects"]) for item in record["items"]),
            "dropped": len(record["dropped"]),
        }

    def _write_frames(
        self, part: Path, below: str, source: str, key_frames: Iterable[tuple[str, KeyFrame]]
    ) -> dict[str, Any]:
        items, dropped, cells = [], [], []
        stems: set[str] = set()
        for number, (name, key) in enumerate(key_frames):
            ids = np.zeros(key.frame.rgb.shape[:2], np.uint8)
            objects: list[_ObjectRecord] = []
            # Larger regions first: what lies on them stays whole.
            for label in sorted(key.labels, key=lambda one: -np.count_nonzero(one.mask))[:254]:
                ids[label.mask] = len(objects) + 1
                objects.append(
                    {"id": len(objects) + 1, "name": label.name, "track": label.track, "doubt": round(label.doubt, 4)}
                )
            present = set(np.unique(ids).tolist())
            objects = [one for one in objects if one["id"] in present]
            # some file systems do not tell cases apart
            stem = unused_name(re.sub(r"\W+", "_", name), lambda one: one.lower() in stems)
            stems.add(stem.lower())
            write_picture(part / "images" / f"{stem}.jpg", key.frame.rgb[..., ::-1])
            write_picture(part / "masks" / f"{stem}.png", ids)
            lost: list[_DropRecord] = [
                {
                    "frame": name,
                    "value": value,
                    "track": one.track,
                    "name": one.name,
                    "reason": one.reason,
                    "doubt": round(one.doubt, 4),
                }
                for value, one in enumerate(key.drops[:254], 1)
            ]
            if lost:
                gone = np.zeros_like(ids)
                for value, one in enumerate(key.drops[:254], 1):
                    gone[one.mask] = value
                write_picture(part / "dropped" / f"{stem}.png", gone)
            dropped += lost
            items.append(
                {
                    "file": f"{below}/images/{stem}.jpg",
                    "mask": f"{below}/masks/{stem}.png",
                    "width": key.frame.width,
                    "height": key.frame.height,
                    "sequence": below,
                    "frame": number,
                    "stamp_ns": key.frame.stamp_ns,
                    "objects": objects,
                    "exhaustive": False,
                    "doubt": round(max([0.0, *(one["doubt"] for one in objects), *(one["doubt"] for one in lost)]), 4),
                    "why": max(lost, key=lambda one: one["doubt"])["reason"] if lost else "",
                }
            )
            cells.append((stem, tinted(key.frame.rgb, ids, [one["track"] for one in objects])))
            if len(cells) > 2 * _SHEET_CELLS:
                cells = cells[::2]
        if not items:
            raise DataError(f"{source} holds no picture")
        step = -(-len(cells) // _SHEET_CELLS)
        sheet = contact_sheet([image for _, image in cells[::step]], titles=[stem for stem, _ in cells[::step]])
        write_picture(part / "sheet.jpg", sheet[..., ::-1])
        return {"source": str(source), "items": items, "dropped": dropped}

    # All of them ------------------------------------------------------------------------------------------------

    def records(self) -> list[dict[str, Any]]:
        """labels.json of every source that is done, in the order of their names."""
        return [read_json(path, "labels") for path in sorted(self.folder.glob("sources/*/labels.json"))]

    @property
    def val_share(self) -> float:
        """The share that was kept for measuring when the sources were merged last; the usual one where none were."""
        if not (self.folder / "index.json").is_file():
            return VAL_SHARE
        return float(read_json(self.folder / "index.json", "labels").get("val_share", VAL_SHARE))

    def merge(self, val_share: float = VAL_SHARE) -> dict[str, int]:
        """Writes what is made of all sources together.

        Args:
            val_share: share of the pictures that are kept for measuring: the last ones of a source, so that near
                frames are not on both sides; at least one of a set of two.

        Returns:
            Counts: sources, pictures, objects, dropped.

        Raises:
            DataError: no source is done, or the disk is full.
        """
        records = self.records()
        if not records:
            raise DataError(f"{self.folder}: no source is labelled yet")
        items, dropped = [], []
        for record, kept in zip(records, _kept_for_measuring(records, val_share), strict=True):
            val_from = len(record["items"]) - kept
            items += [
                item | {"split": "val" if number >= val_from else "train"}
                for number, item in enumerate(record["items"])
            ]
            dropped += [one | {"source": record["source"]} for one in record["dropped"]]
        classes = Counter(one["name"] for item in items for one in item["objects"])
        index = {
            "source": self.folder.name,
            "classes": dict(classes.most_common()),
            "exhaustive_for_its_classes": False,
            "val_share": val_share,
            "items": items,
        }
        self._write("index.json", json.dumps(index))
        self._write("instances.json", json.dumps(self._coco(items, sorted(classes))))
        doubts = [[one.file, f"{one.doubt:.3f}", one.why] for one in rank(items)]
        self._write("doubts.csv", _table(["file", "doubt", "why"], doubts))
        rows = [[one["source"], one["frame"], one["track"], one["name"], one["reason"]] for one in dropped]
        self._write("dropped.csv", _table(["source", "frame", "track", "name", "reason"], rows))
        return {
            "sources": len(records),
            "pictures": len(items),
            "objects": sum(classes.values()),
            "dropped": len(dropped),
        }

    def _coco(self, items: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
        from pycocotools import mask as codec

        tracks: dict[tuple[str, int], int] = {}
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, item in enumerate(items, 1):
            images.append(
                {
                    "id": number,
                    "file_name": item["file"],
                    "width": item["width"],
                    "height": item["height"],
                    "sequence": item["sequence"],
                    "frame": item["frame"],
                    "split": item["split"],
                    **({"weight": item["weight"]} if "weight" in item else {}),
                }
            )
            ids, _ = read_labels(self.folder / item["mask"])
            for one in item["objects"]:
                mask = ids == one["id"]
                runs = codec.encode(np.asfortranarray(mask.astype(np.uint8)))
                ys, xs = np.nonzero(mask)
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": names.index(one["name"]) + 1,
                        "segmentation": {
                            "size": [int(size) for size in runs["size"]],
                            "counts": runs["counts"].decode(),
                        },
                        "area": int(mask.sum()),
                        "iscrowd": 0,
                        "bbox": [int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1],
                        # a track is an object through one source; numbers are not shared between sources
                        "track_id": tracks.setdefault((item["sequence"], one["track"]), len(tracks) + 1),
                    }
                )
        return {
            "info": {"description": f"labelled by {self.about.get('model')}"},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
        }

    def _write(self, name: str, text: str) -> None:
        try:
            write_atomically(self.folder / name, text.encode())
        except OSError as error:
            raise DataError(f"{self.folder / name} cannot be written: {error.strerror or error}") from error


def _kept_for_measuring(records: Sequence[dict[str, Any]], share: float) -> list[int]:
    """How many of each source's pictures are kept for measuring.

    What is left of a picture is rounded by the source's name: over many small sources the share is met, and a source
    that is added later moves no picture of another one to the other side.
    """
    counts = [len(record["items"]) for record in records]
    parts = [hashlib.sha256(str(record["source"]).encode()).digest()[0] / 256 for record in records]
    kept = [min(int(count * share + part), max(count - 1, 1)) for count, part in zip(counts, parts, strict=True)]
    if share > 0 and sum(counts) > 1 and not any(kept):
        kept[max(range(len(counts)), key=lambda i: (counts[i] > 1, counts[i] * share + parts[i]))] = 1
    if sum(counts) > 1 and sum(kept) == sum(counts):  # single pictures, all of which fell to this side
        kept[0] = 0
    return kept


def rank(items: Iterable[dict[str, Any]]) -> list[Doubt]:
    """Pictures that nobody looked at yet, the most doubtful first."""
    open_items = [item for item in items if not item.get("corrected")]
    found = [Doubt(item["file"], item["doubt"], item.get("why", "")) for item in open_items]
    return sorted(found, key=lambda one: (-one.doubt, one.file))


def tinted(rgb: np.ndarray, ids: np.ndarray, tracks: Sequence[int]) -> np.ndarray:
    """A picture with every object in its track's colour: rgb uint8 [H, W, 3], ids uint8 [H, W]."""
    table = np.zeros((256, 3), np.float32)
    for value, track in enumerate(tracks, 1):
        table[value] = colour(track)
    mixed = 0.45 * rgb + 0.55 * table[ids]
    return np.where((ids > 0)[..., None], mixed, rgb).astype(np.uint8)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Writes a picture. Raises OSError when it cannot be written whole."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix == ".jpg" else []
    good, data = cv2.imencode(path.suffix, np.ascontiguousarray(picture), options)
    if not good:
        raise DataError(f"{path} cannot be encoded")
    path.write_bytes(data.tobytes())


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
