# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: the fastest on x86 CPUs. Precision is always set explicitly: its own default on newer CPUs is bfloat16."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seem_ros.errors import BackendError
from seem_ros.runtime.backends.graph_backend import GraphBackend, Port, Session
from seem_ros.runtime.backends.onnxruntime_backend import OnnxRuntimeSession, decoders_at_once
from seem_ros.runtime.interface import BackendStatus
from seem_ros.runtime.package import Package
from seem_ros.sealed import MAX_COMPILED_BYTES, MappedFile, clear_oldest, map_sealed, write_sealed

_SMALL_BYTES = 64 << 20
_log = logging.getLogger(__name__)
# No fp16: masked attention overflows in it and gives NaN (measured on a CPU with AVX512-FP16, 2026.4.1).
_HINTS = {"fp32": "f32", "bf16": "bf16"}
# Instructions that multiply bytes. Without them eight bits are no faster, and OpenVINO may saturate.
_BYTE_PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8")
# Instructions for bfloat16, ARM's among them.
_HALF_PRODUCTS = ("bf16", "avx_ne_convert")


class OpenVinoSession(Session):
    """One graph in OpenVINO."""

    def __init__(
        self, core: Any, path: Path, device: str, settings: Mapping[str, Any], cached: Path | None = None
    ) -> None:
        """Opens a graph.

        Args:
            core: OpenVINO's.
            path: The ONNX file.
            device: OpenVINO's name.
            settings: Of the compiled model.
            cached: Where the compiled model is kept: compiling takes seconds, reading the result does not.

        Raises:
            BackendError: OpenVINO cannot run it.
        """
        import openvino as ov

        self._tensor = ov.Tensor
        try:
            read = None if cached is None else _read_compiled(core, cached, device, settings)
            if read is not None:
                compiled, self._mapped = read  # which the compiled model reads from
            else:
                compiled = core.compile_model(str(path), device, dict(settings))
                if cached is not None and "EXPORT_IMPORT" in core.get_property(device, "OPTIMIZATION_CAPABILITIES"):
                    write_sealed(cached, compiled.export_model().getvalue())
                    clear_oldest(cached.parent, cached.suffix, MAX_COMPILED_BYTES)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot load {path}: {error}") from error
        self._ports = {_port(p).name: p for p in (*compiled.inputs, *compiled.outputs)}
        self.inputs = {_port(p).name: _port(p) for p in compiled.inputs}
        self.outputs = [_port(p) for p in compiled.outputs]
        self._compiled, self._request = compiled, compiled.create_infer_request()

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """See `Session.run`; results are written straight into new arrays."""
        found = {}
        try:
            for name, array in feeds.items():
                self._request.set_tensor(self._ports[name], self._tensor(array, shared_memory=True))
            for port in self.outputs:
                found[port.name] = np.empty(port.shape, port.kind)
                self._request.set_tensor(self._ports[port.name], self._tensor(found[port.name], shared_memory=True))
            self._request.infer()
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {error}") from error
        return found

    def rest(self) -> None:
        """See `Session.rest`: of the built-in model's encoder 7 MB (bf16) or 14 MB (fp32)."""
        with contextlib.suppress(RuntimeError):
            self._compiled.release_memory()


def _read_compiled(core: Any, path: Path, device: str, settings: Mapping[str, Any]) -> tuple[Any, MappedFile] | None:
    """A compiled model from the cache and what it must outlive; None where there is none that is whole. OpenVINO itself
    checks nothing: one flipped bit in its own cache made it answer 0.114 for 0.998."""
    import openvino as ov

    mapped = map_sealed(path)
    if mapped is None:
        return None
    try:
        compiled = core.import_model(ov.Tensor(mapped.content, shared_memory=True), device, dict(settings))
    except RuntimeError as error:  # of another driver, or a version that kept its number
        _log.warning("%s is refused by OpenVINO and will be made again: %s", path, error)
        return None
    mapped.rest()  # it has most weights once more, in the order in which it multiplies
    return compiled, mapped


def _port(port: Any) -> Port:
    # Not any_name: fusing gives a tensor several names, and any one of them comes back.
    name = port.node.friendly_name.split("/")[0]
    return Port(name, tuple(port.shape), np.dtype(port.element_type.to_dtype()))


def has_bf16(device: str = "CPU") -> bool:
    """Whether a device computes in bf16 itself."""
    import openvino as ov

    return _computes_bf16(device, _capabilities(ov.Core(), device) or [])


def _computes_bf16(device: str, capabilities: list[str]) -> bool:
    """Whether what OpenVINO says of a device includes bf16, and the device has instructions for it: OpenVINO says so of
    every CPU with AVX-512, and emulates it without, five times as slow as float32 (measured with `ONEDNN_MAX_CPU_ISA`,
    2026.4.1)."""
    if "BF16" not in capabilities:
        return False
    flags = _processor_flags() if device.upper().startswith("CPU") else ""
    return not flags or any(name in flags for name in _HALF_PRODUCTS)


def _capabilities(core: Any, device: str) -> list[str] | None:
    """What a device can do; None where there is no such device. Only its plugin is asked: listing all devices loads
    GPUs' and NPUs' as well."""
    try:
        return list(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
    except RuntimeError:
        return None


def has_int8() -> bool:
    """Whether this machine's CPU multiplies bytes in one instruction (VNNI or AMX); False where it cannot be told."""
    flags = _processor_flags()
    return any(name in flags for name in _BYTE_PRODUCTS)


def has_amx_bf16() -> bool:
    """Whether this machine's CPU multiplies tiles of bfloat16; False where it cannot be told."""
    return "amx_bf16" in _processor_flags()


def _processor_flags() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def only_encoder(package: Package) -> bool:
    """Whether OpenVINO runs a package's image encoder alone by default, and ONNX Runtime the rest."""
    small = package.path(package.weights).stat().st_size <= _SMALL_BYTES
    return small and importlib.util.find_spec("onnxruntime") is not None


def open_openvino(
    package: Package,
    device: str = "CPU",
    precision: str = "fp32",
    threads: int = 0,
    cache_dir: Path | None = None,
    preload: bool = False,
    whole: bool | None = None,
) -> GraphBackend:
    """Runs a package in OpenVINO.

    Of a small model only the image encoder runs in OpenVINO, the rest in ONNX Runtime where that is installed: for the
    built-in model a decoder graph takes 85 MB in OpenVINO and 18 MB in ONNX Runtime, at the same speed.

    Args:
        package: Verified package.
        device: OpenVINO's device name, e.g. ``CPU`` or ``GPU``.
        precision: ``fp32``, or ``bf16`` for the image encoder: it takes most of the time, and decoders in bfloat16 too
            cost masks (mean IoU 0.973 against 0.998 on the built-in model). ``int8`` is the package's eight-bit image
            encoder, with what it leaves in float in bf16 where the CPU computes in it.
        threads: 0 leaves it to OpenVINO; as many decoders run at once in ONNX Runtime, 0 is one per core.
        cache_dir: Root of the disk cache for texts and compiled models.
        preload: Open every graph now.
        whole: Run every graph in OpenVINO; default for models with more than 64 MB of weights.

    Raises:
        BackendError: Not installed, or the device or precision is not available.
    """
    try:
        import openvino as ov
    except ImportError as error:
        raise BackendError(f"backend openvino is not installed: pip install openvino ({error})") from error
    if precision not in (*_HINTS, "int8"):
        raise BackendError(f"backend openvino computes in fp32 or bf16 or int8, got {precision!r}")
    device = device.upper()
    core = ov.Core()
    capabilities = _capabilities(core, device)
    if capabilities is None:
        raise BackendError(f"OpenVINO knows the devices {core.available_devices}, got {device!r}")
    half = _computes_bf16(device, capabilities)
    if precision == "bf16" and not half:
        raise BackendError(f"OpenVINO's {device} here cannot compute in bf16")
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if threads and device == "CPU":
        settings["INFERENCE_NUM_THREADS"] = threads

    if whole is None:
        whole = not only_encoder(package)
    helper = None if whole or importlib.util.find_spec("onnxruntime") is None else OnnxRuntimeSession
    graphs = "int8" if precision == "int8" else "fp32"
    encoder = package.graph_set(graphs).image_encoder
    at_once = 1 if helper is None or device != "CPU" else decoders_at_once(threads)
    alone = package.graph_set(graphs).prompt_decoders() if at_once > 1 else ()
    lowest = precision if precision in _HINTS else ("bf16" if half else "fp32")

    def open_session(name: str) -> Session:
        if helper is not None and name != encoder:
            # Two runtimes take turns: threads of the one that spin in wait take the cores from the other.
            # Kept memory takes 36 MB for the built-in model's graphs and saves no time that could be measured.
            own_threads = 1 if name in alone else threads
            return helper(package.path(name), ["CPUExecutionProvider"], own_threads, False, keeps_memory=False)
        hint = _HINTS[lowest if name == encoder else "fp32"]
        own = settings | {"INFERENCE_PRECISION_HINT": hint}
        # Not by OpenVINO's CACHE_DIR: it has no checksum, leaves the weights' file out of its key, and shares prepared
        # weights across precisions (2026.4.1).
        chip = core.get_property(device, "FULL_DEVICE_NAME")
        about = (ov.__version__, chip, *sorted(capabilities), sorted(own.items()))
        key = hashlib.sha256(f"{package.identity(name)} {about}".encode()).hexdigest()[:40]
        cached = None if cache_dir is None else cache_dir / "openvino" / f"{key}.blob"
        return OpenVinoSession(core, package.path(name), device, own, cached)

    status = BackendStatus("openvino", device, precision)
    return GraphBackend(package, open_session, status, cache_dir, preload, graphs, at_once)
