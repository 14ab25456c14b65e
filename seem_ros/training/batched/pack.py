# SPDX-License-Identifier: Apache-2.0
"""Packs training pictures into a few files: small enough to carry to a GPU, quick enough to decode there.

    python -m seem_ros.training.batched.pack --labels photographs/* --shards out/tabletop --out out/packs/all

Pictures become WebP of at most 448 pixels a side, ids lossless WebP. Every picture of the folders' train split is
taken; of rendered clips two frames each; a folder of cut-outs gives things to paste and textures to paste them on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from seem_ros.datasets.scenes.cutout_folder import CutoutFolder
from seem_ros.datasets.scenes.label_folder import LabelFolder
from seem_ros.datasets.scenes.scene import Thing
from seem_ros.datasets.scenes.shards import Shards
from seem_ros.errors import DataError, SeemError
from seem_ros.files import claim_folder
from seem_ros.training.batched.picture_store import CANVAS, IGNORED, LARGEST_BASE_ID

QUALITY = 62  # of WebP: 13 kB a photograph; what it loses is less than the noise that training adds


class PackWriter:
    """Collects pictures and writes them as one pack."""

    def __init__(self) -> None:
        self._rows: list[dict] = []
        self._rgb, self._ids = bytearray(), bytearray()
        self._vocabulary: dict[str, list] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        rgb: np.ndarray,
        ids: np.ndarray,
        things: Sequence[Thing],
        source: str,
        *,
        exhaustive: bool = False,
        groups: Sequence[tuple[str, Sequence[int]]] = (),
        clip: str | None = None,
        simulated: bool = False,
    ) -> None:
        """Adds one picture.

        Args:
            rgb: uint8 [H, W, 3]; ids: uint8 [H, W].
            things: records of the ids; ids above `LARGEST_BASE_ID` are ignored, as pasted things need them.
            source: name of the set, by which pictures are weighed.
            exhaustive, groups, clip: see `StoredPicture`.
            simulated: the things' words are all that is true of them.
        """
        longest = max(ids.shape)
        if longest > CANVAS:
            size = tuple(max(1, round(side * CANVAS / longest)) for side in ids.shape[::-1])
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
            ids = cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST)
        ids = np.where(ids > LARGEST_BASE_ID, IGNORED, ids).astype(np.uint8)
        area = np.bincount(ids.ravel(), minlength=256)
        objects, boxes = [], []
        for one in things:
            if one.id > LARGEST_BASE_ID or not area[one.id]:
                continue
            x, y, w, h = cv2.boundingRect((ids == one.id).view(np.uint8))
            boxes.append([one.id, x, y, x + w, y + h, int(area[one.id])])
            objects.append([one.id, one.shape, one.colour, one.size, one.pattern, one.isthing, simulated])
        row = {
            "source": source,
            "hw": list(ids.shape),
            "exhaustive": exhaustive,
            "objects": objects,
            "groups": [[name, [i for i in members if i <= LARGEST_BASE_ID]] for name, members in groups],
            "clip": clip,
            "boxes": boxes,
        }
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        lossless = 101  # as OpenCV counts
        for key, blob, picture, quality in (
            ("rgb", self._rgb, bgr, QUALITY),
            ("ids", self._ids, cv2.merge([ids] * 3), lossless),
        ):
            coded = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
            row[key] = [len(blob), len(coded)]
            blob += coded
        self._rows.append(row)

    def add_labels(self, folder: LabelFolder) -> None:
        """Adds every picture of a folder with label images."""
        exhaustive = bool(folder.exhaustive_for)
        for picture in folder:
            groups = [(group.name, sorted(group.ids)) for group in picture.groups]
            self.add(picture.rgb, picture.ids, picture.things, folder.name, exhaustive=exhaustive, groups=groups)

    def add_shards(self, shards: Shards) -> None:
        """Adds two frames of every rendered clip, and the world's words."""
        header = shards.header
        for key in ("shapes", "colours", "stuff", "held_out_pairs"):
            known = self._vocabulary.setdefault(key, [])
            known += [one for one in header[key] if one not in known]
        for index in range(len(shards)):
            clip = shards.clip(index, (index % shards.frames, (index + 1) % shards.frames))
            for rgb, ids in zip(clip.rgb, clip.ids):
                name = f"{shards.name}-{index}"
                self.add(rgb, ids, clip.things, shards.name, exhaustive=True, clip=name, simulated=True)

    def add_cutouts(self, folder: CutoutFolder) -> None:
        """Adds cut-outs (source "cutout") and textures (source "texture")."""
        for rgba in map(folder.read, folder.cutouts):
            if rgba.shape[2] == 4:
                self.add(rgba[..., :3], (rgba[..., 3] > 127).astype(np.uint8), [Thing(1, None)], "cutout")
        for texture in map(folder.read, folder.textures):
            times = max(1, CANVAS // max(texture.shape[:2]))  # a seamless tile fills the canvas
            rgb = np.tile(texture[..., :3], (times, times, 1))
            self.add(rgb, np.zeros(rgb.shape[:2], np.uint8), [], "texture")

    def write(self, out: Path) -> None:
        """Writes OUT.json, OUT.rgb.bin and OUT.ids.bin, the index last.

        Raises:
            DataError: nothing was added, files of these names are there that no tool made, or the disk refuses.
        """
        if not self._rows:
            raise DataError("nothing to pack: no folder gave a picture")
        content = json.dumps({"vocabulary": self._vocabulary, "pictures": self._rows}).encode()
        parts = ((".rgb.bin", bytes(self._rgb)), (".ids.bin", bytes(self._ids)), (".json", content))
        claim_folder(out.parent, [out.name + suffix for suffix, _ in parts])
        try:
            for suffix, data in parts:
                part = out.with_name(f".{out.name}{suffix}.part")
                part.write_bytes(data)
                os.replace(part, out.with_name(out.name + suffix))
        except OSError as error:
            raise DataError(f"the pack {out} cannot be written: {error.strerror or error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m seem_ros.training.batched.pack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--labels", type=Path, nargs="*", default=[], help="folders with label images and index.json")
    parser.add_argument("--shards", type=Path, nargs="*", default=[], help="folders of rendered clips")
    parser.add_argument("--cutouts", type=Path, nargs="*", default=[], help="folders with cutouts*/ and textures*/")
    parser.add_argument("--out", type=Path, required=True, help="name of the pack, without suffix")
    options = parser.parse_args(arguments)
    try:
        pack = PackWriter()
        for folder in options.labels:
            pack.add_labels(LabelFolder(folder))
        for folder in options.shards:
            pack.add_shards(Shards(folder))
        for folder in options.cutouts:
            pack.add_cutouts(CutoutFolder(folder))
        pack.write(options.out)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {len(pack)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
