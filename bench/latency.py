# SPDX-License-Identifier: Apache-2.0
r"""Latency per stage and backend, memory, and time from nothing to the first mask; a table and a plot.

    python bench/latency.py --package lite --backends onnxruntime openvino openvino:bf16 torch --out out/latency
    python bench/latency.py --package out/focalt/package --backends onnxruntime openvino openvino:bf16 \
        --counts 1 4 --repeats 1 --no-cold --out out/focalt

All backends are timed in turns in one run (the ratios hold on a machine whose speed changes), best of three rounds,
beside a calibration convolution. For a package of an official model with the rules v0 the official formulation in torch
float32 runs in the same rounds (``straightforward.py``), and the table says how many times faster the others are.
`official.py` writes such a package. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from measuring import CALIBRATION, calibration_ms, click_prompts, machine, paired, plot, stages, table

from seem_ros.errors import SeemError
from seem_ros.runtime import available_backends, load_backend
from seem_ros.runtime.package import open_package
from seem_ros.runtime.parity_gate import drawn_scene

BASELINE = "straightforward torch fp32"

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


def straightforward_stages(folder: Path, threads: int, counts: Sequence[int]) -> dict[str, Callable[[], object]]:
    """The official formulation in torch float32, a prompt at a time: nothing folded, shared or left out.

    For official models with the rules v0: the built-in model's decoder exists in one formulation.
    """
    import straightforward as plain
    import torch

    from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
    from seem_ros.runtime.backends.torch_backend import TorchBackend

    torch.set_num_threads(threads)
    backend = TorchBackend.from_package(open_package(folder), "cpu")
    model, spec = backend.model, backend.spec
    picture = torch.from_numpy(drawn_scene(*spec.input_hw))

    def quietly(work: Callable[[], object]) -> Callable[[], object]:
        return torch.inference_mode()(work)

    def encode() -> plain.Encoded:
        return plain.encode_image(model, model.normalise(picture.permute(2, 0, 1)[None]))

    encoded = quietly(encode)()
    found = {"encode": quietly(encode)}
    for count in counts:
        batch = click_prompts(backend, count)
        prompts = PromptTensors(**{f.name: torch.from_numpy(getattr(batch, f.name))[None] for f in fields(batch)})

        def decode(prompts: PromptTensors = prompts, count: int = count) -> None:
            for i in range(count):
                plain.decode(model, encoded, prompts, i)

        found[f"decode {count}"] = quietly(decode)
    return found


def speed_ups(found: Mapping[str, Mapping[str, float]], counts: Sequence[int]) -> dict[str, dict[str, float]]:
    """Whole pictures, encoded and asked: how many times faster than the straightforward model."""
    plain = found[BASELINE]
    return {
        name: {
            f"{n} prompt{'s'[: n > 1]}": (plain["encode"] + plain[f"decode {n}"]) / (row["encode"] + row[f"decode {n}"])
            for n in counts
        }
        for name, row in found.items()
        if name != BASELINE
    }


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="builtin", help="name or folder")
    parser.add_argument("--backends", nargs="+", metavar="NAME[:PRECISION]", help="default all CPU backends installed")
    parser.add_argument("--no-baseline", action="store_true", help="without the straightforward torch model")
    parser.add_argument("--no-cold", action="store_true", help="without fresh processes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--counts", type=int, nargs="+", default=(1, 4, 16), help="prompts decoded together")
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
        works = {name: stages(backend, arguments.counts) for name, backend in backends.items()}
        if package.spec.rules == "v0" and not arguments.no_baseline and "torch" in available_backends():
            works[BASELINE] = straightforward_stages(package.folder, arguments.threads, arguments.counts)
        before = calibration_ms(arguments.threads)
        found = paired(works, arguments.repeats)
        after = calibration_ms(arguments.threads)
        if not arguments.no_cold:
            for entry in names:
                name, _, precision = entry.partition(":")
                precision = precision or "fp32"
                cold[f"{name} {precision}"] = cold_start(package.folder, name, precision, arguments.threads)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    faster = speed_ups(found, arguments.counts) if BASELINE in found else {}
    for row in found.values():
        for count in arguments.counts:
            row[f"frame, {count} prompt{'s'[: count > 1]}"] = row["encode"] + row[f"decode {count}"]
        if "track 16" in row:
            row["frame, 16 tracked"] = row["encode"] + row["track 16"]
    report = "\n\n".join(
        [
            f"# Latency of {package.spec.name}, {package.spec.input_hw[0]}x{package.spec.input_hw[1]}",
            f"{machine()}; {arguments.threads} threads; best of 3 rounds of {arguments.repeats} calls, all in one run.",
            f"Calibration ({CALIBRATION}): {before:.1f} ms before, {after:.1f} ms after.",
            table(found),
            table(faster, "times faster than straightforward torch", 2) if faster else "",
            table(cold, "fresh process") if cold else "",
        ]
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "latency.md").write_text(report.strip() + "\n")
    (arguments.out / "latency.json").write_text(
        json.dumps(
            {
                "machine": machine(),
                "calibration_ms": [before, after],
                "stages_ms": found,
                "times_faster": faster,
                "cold": cold,
            },
            indent=1,
        )
    )
    shown = max(c for c in arguments.counts if c <= 4 or c == min(arguments.counts))
    title = f"{package.spec.name}: a frame, prompts decoded together: {shown}"
    plot(arguments.out / "latency.png", found, ("encode", f"decode {shown}"), title)
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
