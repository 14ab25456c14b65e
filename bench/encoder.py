# SPDX-License-Identifier: Apache-2.0
r"""A package's image encoder in OpenVINO in float32, bfloat16 and eight bits, in turns on one machine.

    python bench/encoder.py
    ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI python bench/encoder.py     # as on a CPU that has nothing newer

bfloat16 and eight bits only where the CPU computes in them; what the eight-bit encoder leaves in float is then in
bfloat16, too. A turn is six pictures, of which the first does not count: weights come back into the caches. Best and
median in milliseconds. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from measuring import CALIBRATION, calibration_ms, machine, table

from seem_ros.errors import BackendError, SeemError
from seem_ros.runtime.backends.graph_backend import GraphBackend
from seem_ros.runtime.backends.openvino_backend import open_openvino
from seem_ros.runtime.package import Package, open_package
from seem_ros.runtime.parity_gate import drawn_scene

A_TURN = 6


def encoders(package: Package, threads: int) -> dict[str, GraphBackend]:
    """What this CPU can run, by precision."""
    found = {}
    for precision in ("fp32", "bf16", "int8"):
        if precision == "int8" and "int8" not in package.graphs:
            continue
        try:
            found[precision] = open_openvino(package, precision=precision, threads=threads)
        except BackendError as error:
            print(f"{precision}: {error}", file=sys.stderr)
    return found


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
        backends = encoders(package, options.threads)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    picture = drawn_scene(*package.spec.input_hw)
    took: dict[str, list[float]] = {name: [] for name in backends}
    for turn in range(options.turns + 1):
        for name, backend in backends.items():
            for call in range(A_TURN):
                began = time.perf_counter()
                backend.encode_image(picture)
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
