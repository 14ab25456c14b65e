# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on CPU or CUDA: the default, and what every other engine is measured against."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seem_ros.errors import BackendError
from seem_ros.runtime.backends.graph_backend import GraphBackend, Port, Session
from seem_ros.runtime.interface import BackendStatus
from seem_ros.runtime.package import Package

MOST_AT_ONCE = 8  # decoders: more cores are of no use to 16 prompts, whose calls have a cost of their own
_KINDS = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OnnxRuntimeSession(Session):
    """One graph in ONNX Runtime.

    Args:
        path: The ONNX file.
        providers: ONNX Runtime's.
        threads: Within one operator; 0 leaves it to ONNX Runtime.
        spinning: Let waiting threads spin.
        keeps_memory: Let the graph keep the memory of its largest run for the next one.
    """

    def __init__(
        self, path: Path, providers: list[Any], threads: int, spinning: bool, keeps_memory: bool = True
    ) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = keeps_memory
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # one exception class per status code, all made in native code
            raise BackendError(f"ONNX Runtime cannot load {path}: {error}") from error
        self.inputs = {i.name: _port(i) for i in self._session.get_inputs()}
        self.outputs = [_port(o) for o in self._session.get_outputs()]
        self._names = [o.name for o in self.outputs]

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """See `Session.run`."""
        try:
            return dict(zip(self._names, self._session.run(self._names, dict(feeds)), strict=True))
        except Exception as error:
            raise BackendError(f"ONNX Runtime failed: {error}") from error


def decoders_at_once(threads: int) -> int:
    """How many decoders run at the same time on a CPU, each with one thread.

    Prompts do not wait for each other, operators of one graph do: on two cores 16 prompts took 73 ms with two threads
    within each operator, and 54 ms in two halves with one each.

    Args:
        threads: That may be used; 0 = one per core of this process.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(threads or cores, MOST_AT_ONCE)


def _port(node: Any) -> Port:
    return Port(node.name, tuple(node.shape), np.dtype(_KINDS[node.type]))


def open_onnxruntime(
    package: Package,
    device: str = "cpu",
    precision: str = "fp32",
    threads: int = 0,
    spinning: bool = False,
    cache_dir: Path | None = None,
    preload: bool = False,
) -> GraphBackend:
    """Runs a package in ONNX Runtime.

    Args:
        package: Verified package.
        device: ``cpu`` or ``cuda``.
        precision: ``fp32``, or a lower one that the package has graphs for.
        threads: Threads within one operator, and decoders at once; 0 leaves it to ONNX Runtime, and is one per core.
        spinning: Let waiting threads spin. Only for a machine that does nothing else: on two cores a frame of the
            built-in model took 61 ms with and 43 ms without, and half the processor time.
        cache_dir: Root of the disk cache for texts.
        preload: Open every graph now.

    Raises:
        BackendError: Not installed, or the device is not available.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise BackendError(f"backend onnxruntime is not installed: pip install onnxruntime ({error})") from error
    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            raise BackendError(
                f"this ONNX Runtime has no CUDA (it has {ort.get_available_providers()}): pip install onnxruntime-gpu"
            )
        # TF32 would change masks silently; float32 means float32.
        providers = [("CUDAExecutionProvider", {"use_tf32": "0"}), *providers]
    elif device != "cpu":
        raise BackendError(f"backend onnxruntime runs on cpu or cuda, got {device!r}")
    at_once = decoders_at_once(threads) if device == "cpu" else 1
    alone = package.graph_set(precision).prompt_decoders() if at_once > 1 else ()

    def open_session(name: str) -> Session:
        return OnnxRuntimeSession(package.path(name), providers, 1 if name in alone else threads, spinning)

    status = BackendStatus("onnxruntime", device.upper(), precision)
    return GraphBackend(package, open_session, status, cache_dir, preload, at_once=at_once)
