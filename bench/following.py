# SPDX-License-Identifier: Apache-2.0
r"""How well things are followed that an arm hides and pushes, while others beside them are not targets.

    python -m seem_ros.sim.clips --out out/clips --count 8 --frames 90 --seed 850
    python bench/following.py out/clips --every 1 2

Half of a clip's objects are followed at a time, each from one click on the first picture: where all are, a mask that
runs over into a neighbour is given back to it. Told are the shares of pictures in which at least 30 % of an object's
first area is seen and its target overlaps it by less than a half (wrong), of those in which more than half of its
largest area is seen and the target is not (missed), and of those in which it is hidden and the target is seen all the
same (ghosts). Nothing here is timed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import table

from seem_ros import Frame, Prompt, Segmenter
from seem_ros.command_line import one_line_errors
from seem_ros.datasets.davis import DavisVideos, VideoSequence
from seem_ros.errors import PromptError
from seem_ros.evaluation.metrics.iou import iou
from seem_ros.evaluation.metrics.number_of_clicks import next_click
from seem_ros.evaluation.simulated_user import as_click
from seem_ros.perception.tracking.tracker import Tracker

FRAME_NS = 50_000_000
LEAST_PX = 150  # of an object in the first picture: smaller ones are hard to click


def follow(segmenter: Segmenter, clip: VideoSequence, every: int, half: int, counts: dict[str, list[float]]) -> None:
    """Adds what one half of a clip's objects gives in every n-th picture, a value per object and picture."""
    first, tracker, clicks = clip.read(0), Tracker(segmenter), {}
    objects = [number for number in np.unique(first.labels) if number and (first.labels == number).sum() >= LEAST_PX]
    for number in objects[half::2]:
        click = next_click(np.zeros(first.labels.shape, bool), first.labels == number)
        assert click is not None, "it was found in this picture"
        clicks[number] = Prompt(clicks=(as_click(click),))
    if not clicks:
        return
    started = tracker.start(list(clicks.values()), Frame(first.rgb, stamp_ns=0)).target_ids
    truth = {target_id: number for number, target_id in reversed(list(zip(clicks, started, strict=True))) if target_id}
    areas = {number: int((first.labels == number).sum()) for number in clicks}
    largest = dict(areas)
    for index in range(every, len(clip), every):
        shot = clip.read(index)
        segments = tracker.step(Frame(shot.rgb, stamp_ns=index * FRAME_NS))
        for target_id, number in truth.items():
            true = shot.labels == number
            area = int(true.sum())
            largest[number] = max(largest[number], area)
            is_seen = segments.by_target(target_id) is not None
            hidden = area < 0.04 * areas[number]
            overlap = iou(segments.mask(target_id), true) if is_seen else 0.0
            if hidden:
                counts["ghosts"].append(is_seen)
            elif is_seen or area > 0.5 * largest[number]:
                counts["IoU"].append(overlap)
                counts["missed"].append(not is_seen)
                counts["wrong"].append(is_seen and overlap < 0.5 and area > 0.3 * areas[number])


def measure(options: argparse.Namespace) -> str:
    """The table, a row per step.

    Raises:
        SeemError: The clips or the model cannot be used.
    """
    rows: dict[str, dict[str, float]] = {}
    with Segmenter.load(options.model) as segmenter:
        for every in options.every:
            counts: dict[str, list[float]] = {name: [] for name in ("IoU", "wrong", "missed", "ghosts")}
            for clip in DavisVideos(options.clips):
                for half in (0, 1):
                    follow(segmenter, clip, every, half, counts)
            rows[f"{every}"] = {name: float(np.mean(values)) for name, values in counts.items()}
    return table(rows, "every n-th picture", 3)


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="in the DAVIS layout, every object labelled in the first picture")
    parser.add_argument("--model", default="builtin", help="name or folder of a package")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 2], help="follow in every n-th picture")
    options = parser.parse_args(argv)
    if min(options.every) < 1:
        raise PromptError("--every must be at least 1")
    print(measure(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
