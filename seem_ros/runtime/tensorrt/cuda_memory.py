# SPDX-License-Identifier: Apache-2.0
"""Device memory, pinned staging, streams and graphs through cuda-python: no torch, no PyCUDA."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from seem_ros.errors import BackendError


class DeviceError(BackendError):
    """The GPU failed while it worked; another backend can serve."""


class DeviceMemoryError(DeviceError):
    """The GPU is out of memory."""


def cuda_runtime() -> Any:
    """The CUDA runtime's bindings.

    Raises:
        BackendError: cuda-python is not installed.
    """
    try:
        from cuda.bindings import runtime
    except ImportError:
        try:
            from cuda import cudart as runtime  # cuda-python before 12.6, as on JetPack 6
        except ImportError as error:
            raise BackendError(f"TensorRT backends need cuda-python: pip install cuda-python ({error})") from error
    return runtime


class Cuda:
    """One GPU, one stream.

    Memory that is given back is kept for the next array of its size: a camera's pictures all need the same ones, the
    one stream keeps uses in order, and what CUDA offers for it (memory pools) is not on every board.

    Attributes:
        stream: Handle of the stream everything runs on.
        name: Of the GPU.
        compute_capability: E.g. ``8.9``.
        driver: CUDA version of the driver, e.g. ``13020``.
    """

    def __init__(self, index: int = 0) -> None:
        self._api = cuda_runtime()
        try:
            count = self.call(self._api.cudaGetDeviceCount)
        except BackendError as error:
            raise BackendError(
                f"no NVIDIA driver that works with this CUDA was found ({error}); cuda-python must not be newer than "
                "the driver: where nvidia-smi says CUDA 12, as on JetPack 6, pip install 'cuda-python<13'"
            ) from error
        if count <= index:
            raise BackendError(f"no NVIDIA GPU number {index}, the driver sees {count}")
        self.call(self._api.cudaSetDevice, index)
        properties = self.call(self._api.cudaGetDeviceProperties, index)
        raw = properties.name
        self.name = (raw.decode() if isinstance(raw, bytes) else str(raw)).strip("\x00")
        self.compute_capability = f"{properties.major}.{properties.minor}"
        self.driver = str(self.call(self._api.cudaDriverGetVersion))
        self._index = index
        self._handle = self.call(self._api.cudaStreamCreateWithFlags, self._api.cudaStreamNonBlocking)
        self.stream = int(self._handle)
        self._spare: dict[int, list[int]] = {}  # pointers by size

    def call(self, function: Any, *arguments: Any) -> Any:
        """Calls the runtime; its error codes become exceptions.

        Raises:
            DeviceMemoryError: Out of memory.
            DeviceError: Any other error.
        """
        code, *rest = function(*arguments)
        if int(code) != 0:
            name = getattr(code, "name", str(code))
            if name == "cudaErrorMemoryAllocation":
                raise DeviceMemoryError(f"the GPU is out of memory ({function.__name__})")
            raise DeviceError(f"CUDA: {function.__name__} gave {name}")
        return rest[0] if len(rest) == 1 else rest or None

    def use(self) -> None:
        """Makes this GPU the calling thread's."""
        self.call(self._api.cudaSetDevice, self._index)

    def device_array(self, shape: tuple[int, ...], kind: np.dtype) -> DeviceArray:
        """A new array on the GPU; its content is anything."""
        return DeviceArray(self, shape, kind)

    def pinned(self, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
        """A numpy array in page-locked memory; lives as long as the process' use of this object."""
        count = int(np.prod(shape))
        size = max(count * kind.itemsize, 1)
        pointer = int(self.call(self._api.cudaHostAlloc, size, 0))
        buffer = (ctypes.c_byte * size).from_address(pointer)
        return np.frombuffer(memoryview(buffer), kind, count=count).reshape(shape)

    def free_pinned(self, array: np.ndarray) -> None:
        """Frees what ``pinned`` gave."""
        self._api.cudaFreeHost(array.ctypes.data)

    def upload(self, target: int, source: np.ndarray) -> None:
        """Copies to the GPU, in stream order; ``source`` must stay as it is until then."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call(self._api.cudaMemcpyAsync, target, source.ctypes.data, source.nbytes, kind, self._handle)

    def download(self, target: np.ndarray, source: int) -> None:
        """Copies from the GPU, in stream order; call ``wait`` before reading."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call(self._api.cudaMemcpyAsync, target.ctypes.data, source, target.nbytes, kind, self._handle)

    def copy(self, target: int, source: int, size: int) -> None:
        """Copies on the GPU, in stream order."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self.call(self._api.cudaMemcpyAsync, target, source, size, kind, self._handle)

    def allocate(self, size: int) -> int:
        """Bytes on the GPU.

        Raises:
            DeviceMemoryError: There is no room, not even without what is kept for later.
        """
        spare = self._spare.get(size)
        if spare:
            return spare.pop()
        try:
            return int(self.call(self._api.cudaMalloc, max(size, 1)))
        except DeviceMemoryError:
            self.release()
        return int(self.call(self._api.cudaMalloc, max(size, 1)))

    def give_back(self, pointer: int, size: int) -> None:
        """Keeps memory for the next array of its size; work on the stream may still use it."""
        self._spare.setdefault(size, []).append(pointer)

    def release(self) -> None:
        """Frees what is kept; errors at shutdown do not matter."""
        kept, self._spare = self._spare, {}
        for pointers in kept.values():
            for pointer in pointers:
                self._api.cudaFree(pointer)  # waits for what the stream still does

    def wait(self) -> None:
        """Until everything on the stream is done."""
        self.call(self._api.cudaStreamSynchronize, self._handle)

    def record(self, enqueue: Any) -> Any:
        """Captures what ``enqueue`` puts on the stream as a CUDA graph; None where it cannot be captured."""
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call(self._api.cudaStreamBeginCapture, self._handle, mode)
        good = bool(enqueue())
        code, graph = self._api.cudaStreamEndCapture(self._handle)
        if not good or int(code) != 0:
            self._api.cudaGetLastError()
            return None
        executable = self.call(self._api.cudaGraphInstantiate, graph, 0)
        self._api.cudaGraphDestroy(graph)
        return executable

    def launch(self, executable: Any) -> None:
        """Runs a captured graph on the stream."""
        self.call(self._api.cudaGraphLaunch, executable, self._handle)

    def free_graph(self, executable: Any) -> None:
        """Frees a captured graph."""
        self._api.cudaGraphExecDestroy(executable)

    def memory(self) -> tuple[int, int]:
        """Free and total bytes of the GPU."""
        free, total = self.call(self._api.cudaMemGetInfo)
        return int(free), int(total)

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self.release()
            self._api.cudaStreamDestroy(self._handle)


class DeviceArray:
    """An array on the GPU, freed with the object."""

    def __init__(self, cuda: Cuda, shape: tuple[int, ...], kind: np.dtype) -> None:
        self.shape, self.kind = shape, kind
        self.nbytes = int(np.prod(shape)) * kind.itemsize
        self._cuda = cuda
        self.pointer = cuda.allocate(self.nbytes)

    def __del__(self) -> None:
        if getattr(self, "pointer", 0):
            self._cuda.give_back(self.pointer, self.nbytes)
            self.pointer = 0
