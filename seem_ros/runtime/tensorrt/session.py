# SPDX-License-Identifier: Apache-2.0
"""One TensorRT engine: fixed addresses, pinned staging, a CUDA graph after the first run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from seem_ros.errors import BackendError
from seem_ros.runtime.backends.graph_backend import Port, Session
from seem_ros.runtime.tensorrt.cuda_memory import Cuda, DeviceArray, DeviceError, DeviceMemoryError

_KINDS = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
    "UINT8": np.uint8,
}


class TensorRtSession(Session):
    """Runs a plan; results stay on the GPU until ``host`` or ``keep``."""

    def __init__(self, trt: ModuleType, runtime: Any, plan: bytes, cuda: Cuda, graphs: bool = True) -> None:
        """Loads a plan.

        Args:
            trt: ``tensorrt`` or ``tensorrt_rtx``.
            runtime: ``trt.Runtime``.
            plan: From the engine cache, verified there.
            cuda: GPU and stream, shared by the sessions of a backend.
            graphs: Use CUDA graphs where the engine can be captured.

        Raises:
            DeviceMemoryError: It does not fit.
            BackendError: The plan is another version's or GPU's.
        """
        self._cuda, self._graphs = cuda, graphs
        self._engine = runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            free = cuda.memory()[0]
            if free < 2 * len(plan):  # TensorRT says None for this too
                raise DeviceMemoryError(f"{trt.__name__} cannot load {len(plan) >> 20} MB with {free >> 20} MB free")
            raise BackendError(f"{trt.__name__} refuses the plan: it is another version's or GPU's")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise DeviceMemoryError(f"{trt.__name__} cannot make an execution context: the GPU's memory is full")
        self.inputs, self.outputs = {}, []
        self._buffers: dict[str, DeviceArray] = {}
        self._staging: dict[str, np.ndarray] = {}
        self._loaded: dict[str, DeviceArray] = {}
        for i in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(i)
            kind = np.dtype(_KINDS[self._engine.get_tensor_dtype(name).name])
            port = Port(name, tuple(self._engine.get_tensor_shape(name)), kind)
            if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                self.inputs[name] = port
            else:
                self.outputs.append(port)
            self._buffers[name] = cuda.device_array(port.shape, kind)
            if not self._context.set_tensor_address(name, self._buffers[name].pointer):
                raise BackendError(f"{trt.__name__} refuses the address of {name}")
        self._captured: Any = None
        self._runs = 0

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """See `Session.run`; results are overwritten by the next run."""
        for name, port in self.inputs.items():
            value, target = feeds[name], self._buffers[name]
            if isinstance(value, DeviceArray):
                if self._loaded.get(name) is not value:  # the same picture is asked many times
                    self._cuda.copy(target.pointer, value.pointer, target.nbytes)
                    self._loaded[name] = value
                continue
            if name not in self._staging:
                self._staging[name] = self._cuda.pinned(port.shape, port.kind)
            # The copy of the last run is over: results were waited for, or `keep` is in stream order before this.
            np.copyto(self._staging[name], value)
            self._cuda.upload(target.pointer, self._staging[name])
        self._enqueue()
        return {port.name: self._buffers[port.name] for port in self.outputs}

    def host(self, found: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """See `Session.host`."""
        for port in self.outputs:
            if port.name not in self._staging:
                self._staging[port.name] = self._cuda.pinned(port.shape, port.kind)
            self._cuda.download(self._staging[port.name], found[port.name].pointer)
        self._cuda.wait()
        arrays = {port.name: self._staging[port.name].copy() for port in self.outputs}
        return {name: a.astype(np.float32) if a.dtype == np.float16 else a for name, a in arrays.items()}

    def keep(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """See `Session.keep`."""
        kept = {}
        for name, array in found.items():
            kept[name] = self._cuda.device_array(array.shape, array.kind)
            self._cuda.copy(kept[name].pointer, array.pointer, array.nbytes)
        self._cuda.wait()  # the staging of the inputs is free again
        return kept

    def close(self) -> None:
        """See `Session.close`."""
        with contextlib.suppress(DeviceError):  # after a crash every call fails, this one too
            self._cuda.wait()
        if self._captured is not None:
            self._cuda.free_graph(self._captured)
            self._captured = None
        for array in self._staging.values():
            self._cuda.free_pinned(array)
        self._staging.clear()
        self._buffers.clear()
        self._loaded.clear()
        self._context = self._engine = None
        self._cuda.release()

    def _enqueue(self) -> None:
        self._runs += 1
        if self._captured is not None:
            self._cuda.launch(self._captured)
            return
        if self._runs == 2 and self._graphs:  # the first run does deferred work that must not be captured
            self._captured = self._cuda.record(lambda: self._context.execute_async_v3(self._cuda.stream))
            if self._captured is not None:
                self._cuda.launch(self._captured)
                return
        if not self._context.execute_async_v3(self._cuda.stream):
            raise DeviceError("TensorRT failed to run an engine")
