# SPDX-License-Identifier: Apache-2.0
"""Renders short clips with ground truth for training, fast: one compiled stage serves many scenes.

Each clip is three frames of one scene some time apart: objects were pushed, came or left, the camera moved, the arm
swept through. Positions are teleported (no physics), which is what makes it fast. Written as shards of plain arrays.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from seem_ros.errors import DataError, SeemError
from seem_ros.sim.fast_renderer import ClipStage
from seem_ros.sim.vocabulary import COLOURS, HELD_OUT_PAIRS, SHAPES, SIZES, STUFF

FRAMES_PER_CLIP = 3
_CLIPS_PER_STAGE = 20


def write_shard(out: Path, name: str, clips: int, seed: int, split: str, height_px: int, width_px: int) -> None:
    """Renders one shard and puts it in place under its final name only when it is complete.

    Args:
        out: existing folder.
        name: shard name; writes NAME.rgb.npy, NAME.ids.npy and last NAME.json.
        clips: number of clips.
        seed: the same seed gives the same shard.
        split: "train" never shows `HELD_OUT_PAIRS`; "val" shows them often.
        height_px: picture height.
        width_px: picture width.

    Raises:
        DataError: no GL, or the disk is full.
    """
    shape = (clips, FRAMES_PER_CLIP, height_px, width_px)
    rgb, ids, records = np.empty((*shape, 3), np.uint8), np.zeros(shape, np.uint8), []
    for start in range(0, clips, _CLIPS_PER_STAGE):
        with ClipStage(np.random.default_rng((seed, start)), split, height_px, width_px) as stage:
            for index in range(start, min(clips, start + _CLIPS_PER_STAGE)):
                record = stage.render_clip(np.random.default_rng((seed, index, 1)), rgb[index], ids[index])
                records.append({"clip": index, **record})
    meta = {
        "seed": seed,
        "split": split,
        "height": height_px,
        "width": width_px,
        "shapes": SHAPES,
        "colours": COLOURS,
        "sizes": SIZES,
        "stuff": STUFF,
        "held_out_pairs": sorted(HELD_OUT_PAIRS),
        "clips": records,
    }
    try:
        for suffix, array in ((".rgb.npy", rgb), (".ids.npy", ids)):
            np.save(out / f".{name}{suffix}", array)
        (out / f".{name}.json").write_text(json.dumps(meta))
        for suffix in (".rgb.npy", ".ids.npy", ".json"):  # the JSON last: a reader that sees it finds all three
            (out / f".{name}{suffix}").rename(out / f"{name}{suffix}")
    except OSError as error:
        for suffix in (".rgb.npy", ".ids.npy", ".json"):
            (out / f".{name}{suffix}").unlink(missing_ok=True)
        raise DataError(f"shard {name} cannot be written to {out}: {error.strerror or error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards (made if missing)")
    parser.add_argument("--scenes", type=int, required=True, help="number of clips in all")
    parser.add_argument("--seed", type=int, default=0, help="the first shard's seed; each further shard adds one")
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
        for shard, start in enumerate(range(0, options.scenes, options.shard_size)):
            name = f"shard_{options.seed + shard:07d}"
            if (options.out / f"{name}.json").exists():
                continue
            began = time.monotonic()
            count = min(options.shard_size, options.scenes - start)
            write_shard(options.out, name, count, options.seed + shard, options.split, options.height, options.width)
            took = time.monotonic() - began
            print(f"{name}: {count} clips in {took:.1f} s, {count * FRAMES_PER_CLIP / took:.1f} frames/s", flush=True)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
