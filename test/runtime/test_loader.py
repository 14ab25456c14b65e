# SPDX-License-Identifier: Apache-2.0
"""Which backend serves, what is said when one cannot, and what is never imported."""

import importlib.util
import subprocess
import sys
from dataclasses import replace

import pytest

from seem_ros.errors import BackendError
from seem_ros.runtime import available_backends, load_backend
from seem_ros.runtime.loader import BACKENDS, fastest_cpu_precision
from seem_ros.runtime.tensorrt.gpu_presence import nvidia_gpu


def test_an_unknown_backend_is_refused_with_the_known_ones(package):
    with pytest.raises(BackendError, match=r"unknown backend 'caffe'.*onnxruntime"):
        load_backend(package, "caffe")


def test_an_unknown_precision_is_refused(package):
    with pytest.raises(BackendError, match="fp32, fp16, bf16"):
        load_backend(package, "onnxruntime", precision="int3")


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_that_is_not_installed_says_what_to_install(package, name, monkeypatch):
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda m, *a: None if m == name else real(m, *a))
    monkeypatch.setitem(sys.modules, name, None)  # import then fails as if it were not there
    with pytest.raises(BackendError, match="pip install"):
        load_backend(package, name)


def test_bf16_is_proposed_only_where_openvino_serves_and_the_cpu_computes_in_it(package, monkeypatch):
    pytest.importorskip("openvino")
    from seem_ros.runtime.backends import openvino_backend

    package = replace(package, graphs={name: files for name, files in package.graphs.items() if name != "int8"})
    own = fastest_cpu_precision(package, "openvino")
    assert own == ("bf16" if openvino_backend.has_bf16() else None)
    assert fastest_cpu_precision(package) == (None if nvidia_gpu() else own)
    assert fastest_cpu_precision(package, "onnxruntime") is None and fastest_cpu_precision(package, "torch") is None
    monkeypatch.setattr(openvino_backend, "_SMALL_BYTES", 1)  # a large model: OpenVINO would run all of it in bf16
    assert fastest_cpu_precision(package, "openvino") is None


def test_fp16_in_openvino_is_refused(package):
    pytest.importorskip("openvino")
    with pytest.raises(BackendError, match="fp32 or bf16 or int8"):
        load_backend(package, "openvino", precision="fp16")


def test_an_unknown_openvino_device_is_refused(package):
    pytest.importorskip("openvino")
    with pytest.raises(BackendError, match="devices"):
        load_backend(package, "openvino", device="TOASTER")


def test_cuda_without_a_cuda_build_of_onnx_runtime_is_refused(package):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(BackendError, match="onnxruntime-gpu"):
        load_backend(package, "onnxruntime", device="cuda")


@pytest.mark.skipif(nvidia_gpu(), reason="there is an NVIDIA GPU")
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_a_missing_driver_is_said(package, name):
    pytest.importorskip(name)
    with pytest.raises(BackendError, match="driver"):
        load_backend(package, name)


@pytest.mark.skipif(nvidia_gpu(), reason="there is an NVIDIA GPU")
def test_asking_for_cuda_without_a_gpu_is_refused(package):
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        load_backend(package, "auto", device="cuda")


def test_auto_goes_on_to_the_next_backend_and_says_so(package, monkeypatch, caplog):
    from seem_ros.runtime.backends import openvino_backend

    def refuse(*arguments, **options):
        raise BackendError("this CPU is too old")

    if "openvino" not in available_backends():
        pytest.skip("openvino is not installed")
    monkeypatch.setattr(openvino_backend, "open_openvino", refuse)
    monkeypatch.setattr("seem_ros.runtime.tensorrt.gpu_presence.nvidia_gpu", lambda: False)
    with load_backend(package, "auto") as backend:
        assert backend.status.backend == "onnxruntime"
    assert "openvino cannot be used: this CPU is too old" in caplog.text


def test_an_openvino_that_cannot_be_loaded_is_said_and_the_next_backend_serves(package, tmp_path, monkeypatch, caplog):
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text("raise ImportError('libtbb.so.12: cannot open it')\n")
    for module in [m for m in sys.modules if m.split(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    assert fastest_cpu_precision(package, "openvino") is None
    assert "OpenVINO cannot tell which precision is fastest" in caplog.text and "libtbb.so.12" in caplog.text
    with load_backend(package, device="cpu") as backend:
        assert backend.status.backend == "onnxruntime"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_running_the_built_in_model_never_imports_torch_or_onnx(name):
    pytest.importorskip(name)
    code = (
        "import sys, numpy as np\n"
        "from seem_ros.runtime import load_backend\n"
        "from seem_ros.runtime.interface import PromptBatch\n"
        f"backend = load_backend('lite', {name!r})\n"
        "features = backend.encode_image(np.zeros((*backend.spec.input_hw, 3), np.uint8))\n"
        "backend.decode(features, PromptBatch.empty(backend.spec, 1))\n"
        "backend.encode_text(['mug'])\n"
        "heavy = {'torch', 'onnx', 'transformers', 'timm', 'rclpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
