# SPDX-License-Identifier: Apache-2.0
r"""How the cost of a frame grows with targets and with cameras: tables and a plot, all in one run.

    python bench/growth.py --package builtin --out out/growth

Targets: 1 to 64 discs of different colours on one picture that moves, each followed by its own target; a frame is the
picture encoded and all targets followed, label image included. Standing: the same 64 targets before a camera that
stands still and whose pixels are noisy, where only some of the discs move. Cameras: each with four targets, taking
turns on one model as in the node; a round is one frame of each. Medians and 99th percentiles. Run it on an idle
machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from measuring import CALIBRATION, calibration_ms, machine, table

from seem_ros.errors import SeemError
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.tracker import Tracker
from seem_ros.runtime.loader import load_backend

COUNTS, CAMERAS = (1, 2, 4, 8, 16, 32, 64), (1, 2, 4, 8)
MOVING = ((4, 4), (0, 4), (0, 64), (4, 64), (16, 64), (64, 64))  # how many of how many targets
HEIGHT, WIDTH = 480, 640
COLUMNS, ROWS, RADIUS = 8, 8, 22  # 64 discs with room between them
FRAME_NS = 33_000_000
NOISE = 4.0  # grey levels, standard deviation per pixel: a webcam's indoors


def frames(count: int, seed: int = 0) -> Iterator[Frame]:
    """Discs that move one pixel a frame."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for x, y in centres():
        cv2.circle(picture, (x, y), RADIUS, tuple(int(v) for v in rng.integers(0, 255, 3)), -1)
    for k in range(count):
        yield Frame(np.ascontiguousarray(np.roll(picture, k, axis=1)), stamp_ns=1 + k * FRAME_NS)


def standing(count: int, moving: int) -> Iterator[Frame]:
    """Discs of which the first, in `order`, go one pixel a frame, there and back, in noisy pictures."""
    rng = np.random.default_rng(0)
    places = [centres()[i] for i in order()]
    colours = rng.integers(0, 255, (len(places), 3)).tolist()
    for k in range(count):
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        away = abs((k + 8) % 16 - 8)
        for number, ((x, y), colour) in enumerate(zip(places, colours, strict=True)):
            cv2.circle(picture, (x + away * (number < moving), y), RADIUS, colour, -1)
        noisy = picture + rng.normal(0, NOISE, picture.shape)
        yield Frame(noisy.clip(0, 255).astype(np.uint8), stamp_ns=1 + k * FRAME_NS)


def order() -> np.ndarray:
    """The discs in the order that they become targets."""
    return np.random.default_rng(1).permutation(COLUMNS * ROWS)


def centres() -> list[tuple[int, int]]:
    """Where the discs are in the first frame (x, y), pixels."""
    step_x, step_y = WIDTH // COLUMNS, HEIGHT // ROWS
    return [(step_x // 2 + step_x * i, step_y // 2 + step_y * j) for j in range(ROWS) for i in range(COLUMNS)]


def following(segmenter: Segmenter, count: int, first: Frame) -> Tracker:
    """A tracker of `count` discs. What the model thinks of discs does not matter here: everything is believed."""
    tracker = Tracker(segmenter)
    tracker.config = replace(
        tracker.config, max_targets=64, same_target=1.0, duplicate_overlap=1.0, presence_found=0.0, presence_lost=0.0
    )
    places, discs = centres(), order()[:count]
    for start in range(0, count, 16):
        prompts = [Prompt(clicks=[Click(*map(float, places[i]))]) for i in discs[start : start + 16]]
        tracker.start(prompts, first)
    return tracker


def row(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds: median and 99th percentile."""
    return {"median": 1e3 * float(np.median(seconds)), "p99": 1e3 * float(np.percentile(seconds, 99))}


def frame(segmenter: Segmenter, count: int, pictures: Sequence[Frame]) -> dict[str, float]:
    """Milliseconds of a frame with so many targets."""
    tracker = following(segmenter, count, pictures[0])
    whole = []
    for picture in pictures[1:]:
        begin = time.perf_counter()
        tracker.step(picture)
        whole.append(time.perf_counter() - begin)
    assert len(tracker) == count, f"{len(tracker)} of {count} targets live"
    return {f"frame, {name}": value for name, value in row(whole[2:]).items()}


def targets(segmenter: Segmenter, repeats: int) -> dict[str, dict[str, float]]:
    """A frame by number of targets."""
    found = {f"{count}": frame(segmenter, count, list(frames(repeats + 3))) for count in COUNTS}
    base = found["4"]["frame, median"]
    return {name: one | {"times 4 targets": one["frame, median"] / base} for name, one in found.items()}


def some_move(segmenter: Segmenter, repeats: int) -> dict[str, dict[str, float]]:
    """A frame by how many of the targets move."""
    found = {
        f"{moving} of {count} move": frame(segmenter, count, list(standing(repeats + 3, moving)))
        for moving, count in MOVING
    }
    base = found["4 of 4 move"]["frame, median"]
    return {name: one | {"times 4 targets": one["frame, median"] / base} for name, one in found.items()}


def cameras(segmenter: Segmenter, repeats: int) -> dict[str, dict[str, float]]:
    """A round over cameras with four targets each."""
    found = {}
    for count in CAMERAS:
        streams = [list(frames(repeats + 3, seed)) for seed in range(count)]
        trackers = [following(segmenter, 4, stream[0]) for stream in streams]
        rounds = []
        for k in range(1, repeats + 3):
            begin = time.perf_counter()
            for stream, tracker in zip(streams, trackers, strict=True):
                tracker.step(stream[k])
            rounds.append(time.perf_counter() - begin)
        per_round = row(rounds[2:])
        found[f"{count}"] = {
            **{f"round, {name}": value for name, value in per_round.items()},
            "per camera and frame": per_round["median"] / count,
            "frames/s per camera": 1e3 / per_round["median"],
        }
    return found


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="builtin", help="name or folder")
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=40, help="frames per row")
    parser.add_argument("--out", type=Path, default=Path("out/growth"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes ``growth.md``, ``growth.json`` and ``growth.png``."""
    arguments = build_parser().parse_args(argv)
    cv2.setNumThreads(arguments.threads)
    try:
        backend = load_backend(
            arguments.package, arguments.backend, precision=arguments.precision, threads=arguments.threads
        )
        with Segmenter(backend) as segmenter:
            segmenter.config = replace(segmenter.config, presence_threshold=0.0)
            before = calibration_ms(arguments.threads)
            by_target, by_camera = targets(segmenter, arguments.repeats), cameras(segmenter, arguments.repeats)
            by_motion = some_move(segmenter, arguments.repeats)
            after = calibration_ms(arguments.threads)
            name = f"{segmenter.spec.name}, {backend.status.backend} {backend.status.precision}"
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report = "\n\n".join(
        [
            f"# Growth with targets and cameras: {name}",
            f"{machine()}; {arguments.threads} threads; {arguments.repeats} frames a row, {WIDTH}x{HEIGHT} pictures.",
            f"Calibration ({CALIBRATION}): {before:.1f} ms before, {after:.1f} ms after.",
            table(by_target, "targets (ms)", 2),
            table(by_motion, "a camera that stands still (ms)", 2),
            table(by_camera, "cameras (ms)", 2),
        ]
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "growth.md").write_text(report + "\n")
    found = {
        "machine": machine(),
        "calibration_ms": [before, after],
        "targets": by_target,
        "standing": by_motion,
        "cameras": by_camera,
    }
    (arguments.out / "growth.json").write_text(json.dumps(found, indent=1))
    draw(arguments.out / "growth.png", by_target, by_camera)
    print(report)
    return 0


def draw(path: Path, by_target: dict[str, dict[str, float]], by_camera: dict[str, dict[str, float]]) -> None:
    """Both curves side by side."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    columns = (("frame, median",), ("round, median", "per camera and frame"))
    for axis, rows, names, label in zip(axes, (by_target, by_camera), columns, ("targets", "cameras"), strict=True):
        for name in names:
            axis.plot([int(k.split()[0]) for k in rows], [one[name] for one in rows.values()], "o-", label=name)
        axis.set(xlabel=label, ylabel="milliseconds", ylim=(0, None))
        axis.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
