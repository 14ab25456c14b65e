# SPDX-License-Identifier: Apache-2.0
"""Latency per stage and backend, memory, and time from nothing to the first mask; a table and a plot.

    python bench/latency.py --package pico --backends onnxruntime openvino openvino:bf16 torch --out out/latency
    python bench/latency.py --checkpoint seem_focalt_v0.pt --size 480x640 --package models/focalt --out out/focalt

All backends are timed in turns in one run (the ratios hold on a machine whose speed changes), best of three rounds,
beside a calibration convolution. ``straightforward`` is the official formulation in torch: mask features made in full.
Run it on an idle machine.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from measuring import CALIBRATION, calibration_ms, machine, paired, plot, stages, table

from seem_ros.errors import SeemError
from seem_ros.runtime import available_backends, load_backend
from seem_ros.runtime.package import open_package

_COLD = """
import json, sys, time
start = time.perf_counter()
import numpy as np
from seem_ros.runtime import load_backend
from seem_ros.runtime.interface import PromptBatch
name, precision, folder, threads = sys.argv[1:]
backend = load_backend(folder, name, precision=precision, device="cpu", threads=int(threads))
loaded = time.perf_counter()
features = backend.encode_image(np.zeros((*backend.spec.input_hw, 3), np.uint8))
prompts = PromptBatch.empty(backend.spec, 1)
prompts.points_label[0, 0] = 1
backend.decode(features, prompts)
first = time.perf_counter()
backend.decode_objects(features)
backend.encode_text(["mug"])
for count in (4, 16):
    backend.decode(features, PromptBatch.empty(backend.spec, count))
# Not getrusage: its peak is inherited from the process that started this one.
rss = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
print(json.dumps({"import and load (s)": loaded - start, "to first mask (s)": first - start, "peak memory (MB)": rss}))
"""


def cold_start(folder: Path, name: str, precision: str, threads: int) -> dict[str, float]:
    """A fresh process: seconds to the first mask, peak memory with every graph open. Best of three."""
    best: dict[str, float] = {}
    for _ in range(3):
        command = [sys.executable, "-c", _COLD, name, precision, str(folder), str(threads)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise SeemError(f"{name} in a fresh process: {done.stderr.strip().splitlines()[-1]}")
        found = json.loads(done.stdout.splitlines()[-1])
        best = {key: min(best.get(key, value), value) for key, value in found.items()}
    return best


def straightforward(checkpoint: str | None, folder: Path, size: tuple[int, int] | None, threads: int):
    """The official formulation in torch float32: nothing folded, nothing shared beyond the image's features."""
    import torch

    from seem_ros.runtime.checkpoint import open_checkpoint
    from seem_ros.runtime.torch_backend import TorchBackend

    torch.set_num_threads(threads)
    if checkpoint:
        model, spec = open_checkpoint(checkpoint, size)
        backend = TorchBackend(model, spec, device="cpu")
    else:
        backend = TorchBackend.from_package(open_package(folder), "cpu")
    backend.fold_mask_features = False
    return backend


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="pico", help="name or folder")
    parser.add_argument("--checkpoint", help="for the straightforward baseline; default the package's weights")
    parser.add_argument("--backends", nargs="+", metavar="NAME[:PRECISION]", help="default all CPU backends installed")
    parser.add_argument("--no-baseline", action="store_true", help="without the straightforward torch model")
    parser.add_argument("--no-cold", action="store_true", help="without fresh processes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20, help="calls per stage and round")
    parser.add_argument("--out", type=Path, default=Path("out/latency"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes ``latency.md``, ``latency.json`` and ``latency.png``."""
    arguments = build_parser().parse_args(argv)
    package = open_package(arguments.package)
    names = arguments.backends or [n for n in ("onnxruntime", "openvino", "torch") if n in available_backends()]
    backends, cold = {}, {}
    try:
        for entry in names:
            name, _, precision = entry.partition(":")
            precision = precision or "fp32"
            backends[f"{name} {precision}"] = load_backend(
                package, name, precision=precision, device="cpu", threads=arguments.threads
            )
        if not arguments.no_baseline and "torch" in available_backends():
            backends["straightforward torch fp32"] = straightforward(
                arguments.checkpoint, package.folder, package.spec.input_hw, arguments.threads
            )
        before = calibration_ms(arguments.threads)
        found = paired({name: stages(backend) for name, backend in backends.items()}, arguments.repeats)
        after = calibration_ms(arguments.threads)
        if not arguments.no_cold:
            for entry in names:
                name, _, precision = entry.partition(":")
                precision = precision or "fp32"
                cold[f"{name} {precision}"] = cold_start(package.folder, name, precision, arguments.threads)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for row in found.values():
        row["frame, 4 prompts"] = row["encode"] + row["decode 4"]
        row["frame, 16 tracked"] = row["encode"] + row["track 16"]
    report = "\n\n".join([
        f"# Latency of {package.spec.name}, {package.spec.input_hw[0]}x{package.spec.input_hw[1]}",
        f"{machine()}; {arguments.threads} threads; best of 3 rounds of {arguments.repeats} calls, all in one run.",
        f"Calibration ({CALIBRATION}): {before:.1f} ms before, {after:.1f} ms after.",
        table(found), table(cold, "fresh process") if cold else "",
    ])
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "latency.md").write_text(report.strip() + "\n")
    (arguments.out / "latency.json").write_text(json.dumps(
        {"machine": machine(), "calibration_ms": [before, after], "stages_ms": found, "cold": cold}, indent=1
    ))
    plot(arguments.out / "latency.png", found, ("encode", "decode 4"), f"{package.spec.name}: a frame with 4 prompts")
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
