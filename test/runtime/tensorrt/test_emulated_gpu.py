# SPDX-License-Identifier: Apache-2.0
"""The TensorRT backends on an emulated GPU: engines, their gate and cache, CUDA graphs, memory, crashes.

No GPU has run these backends; this is what can be shown without one.
"""

import gc
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

trt = pytest.importorskip("tensorrt_rtx")
real = pytest.importorskip("cuda.bindings.runtime")

from emulated_gpu import Context, EmulatedCuda, EmulatedTensorRt, Engine, Runtime, emulated  # noqa: E402

from seem_ros.runtime.batches import PromptBatch  # noqa: E402
from seem_ros.runtime.loader import load_backend  # noqa: E402
from seem_ros.runtime.tensorrt.engine_cache import EngineCache  # noqa: E402
from seem_ros.runtime.tensorrt.plan_builder import BuildJob  # noqa: E402
from seem_ros.runtime.tensorrt.tensorrt_backend import engine_key  # noqa: E402

ATOL = 2e-3


@pytest.fixture
def gpu():
    return EmulatedCuda()


@pytest.fixture
def library(gpu):
    return EmulatedTensorRt(gpu)


@pytest.fixture
def start(package, gpu, library, tmp_path):
    """Opens the built-in model on the GPU, as a node that starts does; engines are kept from one start to the next."""
    opened = []

    def open_(precision="fp32", background=False):
        with emulated(gpu, library):
            backend = load_backend(
                package, "tensorrt_rtx", precision=precision, cache_dir=tmp_path, threads=1, background=background
            )
            if background:
                backend.wait(60)
        opened.append(backend)
        return backend

    yield open_
    for backend in opened:
        backend.close()


@pytest.fixture
def clicks(package):
    prompts = PromptBatch.empty(package.spec, 3)
    prompts.points_xy[:, 0], prompts.points_label[:, 0] = [(0.3, 0.4), (0.5, 0.5), (0.7, 0.3)], 1
    return prompts


@pytest.fixture
def expected(open_backend, stored, clicks):
    """ONNX Runtime's masks."""
    backend = open_backend("onnxruntime")
    return backend.decode(backend.encode_image(stored.rgb), clicks).mask_logits


@pytest.mark.parametrize(
    ("double", "original"),
    [
        (EmulatedCuda, real),
        (EmulatedTensorRt, trt),
        (Runtime, trt.Runtime),
        (Engine, trt.ICudaEngine),
        (Context, trt.IExecutionContext),
    ],
    ids=lambda x: x.__name__,
)
def test_the_doubles_have_nothing_that_the_real_bindings_lack(double, original):
    own = {"put", "at", "allocate", "build", *(name for name in vars(double) if name.startswith("_"))}
    lacking = [name for name in vars(double) if name not in own and not hasattr(original, name)]
    assert not lacking


def test_engines_are_built_and_gated_once(start, library, package, stored, clicks, expected):
    first = start()
    assert len(library.builds) == len(set(package.graphs["fp32"].files()))
    assert first.status.backend == "tensorrt_rtx" and first.status.device == "Emulated GPU"
    assert "passed in fp32" in first.status.message
    again = start()
    assert len(library.builds) == len(set(package.graphs["fp32"].files())) and again.status == first.status
    found = again.decode(again.encode_image(stored.rgb), clicks)
    np.testing.assert_allclose(found.mask_logits, expected, atol=ATOL)


@pytest.mark.parametrize("capturable", [True, False])
def test_answers_are_the_same_with_cuda_graphs_and_without(start, gpu, stored, clicks, expected, capturable):
    gpu.capturable = capturable
    backend = start()
    for _ in range(4):
        found = backend.decode(backend.encode_image(stored.rgb), clicks)
        np.testing.assert_allclose(found.mask_logits, expected, atol=ATOL)
    assert (gpu.launches > 4) == capturable


def test_other_pictures_and_prompts_do_not_get_old_answers(start, stored, clicks, open_backend):
    backend, reference = start(), open_backend("onnxruntime")
    rng = np.random.default_rng(0)
    pictures = [np.ascontiguousarray(np.roll(stored.rgb, 40 * i, 1)) for i in range(4)]
    features = [backend.encode_image(picture) for picture in pictures]
    for i in rng.permutation(np.repeat(np.arange(4), 2)):
        rows = clicks.select(rng.permutation(3)[:2])
        wanted = reference.decode(reference.encode_image(pictures[i]), rows)
        np.testing.assert_allclose(backend.decode(features[i], rows).mask_logits, wanted.mask_logits, atol=ATOL)


def test_a_wrongly_compiled_engine_never_serves(start, library, stored, clicks, expected, caplog):
    library.miscompiled = {"fp16"}
    backend = start("fp16")
    assert backend.status.precision == "fp32" and backend.status.degraded
    assert "FAILED in fp16" in caplog.text
    found = backend.decode(backend.encode_image(stored.rgb), clicks)
    np.testing.assert_allclose(found.mask_logits, expected, atol=ATOL)


def test_onnx_runtime_serves_when_no_engine_is_right(start, library, stored, clicks, expected):
    library.miscompiled = {"fp16", "fp32"}
    backend = start("fp16")
    assert backend.status.backend == "onnxruntime" and backend.status.degraded
    assert "fp16: FAILED" in backend.status.message and "fp32: FAILED" in backend.status.message
    found = backend.decode(backend.encode_image(stored.rgb), clicks)
    np.testing.assert_allclose(found.mask_logits, expected, atol=ATOL)


def test_engines_made_in_another_thread_serve(start, stored, clicks, expected):
    backend = start(background=True)
    found = backend.decode(backend.encode_image(stored.rgb), clicks)
    assert backend.status.backend == "tensorrt_rtx"
    np.testing.assert_allclose(found.mask_logits, expected, atol=ATOL)


@pytest.mark.parametrize("error", ["cudaErrorIllegalAddress", "cudaErrorLaunchTimeout"])
def test_a_crashed_gpu_costs_no_answer_and_closing_works(start, gpu, stored, clicks, expected, error):
    backend = start()
    features = backend.encode_image(stored.rgb)
    gpu.broken = getattr(real.cudaError_t, error)
    found = backend.decode(features, clicks)
    np.testing.assert_allclose(found.mask_logits, expected, atol=ATOL)
    assert backend.status.backend == "onnxruntime" and backend.status.degraded and error in backend.status.message
    found = backend.decode(backend.encode_image(stored.rgb), clicks)
    np.testing.assert_allclose(found.mask_logits, expected, atol=ATOL)
    backend.close()


def test_a_full_gpu_is_used_again_when_there_is_room(start, gpu, stored, clicks, expected, monkeypatch):
    monkeypatch.setattr("seem_ros.runtime.fallback._RETRY_AFTER", 2)
    backend = start()
    kept = [backend.encode_image(stored.rgb)]
    room, gpu.room = gpu.room, 0
    found = backend.decode(backend.encode_image(stored.rgb), clicks)
    assert backend.status.backend == "onnxruntime" and "out of memory" in backend.status.message
    np.testing.assert_allclose(found.mask_logits, expected, atol=ATOL)
    np.testing.assert_allclose(backend.decode(kept[0], clicks).mask_logits, expected, atol=ATOL)
    gpu.room = room
    for _ in range(3):
        found = backend.decode(backend.encode_image(stored.rgb), clicks)
    assert backend.status.backend == "tensorrt_rtx" and not backend.status.degraded
    np.testing.assert_allclose(found.mask_logits, expected, atol=ATOL)


@pytest.mark.parametrize("room", [0, 3 << 20, 30 << 20])
def test_a_gpu_that_is_too_small_is_said_and_engines_stay_in_the_cache(start, gpu, library, stored, room):
    whole, gpu.room = gpu.room, room
    backend = start()
    assert backend.status.backend == "onnxruntime" and backend.status.degraded
    assert "memory" in backend.status.message
    backend.encode_image(stored.rgb)
    backend.close()
    builds, gpu.room = len(library.builds), whole
    assert start().status.backend == "tensorrt_rtx" and len(library.builds) == builds


def test_memory_does_not_grow_and_is_given_back(start, gpu, stored, clicks):
    backend = start()
    used = []
    for _ in range(12):
        backend.decode(backend.encode_image(stored.rgb), clicks)
        backend.decode_objects(backend.encode_image(stored.rgb))
        used.append((len(gpu.memory), len(gpu.pinned)))
    assert used[3] == used[-1]
    backend.close()
    gc.collect()
    assert not gpu.memory


def test_a_plan_that_the_library_refuses_is_built_again_at_the_next_start(start, package, gpu, library, tmp_path):
    def spoilt(job, progress=lambda share: None):
        return b"a plan of another version" if job.onnx.name == spoil else build(job, progress)

    build, spoil = library.build, package.graphs["fp32"].image_encoder
    library.build = spoilt
    backend = start()
    assert backend.status.backend == "onnxruntime" and "refuses the plan" in backend.status.message
    library.build = build
    assert start().status.backend == "tensorrt_rtx"


def test_an_engine_built_ahead_of_time_for_this_kind_of_gpu_is_taken(start, package, library, tmp_path):
    cache = EngineCache(tmp_path)
    for name in package.graphs["fp32"].files():
        key = engine_key(package, name, "tensorrt_rtx", "fp32", "SM89")
        cache.get_or_build(key, lambda name=name: library.build(BuildJob("tensorrt_rtx", package.path(name))))
    ahead = len(library.builds)
    backend = start()
    assert backend.status.backend == "tensorrt_rtx" and "passed" in backend.status.message
    assert len(library.builds) == ahead


@pytest.mark.long
def test_the_bench_for_gpus_runs_to_its_end_and_reports(gpu, library, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "bench")
    bench = importlib.import_module("gpu")
    monkeypatch.setattr(bench, "nvidia_gpu", lambda: True)
    with emulated(gpu, library):
        assert bench.main(["--out", str(tmp_path), "--cache-dir", str(tmp_path / "cache"), "--repeats", "1"]) == 0
    report = (tmp_path / "gpu.md").read_text()
    assert report.startswith("# Emulated GPU") and "passed in fp32" in report
    found = json.loads((tmp_path / "gpu.json").read_text())["lite"]["tensorrt_rtx fp32"]
    assert found["ms"]["frame, 4 prompts"] > 0 and found["memory_mb"] > 1
    assert (tmp_path / "lite.png").stat().st_size > 1000
