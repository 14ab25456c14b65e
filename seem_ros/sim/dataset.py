# SPDX-License-Identifier: Apache-2.0
"""Renders short clips with ground truth for training, fast: one compiled stage serves many scenes.

Each clip is three frames of one scene some time apart: objects were pushed, came or left, the camera moved, the arm
swept through. Positions are teleported (no physics), which is what makes it fast. `--scene clutter` renders piles and
totes of everyday things seen from above, two frames each. Written as shards of plain arrays.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seem_ros.command_line import one_line_errors
from seem_ros.errors import DataError, SeemError
from seem_ros.sim.clutter.renderer import ClutterStage
from seem_ros.sim.fast_renderer import ClipStage
from seem_ros.sim.scene.mesh_files import SHIPPED, ThingMesh, read_things
from seem_ros.sim.vocabulary import COLOURS, HELD_OUT_PAIRS, KEPT_OUT, SHAPES, SIZES, STUFF, TOTE

FRAMES_PER_CLIP = 3
FRAMES_PER_PILE_CLIP = 2
_CLIPS_PER_STAGE = 20
#: Settling a pile costs as much as four of its clips, compiling a stage as much as ten.
_CLIPS_PER_PILE, _CLIPS_PER_PILE_STAGE = 8, 32
SCENES = ("tabletop", "clutter")


@dataclass(frozen=True, eq=False)
class Rendered:
    """Clips of one shard: rgb uint8 [n, T, H, W, 3], ids uint8 [n, T, H, W], a record each, and the world's words."""

    rgb: np.ndarray
    ids: np.ndarray
    records: list[dict]
    shapes: tuple[str, ...]
    stuff: tuple[str, ...]
    split: str


def tabletop_clips(count: int, seed: int, split: str, height_px: int, width_px: int) -> Rendered:
    """Renders the ordinary tabletop: three frames a clip.

    Args:
        count: number of clips.
        seed: the same seed gives the same clips.
        split: "train" never shows `HELD_OUT_PAIRS`; "val" shows them often.
        height_px: picture height.
        width_px: picture width.

    Raises:
        DataError: no GL.
    """
    rgb, ids = _empty(count, FRAMES_PER_CLIP, height_px, width_px)
    records = []
    for start in range(0, count, _CLIPS_PER_STAGE):
        with ClipStage(np.random.default_rng((seed, start)), split, height_px, width_px) as stage:
            for index in range(start, min(count, start + _CLIPS_PER_STAGE)):
                record = stage.render_clip(np.random.default_rng((seed, index, 1)), rgb[index], ids[index])
                records.append({"clip": index, **record})
    return Rendered(rgb, ids, records, SHAPES, STUFF, split)


def clutter_clips(
    count: int, seed: int, things: Sequence[ThingMesh], pictures: Sequence[np.ndarray], height_px: int, width_px: int
) -> Rendered:
    """Renders piles and totes of things seen from above: two frames a clip.

    Args:
        count: number of clips.
        seed: the same seed gives the same clips.
        things: meshes to draw from, beside the solids.
        pictures: uint8 [h, w, 3] RGB textures.
        height_px: picture height.
        width_px: picture width.

    Raises:
        DataError: no GL, or no pile stays on the table.
    """
    rgb, ids = _empty(count, FRAMES_PER_PILE_CLIP, height_px, width_px)
    records = []
    for start in range(0, count, _CLIPS_PER_PILE_STAGE):
        rng = np.random.default_rng((seed, start))
        with ClutterStage(rng, things, pictures, height_px, width_px) as stage:
            for index in range(start, min(count, start + _CLIPS_PER_PILE_STAGE)):
                if index % _CLIPS_PER_PILE == 0:
                    stage.settle(np.random.default_rng((seed, index, 7)))
                record = stage.render_clip(np.random.default_rng((seed, index, 1)), rgb[index], ids[index])
                records.append({"clip": index, **record})
    shapes = tuple(dict.fromkeys([*SHAPES, *(thing.name for thing in things)]))
    return Rendered(rgb, ids, records, shapes, (*STUFF, TOTE), "train")


def _empty(count: int, frames: int, height_px: int, width_px: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (count, frames, height_px, width_px)
    return np.empty((*shape, 3), np.uint8), np.zeros(shape, np.uint8)


def write_shard(out: Path, name: str, seed: int, clips: Rendered) -> None:
    """Puts rendered clips in place under their final name only when they are complete.

    Args:
        out: existing folder.
        name: shard name; writes NAME.rgb.npy, NAME.ids.npy and last NAME.json.
        seed: that made them.
        clips: what to write.

    Raises:
        DataError: the disk is full.
    """
    meta = {
        "seed": seed,
        "split": clips.split,
        "height": clips.rgb.shape[2],
        "width": clips.rgb.shape[3],
        "shapes": clips.shapes,
        "colours": COLOURS,
        "sizes": SIZES,
        "stuff": clips.stuff,
        "held_out_pairs": sorted(HELD_OUT_PAIRS),
        "clips": clips.records,
    }
    try:
        for suffix, array in ((".rgb.npy", clips.rgb), (".ids.npy", clips.ids)):
            np.save(out / f".{name}{suffix}", array)
        (out / f".{name}.json").write_text(json.dumps(meta))
        for suffix in (".rgb.npy", ".ids.npy", ".json"):  # the JSON last: a reader that sees it finds all three
            (out / f".{name}{suffix}").rename(out / f"{name}{suffix}")
    except OSError as error:
        for suffix in (".rgb.npy", ".ids.npy", ".json"):
            (out / f".{name}{suffix}").unlink(missing_ok=True)
        raise DataError(f"shard {name} cannot be written to {out}: {error.strerror or error}") from error


def read_textures(folder: Path | None) -> list[np.ndarray]:
    """Pictures below a folder, uint8 [h, w, 3] RGB, at most 256 pixels wide; none for None.

    Raises:
        DataError: the folder holds no picture, or a file that is none.
    """
    if folder is None:
        return []
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    if not paths:
        raise DataError(f"{folder} holds no texture (*.jpg, *.png)")
    pictures = []
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise DataError(f"{path} cannot be read as a picture")
        shrink = min(1.0, 256 / max(picture.shape[:2]))
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        pictures.append(np.ascontiguousarray(picture[..., ::-1]))
    return pictures


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards (made if missing)")
    parser.add_argument("--scenes", type=int, required=True, help="number of clips in all")
    parser.add_argument("--seed", type=int, default=0, help="the first shard's seed; each further shard adds one")
    parser.add_argument("--scene", choices=SCENES, default="tabletop", help="things on a table, or piles and totes")
    parser.add_argument(
        "--meshes", type=Path, default=SHIPPED, help="clutter: folder of *.stl (default: those that ship)"
    )
    parser.add_argument("--textures", type=Path, help="clutter: folder of pictures to paint things with")
    parser.add_argument(
        "--keep-out",
        default=",".join(KEPT_OUT),
        metavar="NAMES",
        help="clutter: things that are never shown (default %(default)s)",
    )
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--shard-size", type=int, default=200, help="clips per shard")
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    options = parser.parse_args(arguments)
    try:
        if options.scenes < 1 or options.shard_size < 1:
            raise DataError(f"--scenes and --shard-size must be at least 1, got {options.scenes}, {options.shard_size}")
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"the folder {options.out} cannot be made: {error.strerror or error}") from error
        render = _renderer(options)
        for shard, start in enumerate(range(0, options.scenes, options.shard_size)):
            name = f"shard_{options.seed + shard:07d}"
            count = min(options.shard_size, options.scenes - start)
            if (options.out / f"{name}.json").exists():
                _same_as_asked(options, name, count)
                continue
            began = time.monotonic()
            clips = render(count, options.seed + shard)
            write_shard(options.out, name, options.seed + shard, clips)
            took = time.monotonic() - began
            print(
                f"{name}: {count} clips in {took:.1f} s, {clips.rgb.shape[1] * count / took:.1f} frames/s", flush=True
            )
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _same_as_asked(options: argparse.Namespace, name: str, count: int) -> None:
    """Refuses a shard that an earlier run made with other settings: it would be taken for what is asked for now."""
    path = options.out / f"{name}.json"
    try:
        header = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    split = "train" if options.scene == "clutter" else options.split
    asked = {"split": split, "height": options.height, "width": options.width}
    other = [f"{key} {header.get(key)!r}, not {value!r}" for key, value in asked.items() if header.get(key) != value]
    if len(header.get("clips", ())) != count:
        other.append(f"{len(header.get('clips', ()))} clips, not {count}")
    if other:
        raise DataError(f"{path} is there already, with {'; '.join(other)}: give another --out or --seed")


def _renderer(options: argparse.Namespace) -> Callable[[int, int], Rendered]:
    """What makes clips from their count and a seed."""
    size = (options.height, options.width)
    if options.scene == "tabletop":
        return lambda count, seed: tabletop_clips(count, seed, options.split, *size)
    kept_out = [name.strip() for name in options.keep_out.split(",") if name.strip()]
    things, pictures = read_things(options.meshes, kept_out), read_textures(options.textures)
    return lambda count, seed: clutter_clips(count, seed, things, pictures, *size)


if __name__ == "__main__":
    sys.exit(main())
