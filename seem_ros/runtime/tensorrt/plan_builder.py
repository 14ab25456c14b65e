# SPDX-License-Identifier: Apache-2.0
"""ONNX to a TensorRT engine: one way that works on TensorRT 10.3 to 11 and on TensorRT-RTX.

Strong typing always: TensorRT 11 has no precision flags, and one asked for in the old way is silently ignored. Types
are in the ONNX, written there by the exporter.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from seem_ros.errors import BackendError
from seem_ros.sealed import read_sealed, write_sealed

FLAVOURS = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}
_LOW_TYPES = {"fp16": "HALF", "bf16": "BF16"}
_WORKSPACE_BYTES = 2 << 30


@dataclass(frozen=True)
class BuildJob:
    """What to build.

    Attributes:
        flavour: ``tensorrt`` or ``tensorrt_rtx``.
        onnx: Graph file; its weights lie beside it.
        precision: What the graph was exported in; an engine without such tensors is an error.
        compute_capability: E.g. ``SM89`` or ``SM86,SM89`` to build for other GPUs (TensorRT-RTX only), or None for this
            one.
        timing_cache: File of measured kernel times, or None.
    """

    flavour: str
    onnx: Path
    precision: str = "fp32"
    compute_capability: str | None = None
    timing_cache: Path | None = None


def load_library(flavour: str) -> ModuleType:
    """The Python module of a TensorRT flavour.

    Raises:
        BackendError: It is not installed, or its libraries do not load.
    """
    try:
        return importlib.import_module(flavour)
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(
            f"backend {flavour} is not installed: pip install {FLAVOURS[flavour]} cuda-python ({error})"
        ) from error


def build_plan(job: BuildJob, progress: Callable[[float], None] = lambda share: None) -> bytes:
    """Builds one engine.

    Args:
        job: What to build.
        progress: Told the share that is done, 0..1; called from TensorRT's threads.

    Raises:
        BackendError: Parsing or building failed; the message carries TensorRT's own errors.
    """
    trt = load_library(job.flavour)
    logger = _Logger.make(trt)
    try:
        builder = trt.Builder(logger)
    except (TypeError, RuntimeError) as error:  # pybind: "factory function returned nullptr" without a driver
        reason = logger.errors() or error
        raise BackendError(f"{job.flavour} cannot start, is the NVIDIA driver there? {reason}") from error
    if builder is None:
        raise BackendError(f"{job.flavour} cannot start, is the NVIDIA driver there? {logger.errors()}")
    flags = 0
    if hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(job.onnx)):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(min(parser.num_errors, 5)))
        raise BackendError(f"{job.flavour} cannot read {job.onnx}: {reasons}")
    _require_precision(trt, network, job)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)  # float32 means float32
    config.max_aux_streams = 0  # one stream, so that a CUDA graph captures all of it
    monitor = _Monitor.make(trt, progress)
    config.progress_monitor = monitor
    if job.compute_capability is not None:
        _target(trt, config, job, job.compute_capability)
    timing = None
    if job.timing_cache is not None and job.flavour == "tensorrt":
        known = read_sealed(job.timing_cache) or b""
        timing = config.create_timing_cache(known)
        config.set_timing_cache(timing, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(f"{job.flavour} cannot build {job.onnx}: {logger.errors() or 'no reason was given'}")
    if timing is not None and job.timing_cache is not None:
        write_sealed(job.timing_cache, bytes(config.get_timing_cache().serialize()))
    progress(1.0)
    return bytes(plan)


def _target(trt: ModuleType, config: Any, job: BuildJob, wanted: str) -> None:
    """Builds for a named GPU generation: only TensorRT-RTX can, without a GPU."""
    if not hasattr(trt, "ComputeCapability") or not hasattr(config, "set_compute_capability"):
        raise BackendError(f"{job.flavour} builds only for the GPU it runs on; use tensorrt_rtx for {wanted}")
    known = [name for name in dir(trt.ComputeCapability) if name.startswith("SM")]
    targets = wanted.split(",")
    for target in targets:
        if target not in known:
            raise BackendError(f"{job.flavour} {trt.__version__} builds for {', '.join(known)}, got {target}")
    config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        config.set_compute_capability(getattr(trt.ComputeCapability, target), i)


def _require_precision(trt: ModuleType, network: Any, job: BuildJob) -> None:
    """A graph that was to be half but computes nothing in it would silently run in float32.

    Weights stored in half do not count: float32 graphs cast them first.
    """
    if job.precision not in _LOW_TYPES:
        return
    wanted = getattr(trt.DataType, _LOW_TYPES[job.precision])
    heavy = (trt.LayerType.CONVOLUTION, trt.LayerType.MATRIX_MULTIPLY)
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        if layer.type in heavy and layer.get_output(0).dtype == wanted:
            return
    raise BackendError(f"{job.onnx} was to be {job.precision} but computes nothing in it")


class _Logger:
    """TensorRT's messages, kept so that an error can say why."""

    @staticmethod
    def make(trt: Any) -> Any:
        class Logger(trt.ILogger):
            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self._kept: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                    self._kept.append(message)

            def errors(self) -> str:
                return "; ".join(self._kept[-3:])

        return Logger()


class _Monitor:
    """Build progress as one number: nested phases weigh by their steps."""

    @staticmethod
    def make(trt: Any, progress: Callable[[float], None]) -> Any:
        class Monitor(trt.IProgressMonitor):
            def __init__(self) -> None:
                trt.IProgressMonitor.__init__(self)
                self._lock = threading.Lock()
                self._phases: dict[str, tuple[str | None, int, int]] = {}
                self._best = 0.0

            def phase_start(self, name: str, parent: str | None, steps: int) -> None:
                with self._lock:
                    self._phases[name] = (parent, max(steps, 1), 0)

            def phase_finish(self, name: str) -> None:
                with self._lock:
                    self._phases.pop(name, None)

            def step_complete(self, name: str, step: int) -> bool:
                with self._lock:
                    if name in self._phases:
                        parent, steps, _ = self._phases[name]
                        self._phases[name] = (parent, steps, step + 1)
                        self._best = max(self._best, min(self._share(name), 0.99))
                    share = self._best
                progress(share)
                return True

            def _share(self, name: str) -> float:
                parent, steps, done = self._phases[name]
                share = min(done / steps, 1.0)
                if parent in self._phases:
                    grand, parent_steps, parent_done = self._phases[parent]
                    share = min((parent_done + share) / parent_steps, 1.0)
                    if grand in self._phases:
                        top_steps, top_done = self._phases[grand][1:]
                        share = min((top_done + share) / top_steps, 1.0)
                return share

        return Monitor()
