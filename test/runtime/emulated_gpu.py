# SPDX-License-Identifier: Apache-2.0
"""A GPU for machines without one: CUDA's runtime and TensorRT's engines as doubles that do nothing before they must.

What a stream is given runs only when somebody waits for it, so a buffer that is written again too early, read too
early, or freed too early gives wrong answers here as it does on a GPU. New and freed memory is filled with NaN. Engines
compute with ONNX Runtime. The doubles have no function that the real bindings lack (`test_emulated_gpu.py` looks).
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import tensorrt_rtx
from cuda.bindings import runtime as real

from seem_ros.runtime.tensorrt import cuda_memory, tensorrt_backend
from seem_ros.runtime.tensorrt.plan_builder import BuildJob

GARBAGE = 0xFF  # NaN as float


class EmulatedCuda:
    """Stands for ``cuda.bindings.runtime``; every function returns an error code first, as the real ones do.

    Attributes:
        room: Bytes that can be allocated.
        broken: Every call on the stream gives this error from now on, as after a crashed kernel.
        capturable: Whether streams can be captured.
        launches: Graphs launched so far.
    """

    cudaMemcpyKind = real.cudaMemcpyKind
    cudaStreamCaptureMode = real.cudaStreamCaptureMode
    cudaStreamNonBlocking = real.cudaStreamNonBlocking

    def __init__(self) -> None:
        self.room, self.capturable, self.launches = 4 << 30, True, 0
        self.broken = real.cudaError_t.cudaSuccess
        self.memory: dict[int, ctypes.Array] = {}
        self.pinned: dict[int, ctypes.Array] = {}
        self._queue: list[Callable[[], None]] = []
        self._capture: list[Callable[[], None]] | None = None

    def put(self, work: Callable[[], None]) -> tuple[real.cudaError_t]:
        """Work for the stream."""
        if self.broken == real.cudaError_t.cudaSuccess:
            (self._queue if self._capture is None else self._capture).append(work)
        return (self.broken,)

    def at(self, pointer: int) -> ctypes.Array:
        """Memory on the GPU; a pointer to freed memory is an error of the caller's."""
        assert pointer in self.memory, "memory on the GPU is used that is not (or no longer) allocated"
        return self.memory[pointer]

    # ---- device and stream
    def cudaGetDeviceCount(self):
        return real.cudaError_t.cudaSuccess, 1

    def cudaSetDevice(self, index):
        return (real.cudaError_t.cudaSuccess,)

    def cudaGetDeviceProperties(self, index):
        return real.cudaError_t.cudaSuccess, SimpleNamespace(name=b"Emulated GPU\x00", major=8, minor=9)

    def cudaDriverGetVersion(self):
        return real.cudaError_t.cudaSuccess, 13020

    def cudaStreamCreateWithFlags(self, flags):
        return real.cudaError_t.cudaSuccess, 1

    def cudaStreamDestroy(self, stream):
        return (real.cudaError_t.cudaSuccess,)

    def cudaStreamSynchronize(self, stream):
        assert self._capture is None, "waiting is not allowed while a graph is captured"
        queue, self._queue = self._queue, []
        if self.broken == real.cudaError_t.cudaSuccess:
            for work in queue:
                work()
        return (self.broken,)

    def cudaGetLastError(self):
        return (self.broken,)

    # ---- memory
    def cudaMalloc(self, size):
        return self.allocate(size)

    def allocate(self, size):
        """An error code, and where the memory is."""
        assert self._capture is None, "memory is allocated while a graph is captured"
        if sum(map(ctypes.sizeof, self.memory.values())) + size > self.room:
            return real.cudaError_t.cudaErrorMemoryAllocation, None
        buffer = (ctypes.c_ubyte * size)()
        ctypes.memset(buffer, GARBAGE, size)
        self.memory[ctypes.addressof(buffer)] = buffer
        return real.cudaError_t.cudaSuccess, ctypes.addressof(buffer)

    def cudaFree(self, pointer):
        self.cudaStreamSynchronize(1)  # as the real one: nothing that runs loses its memory
        ctypes.memset(self.at(pointer), GARBAGE, ctypes.sizeof(self.memory[pointer]))
        del self.memory[pointer]
        return (self.broken,)

    def cudaMemGetInfo(self):
        used = sum(map(ctypes.sizeof, self.memory.values()))
        return real.cudaError_t.cudaSuccess, self.room - used, self.room

    def cudaHostAlloc(self, size, flags):
        buffer = (ctypes.c_ubyte * size)()
        self.pinned[ctypes.addressof(buffer)] = buffer
        return real.cudaError_t.cudaSuccess, ctypes.addressof(buffer)

    def cudaFreeHost(self, pointer):
        assert pointer in self.pinned
        self.cudaStreamSynchronize(1)
        # Kept as long as the double: a numpy array over it may still be around.
        return (real.cudaError_t.cudaSuccess,)

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        kinds = real.cudaMemcpyKind
        host = {kinds.cudaMemcpyHostToDevice: source, kinds.cudaMemcpyDeviceToHost: target}.get(kind)
        assert host is None or host in self.pinned, "a copy from or to pageable memory is not asynchronous"

        def copy():
            for pointer in {target, source} - {host}:
                assert size <= ctypes.sizeof(self.at(pointer))
            ctypes.memmove(target, source, size)

        return self.put(copy)

    # ---- graphs
    def cudaStreamBeginCapture(self, stream, mode):
        assert self._capture is None
        self._capture = []
        return (self.broken,)

    def cudaStreamEndCapture(self, stream):
        captured, self._capture = self._capture, None
        if not self.capturable:
            return real.cudaError_t.cudaErrorStreamCaptureInvalidated, None
        return self.broken, captured

    def cudaGraphInstantiate(self, graph, flags):
        return self.broken, list(graph)

    def cudaGraphDestroy(self, graph):
        return (real.cudaError_t.cudaSuccess,)

    def cudaGraphLaunch(self, executable, stream):
        self.launches += 1
        return self.put(lambda: [work() for work in executable])

    def cudaGraphExecDestroy(self, executable):
        return (real.cudaError_t.cudaSuccess,)


class EmulatedTensorRt:
    """Stands for the module ``tensorrt_rtx``: its runtime loads plans that name an ONNX file.

    Attributes:
        miscompiled: Precisions whose engines answer wrongly.
        builds: Graphs built so far.
        context_memory: Bytes that an engine takes to run.
    """

    __name__, __version__ = "tensorrt_rtx", tensorrt_rtx.__version__
    Logger, TensorIOMode = tensorrt_rtx.Logger, tensorrt_rtx.TensorIOMode

    def __init__(self, gpu: EmulatedCuda) -> None:
        self.gpu, self.miscompiled, self.builds, self.context_memory = gpu, set(), [], 1 << 20

    def build(self, job: BuildJob, progress: Callable[[float], None] = lambda share: None) -> bytes:
        """In place of `build_plan`."""
        self.builds.append((job.onnx.name, job.precision))
        progress(1.0)
        return json.dumps({"onnx": str(job.onnx), "precision": job.precision}).encode()

    def Runtime(self, logger: Any) -> Runtime:
        """A runtime."""
        return Runtime(self)


class Runtime:
    """Stands for ``tensorrt_rtx.Runtime``."""

    def __init__(self, library: EmulatedTensorRt) -> None:
        self._library = library

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        """None for what is no plan, as the real one."""
        try:
            content = json.loads(plan)
        except ValueError:
            return None
        return Engine(self._library, Path(content["onnx"]), content["precision"])


class Engine:
    """Stands for ``ICudaEngine``."""

    def __init__(self, library: EmulatedTensorRt, path: Path, precision: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.library = library
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.wrong = precision in library.miscompiled
        self.inputs = {p.name: p for p in self.session.get_inputs()}
        self.ports = self.inputs | {p.name: p for p in self.session.get_outputs()}
        self.num_io_tensors = len(self.ports)

    def get_tensor_name(self, index):
        return list(self.ports)[index]

    def get_tensor_dtype(self, name):
        kinds = {"tensor(float)": "FLOAT", "tensor(int32)": "INT32", "tensor(uint8)": "UINT8", "tensor(bool)": "BOOL"}
        return getattr(tensorrt_rtx.DataType, kinds[self.ports[name].type])

    def get_tensor_shape(self, name):
        return tensorrt_rtx.Dims(self.ports[name].shape)

    def get_tensor_mode(self, name):
        return tensorrt_rtx.TensorIOMode.INPUT if name in self.inputs else tensorrt_rtx.TensorIOMode.OUTPUT

    def create_execution_context(self):
        gpu = self.library.gpu
        code, memory = gpu.allocate(self.library.context_memory)
        return Context(self, memory) if code == real.cudaError_t.cudaSuccess else None


class Context:
    """Stands for ``IExecutionContext``; its first run may not be captured, as an engine's that does deferred work."""

    def __init__(self, engine: Engine, memory: int) -> None:
        self._engine, self._memory, self._addresses, self._ran = engine, memory, {}, False

    def __del__(self) -> None:
        self._engine.library.gpu.memory.pop(self._memory)

    def set_tensor_address(self, name, pointer):
        self._addresses[name] = pointer
        return True

    def execute_async_v3(self, stream):
        gpu, engine = self._engine.library.gpu, self._engine
        if gpu._capture is not None and not self._ran:
            return False
        self._ran = True

        def compute():
            kinds = {name: cuda_kind(engine.get_tensor_dtype(name)) for name in engine.ports}
            feeds = {
                name: np.frombuffer(gpu.at(self._addresses[name]), kinds[name], int(np.prod(port.shape))).reshape(
                    port.shape
                )
                for name, port in engine.inputs.items()
            }
            names = [name for name in engine.ports if name not in engine.inputs]
            for name, value in zip(names, engine.session.run(names, feeds)):
                value = np.ascontiguousarray(value)
                if engine.wrong and value.dtype == np.float32:
                    value = value[..., ::-1].copy()
                ctypes.memmove(gpu.at(self._addresses[name]), value.ctypes.data, value.nbytes)

        return gpu.put(compute)[0] == real.cudaError_t.cudaSuccess


def cuda_kind(kind: Any) -> np.dtype:
    """numpy's type for TensorRT's."""
    return np.dtype({"FLOAT": "f4", "INT32": "i4", "UINT8": "u1", "BOOL": "?"}[kind.name])


@contextmanager
def emulated(gpu: EmulatedCuda, library: EmulatedTensorRt) -> Iterator[None]:
    """While it lasts, the backends find this GPU and this TensorRT."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda_memory, "cuda_runtime", lambda: gpu)
        patch.setattr(tensorrt_backend, "load_library", lambda flavour: library)
        patch.setattr(tensorrt_backend, "build_plan", library.build)
        yield
