# SPDX-License-Identifier: Apache-2.0
"""Every graph of the built-in model compiles for desktop RTX, on a machine without a GPU."""

from dataclasses import replace

import pytest

from seem_ros.errors import BackendError
from seem_ros.runtime.tensorrt.engine_build import build_engines
from seem_ros.runtime.tensorrt.plan_builder import BuildJob, build_plan

trt = pytest.importorskip("tensorrt_rtx")


def _job(package, name, precision="fp32", target="SM89"):
    return BuildJob("tensorrt_rtx", package.path(name), precision, target)


def test_progress_is_told_while_building(package):
    seen = []
    build_plan(_job(package, package.graphs["fp32"].text_encoder), seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and all(0 <= share <= 1 for share in seen) and len(seen) > 3


@pytest.mark.parametrize("graph", ["image_encoder", "text_encoder", "decoder"])
def test_every_graph_compiles_for_every_generation(package, graph):
    precision = "fp16" if "fp16" in package.graphs and graph != "text_encoder" else "fp32"
    files = package.graphs[precision]
    name = files.decoders[4] if graph == "decoder" else getattr(files, graph)
    assert len(build_plan(_job(package, name, precision, "SM86,SM89,SM120"))) > 1e6


def test_a_package_is_built_ahead_of_time_into_the_cache(package, tmp_path):
    # decoders differ by their number of prompts alone: one stands for all
    small = {
        precision: replace(files, decoders={1: files.decoders[1]}, small_decoders={})
        for precision, files in package.graphs.items()
    }
    package = replace(package, graphs=small)
    for precision in package.graphs:
        lines = list(build_engines(package, "SM89", tmp_path, precision))
        assert len(lines) == len(list(package.graphs[precision].files()))
        again = list(build_engines(package, "SM89", tmp_path, precision))
        assert all("was in the cache" in line for line in again)


def test_a_graph_without_half_tensors_is_no_fp16_engine(package):
    with pytest.raises(BackendError, match="computes nothing in it"):
        build_plan(_job(package, package.graphs["fp32"].text_encoder, "fp16"))


def test_an_unknown_gpu_generation_is_refused_with_the_known_ones(package):
    with pytest.raises(BackendError, match=r"SM89.*got SM42"):
        build_plan(_job(package, package.graphs["fp32"].text_encoder, target="SM42"))


def test_a_file_that_is_no_graph_is_refused(package, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"not a graph")
    with pytest.raises(BackendError, match="cannot read"):
        build_plan(BuildJob("tensorrt_rtx", tmp_path / "bad.onnx", "fp32", "SM89"))
