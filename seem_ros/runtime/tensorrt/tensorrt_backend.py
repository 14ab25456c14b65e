# SPDX-License-Identifier: Apache-2.0
"""TensorRT and TensorRT-RTX: engines from the cache or built, gated on parity, with ONNX Runtime behind them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from seem_ros.errors import BackendError
from seem_ros.runtime.backends.graph_backend import GraphBackend, Session
from seem_ros.runtime.backends.onnxruntime_backend import open_onnxruntime
from seem_ros.runtime.fallback import SwitchingBackend
from seem_ros.runtime.interface import Backend, BackendStatus
from seem_ros.runtime.package import Package
from seem_ros.runtime.parity_gate import GateResult, answer, compare, read_gate_inputs
from seem_ros.runtime.tensorrt.cuda_memory import Cuda, DeviceError
from seem_ros.runtime.tensorrt.engine_cache import CachedEngine, EngineCache, EngineKey
from seem_ros.runtime.tensorrt.plan_builder import BuildJob, build_plan, load_library

_log = logging.getLogger(__name__)


def _report_part(report: Callable[[float], None], done: int, count: int, share: float) -> None:
    """Tells how much of all is done, from the share of one part."""
    report((done + share) / count)


def open_tensorrt(
    package: Package,
    flavour: str,
    precision: str,
    cache_dir: Path,
    background: bool = True,
    threads: int = 0,
) -> Backend:
    """Runs a package in TensorRT.

    Engines come from the cache; missing ones are built, in the background while ONNX Runtime serves. An engine serves
    only when its answers to stored inputs equal ONNX Runtime's; if they do not, float32 engines are tried, then ONNX
    Runtime stays, and the status says so.

    Args:
        package: Verified package.
        flavour: ``tensorrt`` or ``tensorrt_rtx``.
        precision: Which graphs to build.
        cache_dir: Root of the engine cache.
        background: Build in a thread; else now.
        threads: For ONNX Runtime meanwhile.

    Raises:
        BackendError: Library, driver or GPU is missing.
    """
    load_library(flavour)
    cuda = Cuda()
    package.graph_set(precision)
    maker = EngineMaker(package, flavour, cuda, EngineCache(cache_dir), cache_dir)

    def safe() -> Backend:
        return open_onnxruntime(package, "cpu", "fp32", threads, cache_dir=cache_dir)

    ready = maker.all_cached(precision)
    return SwitchingBackend(
        package.spec, safe, lambda report: maker.make(precision, report), flavour, background and not ready
    )


def engine_key(package: Package, graph: str, flavour: str, precision: str, target: Cuda | str) -> EngineKey:
    """All that the engine of a graph depends on.

    Args:
        package: Package of the graph.
        graph: File name.
        flavour: ``tensorrt`` or ``tensorrt_rtx``.
        precision: Of the graph.
        target: The GPU, or e.g. ``SM89`` for an engine built for another one.
    """
    version = load_library(flavour).__version__
    shapes = f"input {package.spec.input_hw} points {package.spec.max_points} references {package.spec.max_references}"
    if isinstance(target, str):
        gpu, capability, driver = f"any {target}", f"{target[2:-1]}.{target[-1]}", ""
    else:
        gpu, capability, driver = target.name, target.compute_capability, target.driver
    return EngineKey(
        flavour=flavour,
        version=version,
        gpu=gpu,
        compute_capability=capability,
        driver=driver,
        graph=graph,
        sha256=package.identity(graph),
        precision=precision,
        shapes=shapes,
    )


class EngineMaker:
    """Makes a gated backend of a package's engines."""

    def __init__(self, package: Package, flavour: str, cuda: Cuda, cache: EngineCache, cache_dir: Path) -> None:
        self._package, self._flavour, self._cuda, self._cache = package, flavour, cuda, cache
        self._cache_dir = cache_dir

    def all_cached(self, precision: str) -> bool:
        """Whether every engine is there and has passed the gate."""
        return all(note is not None and note.get("passed") for note in self._notes(precision).values())

    def make(self, precision: str, report: Callable[[float], None] = lambda share: None) -> Backend:
        """A backend that has passed the gate: in this precision, else in float32.

        Raises:
            BackendError: Neither passes.
        """
        self._cuda.use()
        problems = []
        for tried in dict.fromkeys((precision, "fp32")):
            backend, result = None, GateResult(False, "was not built")
            try:
                backend = self._open(tried, report)
                result = self._gate(backend, tried)
            except BackendError as error:
                result = GateResult(False, str(error))
            if result.passed and backend is not None:
                backend.set_message(f"ready; gate {result.message}", degraded=tried != precision)
                return backend
            if backend is not None:
                backend.close()
            problems.append(f"{tried}: {result.message}")
            _log.error(
                "%s engines of %s in %s do not serve: %s", self._flavour, self._package.spec.name, tried, result.message
            )
        raise BackendError("no engine passed its gate; " + "; ".join(problems))

    def _key(self, name: str, precision: str) -> EngineKey:
        own = "fp32" if name == self._package.graphs["fp32"].text_encoder else precision
        return engine_key(self._package, name, self._flavour, own, self._cuda)

    def _open(self, precision: str, report: Callable[[float], None]) -> GraphBackend:
        trt = load_library(self._flavour)
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        names = list(self._package.graph_set(precision).files())
        plans = {}
        for i, name in enumerate(names):
            plans[name] = self._engine(name, precision, partial(_report_part, report, i, len(names))).plan

        def open_session(name: str) -> Session:
            from seem_ros.runtime.tensorrt.session import TensorRtSession

            try:
                return TensorRtSession(trt, runtime, plans.pop(name), self._cuda)  # hundreds of megabytes: not kept
            except DeviceError:  # the GPU's fault, not the plan's
                raise
            except BackendError:
                self._cache.forget(self._key(name, precision))
                raise

        status = BackendStatus(self._flavour, self._cuda.name, precision)
        return GraphBackend(self._package, open_session, status, self._cache_dir, preload=True)

    def _engine(self, name: str, precision: str, progress: Callable[[float], None]) -> CachedEngine:
        """From the cache, from what was built ahead of time for this kind of GPU, or built now."""
        key = self._key(name, precision)
        ahead = engine_key(
            self._package, name, self._flavour, key.precision, f"SM{self._cuda.compute_capability.replace('.', '')}"
        )

        def build() -> bytes:
            ready = self._cache.find(ahead)
            if ready is not None:
                return ready.plan
            _log.info("building %s of %s with %s", name, self._package.spec.name, self._flavour)
            job = BuildJob(
                self._flavour, self._package.path(name), key.precision, timing_cache=self._cache.timing_cache(key)
            )
            return build_plan(job, progress)

        return self._cache.get_or_build(key, build)

    def _notes(self, precision: str) -> dict[EngineKey, dict[str, Any] | None]:
        """What the cache knows of every engine."""
        keys = [self._key(name, precision) for name in self._package.graph_set(precision).files()]
        return {key: self._cache.note(key) for key in keys}

    def _gate(self, backend: GraphBackend, precision: str) -> GateResult:
        """Measures the engines against ONNX Runtime, once per engine: the result is kept in the cache."""
        notes = self._notes(precision)
        known = [note for note in notes.values() if note is not None and note.get("passed")]
        if len(known) == len(notes):
            return GateResult(True, known[0]["gate"])
        inputs = read_gate_inputs(self._package.path(self._package.gate))
        with open_onnxruntime(self._package) as reference:
            result = compare(answer(reference, inputs), answer(backend, inputs), precision)
        for key in notes:
            self._cache.annotate(key, {"passed": result.passed, "gate": result.message})
        return result
