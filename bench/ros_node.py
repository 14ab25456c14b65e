# SPDX-License-Identifier: Apache-2.0
"""What the node costs and how fast it is, over real ROS services and topics, the node in its own process.

    . scripts/env.sh && python bench/ros_node.py                              # all parts, about five minutes
    python bench/ros_node.py overhead rate latency                            # the quick ones, a minute
    python bench/ros_node.py memory --frames 5000

Each figure is printed when it is there, and all are kept in a JSON file. The node's parts use the recorded tabletop
clip (320x240) with 4 targets:

- overhead: at 1080p, in this process: what ROS adds to a frame (message to picture, label image and records to a
  message, serialized), and apart from it the enlarging of masks and the overlay
- rate: results per second while a camera of 30 pictures a second plays, and processor time per result
- latency: from publication of an image to arrival of its segments, and the time of `~/segment`, at the same time, with
  a camera of 20 pictures a second
- memory: the node's memory over many frames, from the 300th on: all that is resident, and its own part of that without
  the pages of libraries and weights, which the system drops and reads again as it likes

Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from measuring import calibration_ms
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from seem_ros.datasets.recorded_clip import RecordedClip, Shot, find_clip
from seem_ros.demo.stage import CameraPicture, Player, Stage
from seem_ros.demo.story import box_of
from seem_ros.errors import SeemError
from seem_ros.msg import Prompt
from seem_ros.perception.masks.guided_filter import enlarge_along_edges
from seem_ros.perception.masks.upsample import paint
from seem_ros.perception.structures.letterbox import fit
from seem_ros.perception.structures.segments import Segment as Record
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.visualize import draw_overlay
from seem_ros.ros.messages.images import array_to_image, image_to_rgb
from seem_ros.ros.messages.results import segments_to_message

PARTS = ("overhead", "rate", "latency", "memory")
WARM_FRAMES = 300
BETWEEN_CALLS_S = 0.2
SIZE_HW, MASK_HW, MASK_STRIDE, EDGE_RADIUS = (1080, 1920), (128, 160), 2, 12


class Report:
    """Prints every figure when it is there, and keeps all in a JSON file."""

    def __init__(self, path: Path) -> None:
        self._path, self._values = path, {}

    def note(self, name: str, value: Any) -> None:
        """One figure, or some of one kind."""
        self._values[name] = value
        print(f"{name}: {json.dumps(value)}", flush=True)
        self._path.write_text(json.dumps(self._values, indent=2))


def percentiles(times_s: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    if not times_s:
        return {"count": 0}
    return {
        "p50_ms": round(float(np.percentile(times_s, 50)) * 1e3, 2),
        "p95_ms": round(float(np.percentile(times_s, 95)) * 1e3, 2),
        "count": len(times_s),
    }


def overhead(report: Report, rounds: int) -> None:
    """What ROS adds to a 1080p frame with 4 segments; enlarging and overlay apart. The calls are the node's."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*SIZE_HW, 3), np.uint8)
    geometry, rows, columns = fit(SIZE_HW, (256, 320)), *np.mgrid[: MASK_HW[0], : MASK_HW[1]]
    small = geometry.shrink(picture)
    masks = [(12 - np.hypot(rows - 50, columns - x)).astype(np.float32) for x in (25, 60, 95, 130)]
    times: dict[str, list[float]] = {}
    for encoding, pixels in (("rgb8", picture), ("bgr8", picture[:, :, ::-1])):
        message, header = array_to_image(np.ascontiguousarray(pixels), Header(), encoding), Header()
        for _ in range(rounds):
            marks = [time.perf_counter()]
            rgb = image_to_rgb(message)
            marks.append(time.perf_counter())
            patches = [enlarge_along_edges(mask, geometry, MASK_STRIDE, small, picture, EDGE_RADIUS) for mask in masks]
            labels, extents = paint(patches, (0.9,) * 4, range(1, 5), SIZE_HW, False)
            marks.append(time.perf_counter())
            segments = Segments(
                labels,
                tuple(
                    Record(value, value, "red mug", 0.9, 0.9, 0.9, one.box_xyxy_px, one.area_px, one.centroid_xy_px)
                    for value, one in enumerate(extents, 1)
                ),
            )
            out = segments_to_message(segments, header)
            marks.append(time.perf_counter())
            serialize_message(out)
            marks.append(time.perf_counter())
            draw_overlay(rgb, segments)
            marks.append(time.perf_counter())
            took = np.diff(marks)
            for name, index in (
                (f"in_{encoding}", [0]),
                ("out_message", [2]),
                ("out_serialize", [3]),
                (f"sum_{encoding}", [0, 2, 3]),
                ("enlarge_apart", [1]),
                ("overlay_apart", [4]),
            ):
                times.setdefault(name, []).append(float(took[index].sum()))
    for name, values in times.items():
        report.note(f"overhead_1080p_{name}", percentiles(values))


def start_targets(stage: Stage, first: Shot, count: int) -> int:
    """Start targets by boxes around the truth's objects; how many were found."""
    ids = [int(value) for value in np.unique(first.ids) if value][:count]
    prompts = [Prompt(boxes=[box_of(first, one)]) for one in ids]
    answer = stage.client.segment(prompts, track=True)
    return sum(one > 0 for one in answer.target_ids)


def rate(report: Report, stage: Stage, seconds: float) -> None:
    """Results per second, and what one costs in processor time of the node and of this process."""
    own, node, begin = time.process_time(), stage.node_cpu_s(), time.monotonic()
    stage.forget()
    time.sleep(seconds)
    count, took = max(stage.count(), 1), time.monotonic() - begin
    report.note("results_per_second", round(stage.count() / took, 1))
    report.note("node_cpu_ms_per_result", round(1e3 * (stage.node_cpu_s() - node) / count, 1))
    report.note("bench_cpu_ms_per_result", round(1e3 * (time.process_time() - own) / count, 1))
    report.note("image_to_segments_at_full_rate", percentiles(stage.latencies_s()))


def latency(report: Report, stage: Stage, seconds: float, first: Shot) -> None:
    """Image to segments, and `~/segment` on the newest frame, while frames go on."""
    stage.forget()
    time.sleep(seconds)
    report.note("image_to_segments", percentiles(stage.latencies_s()))
    stage.forget()
    calls, prompt, end = [], Prompt(boxes=[box_of(first, 1)]), time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        stage.client.segment([prompt])
        calls.append(time.perf_counter() - begin)
        time.sleep(BETWEEN_CALLS_S)
    report.note("segment_call_while_streaming", percentiles(calls))
    report.note("image_to_segments_beside_calls", percentiles(stage.latencies_s()))


def memory(report: Report, stage: Stage, frames: int) -> None:
    """The node's memory from the 300th frame on, looked at every 0.2 s."""
    stage.forget()
    seen: list[tuple[float, float]] = []
    told, counted = 0, 0
    while counted < frames + WARM_FRAMES:
        time.sleep(0.2)
        stage.check()
        counted = stage.count()
        if counted < WARM_FRAMES:
            continue
        seen.append(stage.node_memory_mb())
        if counted - told >= 500:
            told = counted
            print(f"  {counted} frames: resident {seen[-1][0]:.1f} MB, its own {seen[-1][1]:.1f} MB", flush=True)
    for name, values in zip(("resident", "own"), zip(*seen, strict=True), strict=True):
        report.note(
            f"memory_{name}",
            {
                "frames": counted,
                "first_mb": round(values[0], 1),
                "last_mb": round(values[-1], 1),
                "most_mb": round(max(values), 1),
                "growth_percent": round(100 * (values[-1] / values[0] - 1), 2),
            },
        )


def measure(options: argparse.Namespace) -> None:
    """The parts that are wanted."""
    report = Report(options.out / "ros_node.json")
    if importlib.util.find_spec("onnx") is not None:  # of the test environment
        report.note("calibration_convolution_ms", round(calibration_ms(os.cpu_count() or 1), 1))
    if "overhead" in options.parts:
        overhead(report, options.rounds)
    if set(options.parts) <= {"overhead"}:
        return
    clip = RecordedClip(find_clip("tabletop"))
    shots = list(clip)
    pictures = [CameraPicture(shot.rgb) for shot in shots]
    parameters = [f"{name}:={getattr(options, name)}" for name in ("model", "backend", "precision")]

    def camera(rate_hz: float) -> Player:
        player = Player(stage, itertools.cycle(pictures), rate_hz, clip.intrinsics, keep=False)
        player.play()
        player.start()
        time.sleep(1.5)
        return player

    with Stage(parameters, options.out / "ros_node.log", lambda *state: None) as stage:
        stage.wait_until_hearing()
        player = Player(stage, itertools.cycle(pictures), 10.0, clip.intrinsics, keep=False)
        player.start()
        player.wait_for(0)
        time.sleep(1.0)
        report.note("targets", start_targets(stage, shots[0], options.targets))
        player.stop()
        if "rate" in options.parts:
            player = camera(options.rate)
            rate(report, stage, options.seconds)
            player.stop()
        if "latency" in options.parts:
            player = camera(options.latency_rate)
            latency(report, stage, options.seconds, shots[0])
            player.stop()
        if "memory" in options.parts:
            player = camera(options.rate)
            memory(report, stage, options.frames)
            player.stop()


def main() -> int:
    """Measure, print, and write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=", ".join(PARTS))
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--targets", type=int, default=4)
    parser.add_argument("--rate", type=float, default=30.0, help="pictures per second of the camera")
    parser.add_argument("--latency-rate", type=float, default=20.0, help="the same while latencies are measured")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=40, help="of the overhead, per encoding")
    parser.add_argument("--frames", type=int, default=5000, help="frames over which memory is watched")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    options = parser.parse_args()
    options.parts = options.parts or list(PARTS)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        measure(options)
    except SeemError as error:
        print(f"ros_node: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
