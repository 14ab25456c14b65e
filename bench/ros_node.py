# SPDX-License-Identifier: Apache-2.0
"""What the node costs and how fast it is, over real ROS services and topics, the node in its own process.

    . scripts/env.sh && python bench/ros_node.py [--frames 5000] [--model pico] [--out out/bench]

Measures on the recorded tabletop clip (320x240, 4 targets): results per second when pictures come faster than the node
takes them; latency from publication of an image to arrival of its segments at 15 pictures a second; the time of
`~/segment` while streaming; resident memory over many frames. And at 1080p, in this process: what ROS adds to a frame
(message to picture, label image and records to a message), beside the overlay. Run it on an idle machine.
"""
from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from seem_ros.msg import Prompt
from seem_ros.perception.frames import Frame
from seem_ros.perception.overlay import draw_overlay
from seem_ros.perception.results import Segment as Record
from seem_ros.perception.results import Segments
from seem_ros.ros.conversions import array_to_image, image_to_rgb
from seem_ros.ros.recorded_clip import RecordedClip, Shot, find_clip
from seem_ros.ros.result_messages import segments_to_message
from seem_ros.srv import Segment
from seem_ros.tools.demonstrating.stage import Player, Stage
from seem_ros.tools.demonstrating.story import box_of

WARM_FRAMES = 300


def calibration_ms() -> float:
    """A fixed piece of work, so that figures from different machines can be compared: best of five."""
    left = np.random.default_rng(0).random((512, 512), np.float32)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(10):
            left @ left
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3


def percentiles(times_s: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    return {"p50_ms": round(float(np.percentile(times_s, 50)) * 1e3, 2),
            "p95_ms": round(float(np.percentile(times_s, 95)) * 1e3, 2), "count": len(times_s)}


def ros_overhead(rounds: int = 60) -> dict[str, dict[str, float]]:
    """What ROS adds to a 1080p frame with 4 segments, and the overlay apart. Message types and data as the node's."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (1080, 1920, 3), np.uint8)
    labels, records = np.zeros((1080, 1920), np.uint8), []
    for value in range(1, 5):
        x0, y0 = 400 * value - 300, 300
        labels[y0 : y0 + 300, x0 : x0 + 300] = value
        records.append(Record(value, value, "red mug", 0.9, 0.9, 0.9, (x0, y0, x0 + 300, y0 + 300), 90_000, (x0, y0)))
    segments, header = Segments(labels, tuple(records)), Header()
    times: dict[str, list[float]] = {}
    for encoding, pixels in (("rgb8", picture), ("bgr8", picture[:, :, ::-1])):
        message = array_to_image(np.ascontiguousarray(pixels), header, encoding)
        for _ in range(rounds):
            begin = time.perf_counter()
            rgb = image_to_rgb(message)
            middle = time.perf_counter()
            out = segments_to_message(segments, header)
            end = time.perf_counter()
            serialize_message(out)
            sent = time.perf_counter()
            times.setdefault(f"in_{encoding}", []).append(middle - begin)
            times.setdefault("out_message", []).append(end - middle)
            times.setdefault("out_serialize", []).append(sent - end)
            times.setdefault(f"sum_{encoding}", []).append(sent - begin)
            drawn = time.perf_counter()
            draw_overlay(Frame(rgb).rgb, segments)
            times.setdefault("overlay_apart", []).append(time.perf_counter() - drawn)
    return {name: percentiles(values) for name, values in times.items()}


def start_targets(stage: Stage, first: Shot, count: int) -> int:
    """Start targets by boxes around the truth's objects; how many were found."""
    ids = [int(value) for value in np.unique(first.ids) if value][:count]
    prompts = [Prompt(boxes=[box_of(first, one)]) for one in ids]
    answer = stage.call(Segment, "segment", Segment.Request(prompts=prompts, track=True))
    return sum(one > 0 for one in answer.target_ids)


def measure(options: argparse.Namespace) -> dict[str, object]:
    """All of it."""
    clip = RecordedClip(find_clip("tabletop"))
    shots = list(clip)
    pictures = [shot.rgb for shot in shots]
    parameters = [f"model:={options.model}", f"backend:={options.backend}"]
    with Stage(parameters, options.out / "ros_node.log", lambda *state: None) as stage:
        stage.wait_until_hearing()
        player = Player(stage, itertools.cycle(pictures), options.rate, clip.intrinsics, keep=False)
        player.start()
        player.wait_for(0)
        time.sleep(1.0)
        targets = start_targets(stage, shots[0], options.targets)
        player.play()
        result: dict[str, object] = {"targets": targets, "calibration_ms": round(calibration_ms(), 1)}
        time.sleep(2.0)
        stage.forget()
        calls = []
        prompt = Prompt(boxes=[box_of(shots[0], 1)])
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            begin = time.perf_counter()
            stage.call(Segment, "segment", Segment.Request(prompts=[prompt]))
            calls.append(time.perf_counter() - begin)
            time.sleep(0.15)
        result["segment_call_while_streaming"] = percentiles(calls)
        stage.forget()
        time.sleep(options.seconds)
        result["image_to_segments"] = percentiles(stage.latencies_s())
        player.stop()

        fast = Player(stage, itertools.cycle(pictures), 100.0, clip.intrinsics, keep=False)
        fast.play()
        fast.start()
        time.sleep(1.0)
        stage.forget()
        begin = time.monotonic()
        time.sleep(options.seconds)
        result["results_per_second"] = round(stage.count() / (time.monotonic() - begin), 1)
        memory, counted = [], stage.count()
        while counted < options.frames + WARM_FRAMES:
            time.sleep(0.2)
            stage.check()
            counted = stage.count()
            if counted >= WARM_FRAMES:
                memory.append(stage.node_memory_mb())
        fast.stop()
        if memory:
            result["memory"] = {
                "frames": counted, "first_mb": round(memory[0], 1), "last_mb": round(memory[-1], 1),
                "most_mb": round(max(memory), 1), "growth_percent": round(100 * (memory[-1] / memory[0] - 1), 2),
            }
    result["ros_overhead_1080p"] = ros_overhead()
    return result


def main() -> int:
    """Measure, print, and write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pico")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--targets", type=int, default=4)
    parser.add_argument("--rate", type=float, default=15.0, help="pictures per second while latencies are measured")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--frames", type=int, default=5000, help="frames over which memory is watched")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    result = measure(options)
    print(json.dumps(result, indent=2))
    (options.out / "ros_node.json").write_text(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
