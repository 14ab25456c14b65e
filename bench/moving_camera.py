# SPDX-License-Identifier: Apache-2.0
r"""How well a thing is followed while the camera moves: labelled photographs, moved, with something in front.

    python bench/moving_camera.py --real DIR --videos 24 --speeds 0.05 0.15 0.3

Each video is one photograph of the val split seen by a camera that swings out and back, turns and zooms a little, while
a thing cut out of another photograph passes in front. Speed is the camera's, in diagonals of the thing a picture. The
thing is followed from one click on the first picture; counted is the overlap with the truth where a hundred pixels or
more of it are seen, and pictures in which it has an answer though nothing of it is seen. Nothing here is timed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from measuring import table

from seem_ros import Frame, Prompt, Segmenter
from seem_ros.command_line import one_line_errors
from seem_ros.datasets.scenes.label_folder import LabelFolder
from seem_ros.errors import PromptError
from seem_ros.evaluation.metrics.iou import iou
from seem_ros.evaluation.metrics.number_of_clicks import next_click
from seem_ros.evaluation.photographs import open_photographs
from seem_ros.evaluation.simulated_user import as_click
from seem_ros.perception.tracking.tracker import Tracker

PICTURES = 14
LONGEST_PX = 480
SHARE = (0.01, 0.3)  # of its picture that a followed thing takes: smaller ones hardly move, larger ones leave the view
COVER = 0.22  # the passing thing's longest side, as a share of the picture's
ZOOM = 1.25  # so much larger than the photograph: its border is seldom seen
LEAST_PX = 100
FRAME_NS = 100_000_000


@dataclass(frozen=True)
class Cut:
    """A thing of a photograph: uint8 [H, W, 3] and its mask, bool [H, W]."""

    rgb: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Video:
    """Pictures, uint8 [H, W, 3] each, and where the thing is seen in them, bool [H, W] each."""

    pictures: list[np.ndarray]
    truth: list[np.ndarray]


def cuts(folders: Sequence[LabelFolder], rng: np.random.Generator) -> Iterator[Cut]:
    """Things of photographs in a random order, without end."""
    while True:
        folder = folders[int(rng.integers(len(folders)))]
        picture = folder.read(int(rng.integers(len(folder))))
        if not picture.things:
            continue
        thing = picture.things[int(rng.integers(len(picture.things)))]
        scale = LONGEST_PX / max(picture.ids.shape)
        rgb = cv2.resize(picture.rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        mask = (picture.ids == thing.id).astype(np.uint8)
        yield Cut(rgb, cv2.resize(mask, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0)


def moved(thing: Cut, passing: Cut, speed: float, rng: np.random.Generator) -> Video:
    """A video of a thing that does not move, by a camera that does."""
    height, width = thing.mask.shape
    rows, columns = np.nonzero(thing.mask)
    middle = np.array([columns.mean(), rows.mean()])
    diagonal = math.hypot(np.ptp(columns) + 1, np.ptp(rows) + 1)
    way = rng.uniform(0, 2 * math.pi)
    velocity = np.array([math.cos(way), math.sin(way)]) * diagonal * speed
    turn_deg, zoom, side = rng.normal(0, 1.15), rng.normal(1, 0.012), float(rng.choice([-1, 1]))
    cover = smaller(passing, COVER * max(height, width))
    begin = middle - (side * width * 0.35, rng.uniform(-0.1, 0.1) * height)
    step = np.array([side * width * 0.7 / PICTURES, rng.normal(0, 2)])
    pictures, truth = [], []
    for number in range(PICTURES):
        rgb, mask = thing.rgb.copy(), thing.mask.astype(np.uint8)
        lay(cover, rgb, mask, begin + step * number)
        swing = math.sin(2 * math.pi * number / PICTURES) * PICTURES / (2 * math.pi)  # out and back, at that speed
        view = cv2.getRotationMatrix2D((middle[0], middle[1]), turn_deg * swing, ZOOM * zoom**swing)
        view[:, 2] += velocity * swing + (width / 2, height / 2) - middle
        size = (width, height)
        pictures.append(cv2.warpAffine(rgb, view, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
        truth.append(cv2.warpAffine(mask, view, size, flags=cv2.INTER_NEAREST) > 0)
    return Video(pictures, truth)


def smaller(cut: Cut, longest_px: float) -> Cut:
    """The thing alone, of another size."""
    rows, columns = np.nonzero(cut.mask)
    own = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    rgb, mask = cut.rgb[own], cut.mask[own].astype(np.uint8)
    scale = longest_px / max(mask.shape)
    rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Cut(rgb, cv2.resize(mask, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0)


def lay(cover: Cut, rgb: np.ndarray, mask: np.ndarray, middle_xy: np.ndarray) -> None:
    """Lays a thing over a picture and takes what it hides out of the mask, in place."""
    height, width = mask.shape
    tall, wide = cover.mask.shape
    x, y = (int(v) for v in middle_xy - (wide / 2, tall / 2))
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + wide, width), min(y + tall, height)
    if x0 < x1 and y0 < y1:
        part = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
        on = cover.mask[part]
        rgb[y0:y1, x0:x1][on] = cover.rgb[part][on]
        mask[y0:y1, x0:x1][on] = 0


def follow(segmenter: Segmenter, video: Video) -> tuple[list[float], int, int]:
    """Overlaps where the thing is seen; pictures in which it is hidden, and those of them with an answer."""
    click = next_click(np.zeros_like(video.truth[0]), video.truth[0])
    assert click is not None, "the first picture shows the thing"
    tracker, overlaps, hidden, wrong = Tracker(segmenter), [], 0, 0
    for number, (picture, truth) in enumerate(zip(video.pictures, video.truth, strict=True)):
        frame = Frame(picture, stamp_ns=(number + 1) * FRAME_NS)
        if number == 0:
            tracker.start([Prompt(clicks=(as_click(click),))], frame)
            continue
        mask = tracker.step(frame).labels > 0
        if truth.sum() > LEAST_PX:
            overlaps.append(iou(mask, truth))
        elif not truth.any():
            hidden, wrong = hidden + 1, wrong + int(mask.any())
    return overlaps, hidden, wrong


def measure(options: argparse.Namespace) -> str:
    """The table, a row per speed.

    Raises:
        SeemError: The photographs or the model cannot be used.
    """
    folders = [folder for folder, _ in open_photographs(options.real)]
    rows: dict[str, dict[str, float]] = {}
    with Segmenter.load(options.model) as segmenter:
        for speed in options.speeds:
            rng, hidden, wrong = np.random.default_rng(options.seed), 0, 0
            means: list[float] = []
            drawn = cuts(folders, rng)
            while len(means) < options.videos:
                thing, passing = next(drawn), next(drawn)
                if not SHARE[0] < thing.mask.mean() < SHARE[1] or not passing.mask.any():
                    continue
                video = moved(thing, passing, speed, rng)
                if video.truth[0].sum() < 2 * LEAST_PX:
                    continue
                overlaps, unseen, answered = follow(segmenter, video)
                means.append(float(np.mean(overlaps)))
                hidden, wrong = hidden + unseen, wrong + answered
            low = sum(mean < 0.3 for mean in means) / len(means)
            shares = {
                "mean IoU": float(np.mean(means)),
                "videos below .3": low,
                "hidden": hidden,
                "found hidden": wrong,
            }
            rows[f"{speed:g}"] = shares
    return table(rows, "diagonals a picture", 3)


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="folder with index.json, or of such folders")
    parser.add_argument("--model", default="builtin", help="name or folder of a package")
    parser.add_argument("--videos", type=int, default=24, help="per speed")
    parser.add_argument("--speeds", type=float, nargs="+", default=[0.05, 0.15, 0.3], help="diagonals a picture")
    parser.add_argument("--seed", type=int, default=3, help="draws the videos")
    options = parser.parse_args(argv)
    if options.videos < 1 or not options.speeds or min(options.speeds) < 0:
        raise PromptError("--videos must be at least 1, --speeds at least 0")
    print(measure(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
