# SPDX-License-Identifier: Apache-2.0
"""Everything that needs an NVIDIA GPU, in one run: builds, parity, timings with CUDA graphs, memory.

    python bench/gpu.py --package models/focalt --package models/lite --out out/gpu

Writes ``gpu.md``, ``gpu.json`` and plots. Without a GPU it says so and exits with 77, the usual code for "skipped".
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import click_prompts, machine, paired, plot, stages, table

from seem_ros.errors import BackendError, SeemError
from seem_ros.runtime.loader import available_backends, load_backend
from seem_ros.runtime.package import Package, open_package
from seem_ros.runtime.parity_gate import answer, compare, drawn_scene, read_gate_inputs
from seem_ros.runtime.tensorrt.cuda_memory import Cuda
from seem_ros.runtime.tensorrt.engine_cache import EngineCache
from seem_ros.runtime.tensorrt.gpu_presence import nvidia_gpu
from seem_ros.runtime.tensorrt.tensorrt_backend import EngineMaker

SKIPPED = 77


def measure_engines(
    package: Package, flavour: str, precision: str, cuda: Cuda, cache: Path, repeats: int
) -> dict[str, Any]:
    """Builds, gates and times one flavour and precision.

    Raises:
        BackendError: Nothing passed the gate.
    """
    free_before = cuda.memory()[0]
    started = time.perf_counter()
    backend = EngineMaker(package, flavour, cuda, EngineCache(cache), cache).make(precision)
    built_s = time.perf_counter() - started
    with backend:
        used_mb = (free_before - cuda.memory()[0]) / 2**20
        picture = drawn_scene(*package.spec.input_hw)
        prompts = click_prompts(backend, 4)

        def frame() -> None:
            backend.decode(backend.encode_image(picture), prompts)

        works = stages(backend) | {"frame, 4 prompts": frame}
        times = paired({"": works}, repeats)[""]
        return {
            "build_s": built_s,
            "gate": backend.status.message,
            "memory_mb": used_mb,
            "ms": times,
            "served": f"{backend.status.backend} {backend.status.precision}",
        }


def measure_package(package: Package, cache: Path, repeats: int) -> dict[str, Any]:
    """All that runs on this GPU for one package."""
    cuda = Cuda()
    found: dict[str, Any] = {}
    for flavour in ("tensorrt", "tensorrt_rtx"):
        if flavour not in available_backends():
            continue
        for precision in package.graphs:
            try:
                found[f"{flavour} {precision}"] = measure_engines(package, flavour, precision, cuda, cache, repeats)
            except BackendError as error:
                found[f"{flavour} {precision}"] = {"error": str(error)}
    inputs = read_gate_inputs(package.path(package.gate))
    with load_backend(package, "onnxruntime", device="cpu") as backend:
        reference = answer(backend, inputs)
    for name, precision in (("onnxruntime", "fp32"), ("torch", "fp32"), ("torch", "fp16"), ("torch", "bf16")):
        label = f"{name} cuda {precision}"
        try:
            with load_backend(package, name, device="cuda", precision=precision) as backend:
                gate = compare(reference, answer(backend, inputs), precision).message
                found[label] = {"gate": gate, "ms": paired({"": stages(backend)}, repeats)[""]}
        except SeemError as error:
            found[label] = {"error": str(error)}
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measures every package and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", action="append", help="name or folder; default builtin")
    parser.add_argument("--cache-dir", type=Path, default=Path("out/gpu/cache"))
    parser.add_argument("--repeats", type=int, default=100, help="calls per stage and round")
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    arguments = parser.parse_args(argv)
    if not nvidia_gpu():
        print("no NVIDIA GPU here: nothing was measured")
        return SKIPPED
    arguments.out.mkdir(parents=True, exist_ok=True)
    cuda = Cuda()
    everything: dict[str, Any] = {"gpu": cuda.name, "capability": cuda.compute_capability, "driver": cuda.driver}
    report = [f"# {cuda.name}", f"Compute capability {cuda.compute_capability}, CUDA driver {cuda.driver}; {machine()}"]
    for name in arguments.package or ["builtin"]:
        package = open_package(name)
        found = everything[package.spec.name] = measure_package(package, arguments.cache_dir, arguments.repeats)
        rows = {label: result["ms"] for label, result in found.items() if "ms" in result}
        report.append(f"## {package.spec.name}, {package.spec.input_hw[0]}x{package.spec.input_hw[1]}")
        report.append(table(rows))
        report.extend(f"- {label}: {_notes(result)}" for label, result in found.items())
        title = f"{package.spec.name}, {cuda.name}"
        plot(arguments.out / f"{package.spec.name}.png", rows, ("encode", "decode 4"), title)
    (arguments.out / "gpu.md").write_text("\n\n".join(report) + "\n")
    (arguments.out / "gpu.json").write_text(json.dumps(everything, indent=1))
    print("\n\n".join(report))
    return 0


def _notes(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"did not run: {result['error']}"
    parts = [result["gate"]]
    if "build_s" in result:
        parts.append(f"built in {result['build_s']:.0f} s, {result['memory_mb']:.0f} MB on the GPU, {result['served']}")
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
