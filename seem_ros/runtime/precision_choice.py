# SPDX-License-Identifier: Apache-2.0
"""The precision that is worth asking for where a CPU serves a package: what the CPU can do, and what it gains here."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np

from seem_ros.runtime.backends.openvino_backend import (
    has_amx_bf16,
    has_bf16,
    has_int8,
    only_encoder,
    open_openvino,
)
from seem_ros.runtime.package import Package
from seem_ros.sealed import read_sealed, write_sealed

GAIN = 1.1  # eight bits cost a little of every mask: they must be worth it
_ROUNDS = 8  # of which the best counts: other work only ever slows a round down


def float_precision(package: Package) -> str:
    """``bf16`` where OpenVINO runs the image encoder alone on a CPU that computes in bf16 itself, else ``fp32``."""
    return "bf16" if only_encoder(package) and has_bf16() else "fp32"


def faster_precision(package: Package, cache_dir: Path | None, threads: int = 0) -> str:
    """``int8`` where the package has it and it beats the best float precision by `GAIN` here, else that one.

    Measured once for a package on a machine (about two seconds) and kept in the cache. Not where the CPU multiplies
    tiles of bfloat16 (AMX): eight bits gain a tenth at most there (0.99 to 1.10 times as fast, `bench/encoder.py`).

    Args:
        package: Opened package.
        cache_dir: Root of the cache, or None to measure every time.
        threads: As the package will be run.
    """
    usual = float_precision(package)
    if "int8" not in package.graphs or not has_int8() or (usual == "bf16" and has_amx_bf16()):
        return usual
    path = None
    if cache_dir is not None:
        about = (package.identity(package.graphs["int8"].image_encoder), threads, _processor())
        path = cache_dir / "precision" / f"{hashlib.sha256(repr(about).encode()).hexdigest()[:40]}.json"
        known = read_sealed(path)
        if known is not None:
            return "int8" if json.loads(known)["gain"] >= GAIN else usual
    times = _encoder_times(package, (usual, "int8"), cache_dir, threads)
    gain = times[usual] / times["int8"]
    if path is not None:
        write_sealed(path, json.dumps({"gain": gain, "beside": usual, "seconds": times}).encode())
    return "int8" if gain >= GAIN else usual


def _encoder_times(
    package: Package, precisions: tuple[str, ...], cache_dir: Path | None, threads: int
) -> dict[str, float]:
    """Seconds of an image encoder by precision, best of some rounds in turns."""
    picture = np.full((*package.spec.input_hw, 3), 127, np.uint8)
    backends = {p: open_openvino(package, precision=p, threads=threads, cache_dir=cache_dir) for p in precisions}
    best = dict.fromkeys(precisions, float("inf"))
    try:
        for _ in range(_ROUNDS):
            for precision, backend in backends.items():
                start = time.perf_counter()
                backend.encode_image(picture)
                best[precision] = min(best[precision], time.perf_counter() - start)
    finally:
        for backend in backends.values():
            backend.close()
    return best


def _processor() -> str:
    """The CPU's name and abilities, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return " ".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))
