# SPDX-License-Identifier: Apache-2.0
"""Official variants with deterministic weights: export, equality of every backend, half precision, compile times.

    python bench/official.py --variant focalt_v0 --size 480x640 --out out/focalt
    python bench/official.py --variant samvitb_v1 --size 1024x1024 --buckets 1 --only-compile --out out/samvitb

Needs no download: the weights are made from the tensors' names. Their margins are artificial (rounding the weights
alone changes masks), so half precision is reported, not judged, here.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from seem_ros.errors import SeemError
from seem_ros.export.package_writer import write_package
from seem_ros.model.checkpoints import deterministic_model
from seem_ros.model.variants import OFFICIAL
from seem_ros.runtime import available_backends, load_backend
from seem_ros.runtime.package import Package, open_package
from seem_ros.runtime.parity_gate import answer, compare, read_gate_inputs
from seem_ros.runtime.spec import ModelSpec
from seem_ros.runtime.tensorrt.plan_builder import BuildJob, build_plan
from seem_ros.tools.export import parse_buckets, parse_size


def export(variant: str, size: tuple[int, int], folder: Path, precision: str, points: int, buckets: tuple[int, ...]):
    """Writes the package of a variant with deterministic weights."""
    model = deterministic_model(variant)
    spec = ModelSpec.of_config(
        model.config,
        size,
        max_points=points,
        max_references=points,
        prompt_buckets=buckets,
        logit_scale=model.text_encoder.logit_scale.item(),
    )
    with torch.no_grad():
        return write_package(model, spec, folder, precision, half_weights=False, progress=print)


def equality(package: Package) -> list[str]:
    """Every backend and precision against torch float32, in lines."""
    inputs = read_gate_inputs(package.path(package.gate))
    with load_backend(package, "torch", device="cpu") as backend:
        reference = answer(backend, inputs)
    lines = []
    for name in ("onnxruntime", "openvino"):
        for precision in ("fp32", "fp16", "bf16"):
            if name not in available_backends() or (name == "onnxruntime" and precision not in package.graphs):
                continue
            try:
                with load_backend(package, name, precision=precision, device="cpu") as backend:
                    result = compare(reference, answer(backend, inputs), precision)
                lines.append(f"{name} {precision}: {result.message}, largest {result.max_logit:.1e}")
            except SeemError as error:
                lines.append(f"{name} {precision}: not available ({error})")
    return lines


def compile_ahead(package: Package, target: str) -> list[str]:
    """Build time and size of every TensorRT-RTX engine."""
    lines = []
    for precision, files in package.graphs.items():
        for name in dict.fromkeys(files.files()):
            own = "fp32" if name == files.text_encoder else precision
            started = time.perf_counter()
            try:
                plan = build_plan(BuildJob("tensorrt_rtx", package.path(name), own, target))
                lines.append(f"{name} for {target}: {len(plan) / 1e6:.0f} MB in {time.perf_counter() - started:.0f} s")
            except SeemError as error:
                lines.append(f"{name} for {target}: FAILED {error}")
            print(lines[-1], flush=True)
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; 1 when a float32 backend is not equal or a graph does not compile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=OFFICIAL, default="focalt_v0")
    parser.add_argument("--size", type=parse_size, default=(480, 640), metavar="HxW")
    parser.add_argument("--precision", choices=("fp32", "fp16", "bf16"), default="fp16")
    parser.add_argument("--points", type=int, default=256)
    parser.add_argument("--buckets", type=parse_buckets, default=(4,), metavar="N,N")
    parser.add_argument(
        "--target", default="SM86,SM89,SM120", help="GPU generations to compile for, in one engine; empty for none"
    )
    parser.add_argument("--only-compile", action="store_true")
    parser.add_argument("--out", type=Path, required=True, help="the package goes to OUT/package; kept if there")
    arguments = parser.parse_args(argv)
    folder = arguments.out / "package"
    if (folder / "model.yaml").is_file():
        package = open_package(folder)
    else:
        began_s = time.process_time()
        package = export(
            arguments.variant, arguments.size, folder, arguments.precision, arguments.points, arguments.buckets
        )
        print(f"exported in {time.process_time() - began_s:.0f} s of CPU time", flush=True)
    lines = [] if arguments.only_compile else equality(package)
    print("\n".join(lines), flush=True)
    if arguments.target:
        lines += compile_ahead(package, arguments.target)
    (arguments.out / "official.md").write_text(
        f"# {package.spec.name} at {package.spec.input_hw}\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"
    )
    return int(any("FAILED" in line and ("fp32" in line or "SM" in line) for line in lines))


if __name__ == "__main__":
    sys.exit(main())
