# SPDX-License-Identifier: Apache-2.0
r"""A package's image encoder in OpenVINO in float32, bfloat16 and eight bits, in turns on one machine.

    python bench/encoder.py
    ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI python bench/encoder.py     # as on a CPU that has nothing newer

bfloat16 only where the CPU computes in it and nothing was forbidden. A turn is six pictures, of which the first does
not count: weights come back into the caches. Best and median in milliseconds. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import openvino
from measuring import CALIBRATION, calibration_ms, machine, table

from seem_ros.errors import SeemError
from seem_ros.runtime.backends.openvino_backend import OpenVinoSession, has_bf16
from seem_ros.runtime.package import Package, open_package
from seem_ros.runtime.parity_gate import drawn_scene

A_TURN = 6


def encoders(package: Package, threads: int) -> dict[str, OpenVinoSession]:
    """What this CPU computes in itself, by a row's name."""
    half = has_bf16() and "ONEDNN_MAX_CPU_ISA" not in os.environ
    rows = {"fp32": ("fp32", "f32"), "bf16": ("fp32", "bf16")}
    if "int8" in package.graphs:
        rows |= {"int8, rest fp32": ("int8", "f32"), "int8, rest bf16": ("int8", "bf16")}
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    return {
        name: OpenVinoSession(
            openvino.Core(),
            package.path(package.graphs[graphs].image_encoder),
            "CPU",
            settings | {"INFERENCE_PRECISION_HINT": hint},
        )
        for name, (graphs, hint) in rows.items()
        if half or hint == "f32"
    }


def main() -> int:
    """Measure, print, and write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="builtin", help="name or folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("out/bench/encoder.json"))
    options = parser.parse_args()
    try:
        package = open_package(options.package)
        sessions = encoders(package, options.threads)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = package.spec.input_hw
    feeds = {"image": drawn_scene(*size), "content_hw": np.array(size, np.int32)}
    took: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(options.turns + 1):
        for name, session in sessions.items():
            for call in range(A_TURN):
                began = time.perf_counter()
                session.run(feeds)
                if turn and call:
                    took[name].append(1e3 * (time.perf_counter() - began))
    rows = {
        name: {
            "median": float(np.median(times)),
            "best": min(times),
            "times fp32": float(np.median(took["fp32"]) / np.median(times)),
            "times fp32, best": min(took["fp32"]) / min(times),
        }
        for name, times in took.items()
    }
    print(f"{machine()}; {CALIBRATION}, one thread: {calibration_ms(1):.1f} ms\n")
    print(table(rows, f"encoder, {options.threads} threads (ms)", 2))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
