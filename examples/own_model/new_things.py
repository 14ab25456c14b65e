# SPDX-License-Identifier: Apache-2.0
"""Footage of a simulated table with three things that the built-in model was never shown, as bags and with the truth.

python examples/own_model/new_things.py --clips 6 --seed 100 --bags out/bags            # what you would record
python examples/own_model/new_things.py --clips 12 --seed 200 --truth out/truth         # with perfect labels
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.ground_truth import RenderedFrame
from seem_ros.sim.scene.spec import ObjectSpec, SceneSpec
from seem_ros.sim.vocabulary import COLOURS, HELD_OUT_PAIRS, KEPT_OUT, SHAPES
from seem_ros.sim.world import World
from seem_ros.tools.bag_writer import BagWriter


def scene(seed: int) -> SceneSpec:
    """Three new things and three solids of drawn colours on a table without an arm."""
    rng = np.random.default_rng((seed, 5))
    objects = []
    for shape in (*KEPT_OUT, *rng.choice(SHAPES, 3, replace=False)):
        allowed = [colour for colour in COLOURS if (colour, shape) not in HELD_OUT_PAIRS]
        objects.append(ObjectSpec(str(shape), allowed[int(rng.integers(len(allowed)))]))
    return SceneSpec(tuple(objects), seed=seed, with_arm=False)


def frames(seed: int, count: int, rate_hz: float = 15.0) -> Iterator[RenderedFrame]:
    """A clip: the camera walks around the table, and now and then a thing is pushed."""
    rng = np.random.default_rng((seed, 6))
    while True:
        try:
            with World(scene(seed)) as world:
                view = world.viewpoint
                start, turn = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5)
                near, high = rng.uniform(0.75, 1.1), np.radians(rng.uniform(30, 60))
                for number in range(count):
                    part = number / max(count - 1, 1)
                    world.viewpoint = replace(
                        view,
                        azimuth=view.azimuth + start + turn * part,
                        elevation=high,
                        distance_m=view.distance_m * near,
                    )
                    if number % 15 == 10:
                        world.push(int(rng.integers(1, 7)), np.array([*rng.normal(0, 0.25, 2), 0.0]))
                    world.step(1 / rate_hz)
                    yield world.render()
                return
        except DataError as error:  # the drawn things did not fit on the table: draw others
            if "no room" not in str(error):
                raise
            seed += 100_000


def write_truth(out: Path, seeds: range, count: int, every: int) -> None:
    """A labelled folder (index.json) of every so many-th frame; the last fifth of the clips is for measuring."""
    items, classes = [], Counter()
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for place, seed in enumerate(seeds):
        for number, frame in enumerate(frames(seed, count)):
            if number % every:
                continue
            name = f"{seed}_{number:04d}"
            area = np.bincount(frame.ids.ravel(), minlength=256)
            things = [one for one in frame.instances if one.isthing and area[one.id] >= 20]
            ids = np.where(np.isin(frame.ids, [one.id for one in things]), frame.ids, 0).astype(np.uint8)
            cv2.imwrite(str(out / f"images/{name}.png"), frame.rgb[..., ::-1])
            cv2.imwrite(str(out / f"masks/{name}.png"), ids)
            objects = [{"id": one.id, "name": one.shape, "track": one.id} for one in things]
            classes.update(one["name"] for one in objects)
            items.append(
                {
                    "file": f"images/{name}.png",
                    "mask": f"masks/{name}.png",
                    "objects": objects,
                    "sequence": str(seed),
                    "frame": number,
                    "split": "train" if place < 0.8 * len(seeds) else "val",
                }
            )
    index = {"classes": dict(classes), "exhaustive_for_its_classes": True, "items": items}
    (out / "index.json").write_text(json.dumps(index))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, default=100, help="the first clip's")
    parser.add_argument("--every", type=int, default=10, help="of --truth: each so many-th frame")
    parser.add_argument("--bags", type=Path, help="folder for one bag a clip")
    parser.add_argument("--truth", type=Path, help="folder for a labelled set")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.clips)
    if options.bags:
        options.bags.mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            if not (options.bags / f"clip_{seed}").exists():
                with BagWriter(options.bags / f"clip_{seed}", depth=False) as bag:
                    for frame in frames(seed, options.frames):
                        bag.add(frame)
    if options.truth:
        write_truth(options.truth, seeds, options.frames, options.every)


if __name__ == "__main__":
    main()
