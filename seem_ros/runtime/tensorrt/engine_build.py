# SPDX-License-Identifier: Apache-2.0
"""Engines ahead of time: for this GPU, or for another one with TensorRT-RTX on a machine without any."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from seem_ros.errors import BackendError
from seem_ros.files import expanded
from seem_ros.runtime.loader import available_backends
from seem_ros.runtime.package import Package
from seem_ros.runtime.tensorrt.cuda_memory import Cuda
from seem_ros.runtime.tensorrt.engine_cache import EngineCache
from seem_ros.runtime.tensorrt.plan_builder import BuildJob, build_plan
from seem_ros.runtime.tensorrt.tensorrt_backend import EngineMaker, engine_key
from seem_ros.sealed import default_cache_dir


def build_engines(
    package: Package, target: str = "current", cache_dir: Path | None = None, precision: str | None = None
) -> Iterator[str]:
    """Builds every graph of a package into the engine cache.

    Args:
        package: Verified package.
        target: ``current`` for this GPU (built and gated), or a compute capability such as ``SM89`` (TensorRT-RTX; the
            gate runs when that GPU first loads them).
        cache_dir: Root of the cache; default ``~/.cache/seem_ros``.
        precision: Default the package's.

    Yields:
        One line per engine.

    Raises:
        BackendError: No TensorRT, no such GPU, or building failed.
    """
    root = default_cache_dir() if cache_dir is None else expanded(cache_dir, "--cache-dir")
    precision = precision or package.spec.precision
    cache = EngineCache(root)
    if target == "current":
        flavours = [name for name in ("tensorrt", "tensorrt_rtx") if name in available_backends()]
        if not flavours:
            raise BackendError("no TensorRT is installed: pip install tensorrt, or tensorrt-rtx for desktop RTX")
        started = time.monotonic()
        with EngineMaker(package, flavours[0], Cuda(), cache, root).make(precision) as backend:
            yield f"{flavours[0]}: {backend.status.message} ({time.monotonic() - started:.0f} s)"
        return
    for name in package.graph_set(precision).files():
        own = "fp32" if name == package.graphs["fp32"].text_encoder else precision
        key = engine_key(package, name, "tensorrt_rtx", own, target)
        started = time.monotonic()
        job = BuildJob("tensorrt_rtx", package.path(name), own, target)
        engine = cache.get_or_build(key, partial(build_plan, job))
        took = f"built in {time.monotonic() - started:.1f} s" if engine.built else "was in the cache"
        yield f"{name} for {target}: {len(engine.plan) / 1e6:.1f} MB, {took}"
