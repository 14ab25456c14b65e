# SPDX-License-Identifier: Apache-2.0
"""Which backend runs a package: the one asked for, or the best that works here."""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
from pathlib import Path
from typing import Any

from seem_ros.errors import BackendError
from seem_ros.extras import pip_line
from seem_ros.files import expanded
from seem_ros.runtime.backends.graph_backend import GraphBackend
from seem_ros.runtime.interface import Backend
from seem_ros.runtime.official.preparation import prepared_package
from seem_ros.runtime.package import BUILTIN, PRECISIONS, Package
from seem_ros.sealed import default_cache_dir

BACKENDS = ("onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "torch")
_MODULES = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt_rtx",
    "torch": "torch",
}
_log = logging.getLogger(__name__)


def available_backends() -> tuple[str, ...]:
    """Backends whose library is installed (a device may still be missing)."""
    return tuple(name for name in BACKENDS if importlib.util.find_spec(_MODULES[name]) is not None)


def load_backend(
    package: str | os.PathLike[str] | Package = BUILTIN,
    backend: str = "auto",
    *,
    precision: str | None = None,
    device: str | None = None,
    threads: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    preload: bool = False,
    background: bool = True,
) -> Backend:
    """Opens a model package.

    ``auto`` takes, in this order, what is installed and works: TensorRT, TensorRT-RTX or ONNX Runtime's CUDA where
    there is an NVIDIA GPU; OpenVINO on x86 CPUs; ONNX Runtime; torch. Each one that was tried and failed is logged as
    a warning. A backend asked for by name is used or refused, never exchanged.

    Args:
        package: Name of an installed model, a folder with ``model.yaml``, or an opened package. An official model such
            as ``focalt_v1`` is fetched and exported the first time, which the log tells.
        backend: ``auto`` or one of ``BACKENDS``.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``; default fp32 on CPUs, the package's own on NVIDIA GPUs.
            Where ``int8`` would not be faster, float32 serves and the status says so in one line.
        device: ``cpu`` or ``cuda`` for onnxruntime and torch, OpenVINO's device name for openvino.
        threads: CPU threads; 0 leaves it to the backend.
        cache_dir: Root of the cache of texts and engines; default ``~/.cache/seem_ros``.
        preload: Open every graph now, so that no later call waits.
        background: Build missing TensorRT engines in a thread and serve with ONNX Runtime meanwhile; else build first.

    Raises:
        PackageError: The package cannot be used.
        CheckpointError: An official model's checkpoint cannot be fetched; says what to put where.
        BackendError: Unknown backend, not installed, no such device, or the device failed.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise BackendError(f"unknown backend {backend!r}; known are auto, {', '.join(BACKENDS)}")
    if precision is not None and precision not in PRECISIONS:
        raise BackendError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    root = default_cache_dir() if cache_dir is None else expanded(cache_dir, "cache_dir")
    opened = package if isinstance(package, Package) else prepared_package(package, _log.warning, root)
    options: dict[str, Any] = {
        "precision": precision,
        "device": device,
        "threads": threads,
        "preload": preload,
        "background": background,
        "cache_dir": root,
    }
    if backend != "auto":
        return _open(backend, opened, **options)
    failures = []
    for name, wanted_device in _order(device):
        try:
            return _open(name, opened, **(options | {"device": wanted_device}))
        except BackendError as error:
            failures.append(f"{name}: {error}")
            _log.warning("backend %s cannot be used: %s", name, error)
    raise BackendError(
        "no backend can run this model; install one: pip install onnxruntime" + "".join(f"; {f}" for f in failures)
    )


def fastest_cpu_precision(
    package: Package, backend: str = "auto", cache_dir: Path | None = None, threads: int = 0
) -> str | None:
    """The precision worth asking for where a CPU serves a package, beside the default of fp32.

    Args:
        package: Opened package.
        backend: As for `load_backend`.
        cache_dir: Root of the cache; default ``~/.cache/seem_ros``.
        threads: As for `load_backend`.

    Returns:
        ``bf16`` where OpenVINO will run the image encoder alone (masks then differ by 0.2 % of their pixels) on a CPU
        that computes in bf16 itself, ``int8`` where the package has it and it is a tenth faster still; None where the
        default is best, or where OpenVINO cannot be loaded, which is logged as a warning.
    """
    if backend not in ("auto", "openvino") or "openvino" not in available_backends():
        return None
    if backend == "auto" and _order(None)[0][0] != "openvino":
        return None
    from seem_ros.runtime.precision_choice import faster_precision

    root = default_cache_dir() if cache_dir is None else cache_dir
    try:
        found = faster_precision(package, root, threads)
    except (ImportError, RuntimeError, OSError) as error:  # it is installed, and a library that it needs is not
        _log.warning("OpenVINO cannot tell which precision is fastest here, fp32 serves: %s", error)
        return None
    return None if found == "fp32" else found


def without_int8(backend: str, device: str | None) -> str:
    """Why a backend does not serve a package's eight-bit graph here, or nothing."""
    if backend in ("tensorrt", "tensorrt_rtx"):
        return ""
    if backend != "openvino":
        return f"{backend} is not faster in int8"
    from seem_ros.runtime.backends.openvino_backend import has_int8

    if (device or "CPU").upper().startswith("CPU") and not has_int8():
        return "this CPU has no instructions for int8 (VNNI or AMX)"
    return ""


def _order(device: str | None) -> list[tuple[str, str | None]]:
    """Backends worth trying here, best first, with their device."""
    installed, order = available_backends(), []
    if device in (None, "cuda"):
        from seem_ros.runtime.tensorrt.gpu_presence import nvidia_gpu

        if nvidia_gpu():
            order += [("tensorrt", None), ("tensorrt_rtx", None), ("onnxruntime", "cuda")]
            if device == "cuda":
                order.append(("torch", "cuda"))
        elif device == "cuda":
            raise BackendError("device cuda was asked for, but no NVIDIA driver with a GPU was found")
    if device != "cuda":
        if platform.machine() in ("x86_64", "AMD64"):
            order.append(("openvino", device))
        order += [("onnxruntime", "cpu"), ("torch", "cpu")]
    return [(name, wanted) for name, wanted in order if name in installed]


def _open(
    name: str,
    package: Package,
    *,
    precision: str | None,
    device: str | None,
    threads: int,
    cache_dir: Path,
    preload: bool,
    background: bool,
) -> Backend:
    if precision == "int8":
        package.graph_set("int8")  # a package without is the user's mistake, not the machine's
        reason = without_int8(name, device)
        if reason:
            served = _open(
                name,
                package,
                precision=None,
                device=device,
                threads=threads,
                cache_dir=cache_dir,
                preload=preload,
                background=background,
            )
            message = f"{reason}: fp32 serves in its place"
            _log.warning("%s", message)
            if isinstance(served, GraphBackend):
                served.set_message(message)
            return served
    if name == "onnxruntime":
        from seem_ros.runtime.backends.onnxruntime_backend import open_onnxruntime

        return open_onnxruntime(
            package, device or "cpu", precision or "fp32", threads, cache_dir=cache_dir, preload=preload
        )
    if name == "openvino":
        from seem_ros.runtime.backends.openvino_backend import open_openvino

        return open_openvino(
            package, device or "CPU", precision or "fp32", threads, cache_dir=cache_dir, preload=preload
        )
    if name == "torch":
        return _open_torch(package, device, precision or "fp32", cache_dir)
    from seem_ros.runtime.tensorrt.tensorrt_backend import open_tensorrt

    return open_tensorrt(package, name, precision or package.spec.precision, cache_dir, background, threads)


def _open_torch(package: Package, device: str | None, precision: str, cache_dir: Path) -> Backend:
    missing = [m for m in ("torch", "timm", "safetensors") if importlib.util.find_spec(m) is None]
    if missing:
        raise BackendError(f"backend torch needs {', '.join(missing)}: {pip_line('torch')}")
    from seem_ros.runtime.backends.torch_backend import TorchBackend

    return TorchBackend.from_package(package, device, precision, cache_dir)
