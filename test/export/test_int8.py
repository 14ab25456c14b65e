# SPDX-License-Identifier: Apache-2.0
"""An eight-bit image encoder: made of pictures, compared, refused where masks differ, served where it is faster."""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx_ir
import pytest
import torch

from seem_ros.errors import DataError, ModelError, PackageError
from seem_ros.export import int8
from seem_ros.export.package_writer import write_package
from seem_ros.model.config import PICO
from seem_ros.model.seem import Seem
from seem_ros.runtime import load_backend, precision_choice
from seem_ros.runtime.backends import openvino_backend
from seem_ros.runtime.package import Package, open_package
from seem_ros.runtime.parity_gate import drawn_scene
from seem_ros.runtime.spec import ModelSpec
from seem_ros.runtime.tensorrt.plan_builder import BuildJob, build_plan
from seem_ros.sealed import read_sealed
from seem_ros.tools import export

TINY = replace(
    PICO,
    name="tiny",
    backbone=replace(PICO.backbone, kind="resnet", widths=(16, 24, 32, 40), depths=(1, 1, 1, 1), stem_width=8),
    pixel_decoder=replace(PICO.pixel_decoder, dim=32, mask_dim=16, ffn=64, layers=1, mask_width=16, fine_dim=8),
    text=replace(PICO.text, dim=32, layers=1, token_rank=4),
    decoder=replace(
        PICO.decoder, dim=32, ffn=64, levels=(0, 2), object_queries=5, memory_slots=2, mask_dim=16, fine_dim=8
    ),
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of camera pictures, in subfolders, and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for i in range(12):
        scene = np.roll(drawn_scene(96, 128), int(rng.integers(128)), axis=1)
        path = folder / f"run_{i % 2}" / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), scene)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A small model, weights stored in half."""
    torch.manual_seed(3)
    spec = ModelSpec.of_config(TINY, (64, 96), max_points=12, max_references=3, text_length=8, prompt_buckets=(12,))
    return write_package(Seem(TINY).eval(), spec, tmp_path_factory.mktemp("int8") / "tiny", half_weights=True)


@pytest.fixture(scope="module")
def rounded(plain: Package, pictures: Path) -> tuple[Package, int8.Int8Report, list[str]]:
    """The same with an eight-bit encoder, whatever its masks (random weights know no object)."""
    lines: list[str] = []
    os.link(plain.path(plain.weights), plain.folder.parent / "another name")  # as installers do that link their files
    patch = pytest.MonkeyPatch()
    patch.setattr(int8, "MEAN_IOU", 0.0)
    found = int8.add_int8(plain, int8.calibration_pictures(pictures, plain.spec), lines.append)
    patch.undo()
    return *found, lines


def test_the_package_gains_one_graph_and_hardly_a_byte_of_weights(plain: Package, rounded):
    package, report, lines = rounded
    assert set(package.graphs) == {"fp32", "int8"}
    assert package.graphs["int8"].decoders == package.graphs["fp32"].decoders
    assert package.path(int8.GRAPH).stat().st_size < 400_000
    assert report.quantised > 0 and report.kept > 0
    assert "in eight bits" in lines[-1] and "held-out" in lines[-1]
    assert sorted(p.name for p in package.folder.iterdir()) == sorted([*package.spec.sha256, "model.yaml"])


def test_products_read_rounded_numbers_and_fragile_layers_do_not(rounded):
    graph = onnx_ir.load(rounded[0].path(int8.GRAPH)).graph
    convolutions = [node for node in graph if node.op_type == "Conv"]
    read_bytes = [
        n
        for n in convolutions
        if n.inputs[1].producer() is not None and n.inputs[1].producer().op_type == "DequantizeLinear"
    ]
    assert 0 < len(read_bytes) < len(convolutions)
    first = next(n for n in convolutions if "conv1.0" in n.inputs[1].name or "conv1.0" in str(n.inputs[1].producer()))
    assert first not in read_bytes


def test_nothing_but_products_reads_rounded_numbers(rounded):
    graph = onnx_ir.load(rounded[0].path(int8.GRAPH)).graph
    readers = {
        use.node.op_type for node in graph if node.op_type == "DequantizeLinear" for use in node.outputs[0].uses()
    }
    assert readers and readers <= {"Conv", "MatMul", "Gemm"}
    assert not any(node.outputs[0].is_graph_output() for node in graph if node.op_type == "DequantizeLinear")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_features_stay_near_the_float_ones(rounded, pictures: Path, backend: str, tmp_path: Path):
    if backend == "openvino" and not openvino_backend.has_int8():
        pytest.skip("without VNNI sums of byte products saturate, and the package is served in float (tested below)")
    package = rounded[0]
    picture = int8.calibration_pictures(pictures, package.spec)[0]
    found = []
    for precision in ("fp32", "int8"):
        if backend == "onnxruntime":
            opened = int8.open_onnxruntime(package, precision=precision)
        else:
            opened = openvino_backend.open_openvino(package, precision=precision, threads=1)
        with opened:
            found.append(opened.encode_image(picture.rgb, picture.content_hw).tensors)
    plain, low = found
    for name, tensor in plain.items():
        assert np.sqrt(np.mean((low[name] - tensor) ** 2)) < 0.2 * tensor.std(), name
    assert any(not np.array_equal(low[name], tensor) for name, tensor in plain.items())


def test_too_different_masks_are_refused_with_the_layer_that_hurts_most_and_nothing_changes(
    plain: Package, pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    before = {p.name: p.read_bytes() for p in plain.folder.iterdir()}
    monkeypatch.setattr(int8, "MEAN_IOU", 1.01)
    monkeypatch.setattr(int8, "_SHARES", (0.85, 0.7))
    with pytest.raises(ModelError, match=r"hurts most is (backbone|pixel_decoder|decoder)\.[\w.]+ \(alone"):
        int8.add_int8(plain, int8.calibration_pictures(pictures, plain.spec))
    assert {p.name: p.read_bytes() for p in plain.folder.iterdir()} == before


def test_what_stays_in_float_first_is_what_hurts_most_for_the_work_it_does(
    plain: Package, pictures: Path, tmp_path: Path
):
    seen = int8.calibration_pictures(pictures, plain.spec)
    own = [shutil.copy(plain.path(name), tmp_path) for name in (plain.graphs["fp32"].image_encoder, plain.weights)]
    quantiser = int8._Quantiser(*map(Path, own), tmp_path, seen[:4])
    always = set(quantiser.fragile)
    rest = [name for name in quantiser.layers if name not in always]
    quantiser.round_share(0.7, seen[:1])
    kept = set(quantiser.fragile) - always
    work, hurts = quantiser._work, quantiser.hurts(seen[:1])
    assert 0 < sum(work[n] for n in kept) <= 0.3 * sum(work[n] for n in rest)
    worth = {n: hurts[n] ** 2 / work[n] for n in rest}
    assert min(worth[n] for n in kept) >= max(worth[n] for n in rest if n not in kept)
    quantiser.round_share(1.0, seen[:1])
    assert set(quantiser.fragile) == always


def test_a_folder_that_cannot_be_written_is_said_in_one_line(plain: Package, pictures: Path, tmp_path: Path):
    gone = replace(plain, folder=tmp_path / "gone")
    with pytest.raises(PackageError, match="gone cannot be written"):
        int8.add_int8(gone, int8.calibration_pictures(pictures, plain.spec))


def test_a_folder_of_too_few_pictures_is_refused(plain: Package, tmp_path: Path):
    with pytest.raises(DataError, match="does not exist"):
        int8.calibration_pictures(tmp_path / "none", plain.spec)
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"at least 8 readable pictures.*has 1 "):
        int8.calibration_pictures(tmp_path, plain.spec)


def test_the_command_line_wants_pictures_for_int8(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        export.main(["--package", "builtin", "--precision", "int8"])
    assert "--calibration" in capsys.readouterr().err


def test_a_cpu_without_byte_products_serves_float_and_says_so_in_one_line(
    rounded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(openvino_backend, "has_int8", lambda: False)
    with (
        caplog.at_level(logging.WARNING),
        load_backend(rounded[0], "openvino", precision="int8", cache_dir=tmp_path, threads=1) as backend,
    ):
        assert backend.status.precision == "fp32"
        assert "VNNI" in backend.status.message and "\n" not in backend.status.message
    assert len([r for r in caplog.records if "VNNI" in r.message]) == 1


def test_a_backend_that_gains_nothing_serves_float_and_says_so(rounded, tmp_path: Path):
    with load_backend(rounded[0], "onnxruntime", precision="int8", cache_dir=tmp_path, threads=1) as backend:
        assert backend.status.precision == "fp32" and "not faster in int8" in backend.status.message


def test_a_package_without_an_eight_bit_graph_says_how_to_make_one(tmp_path: Path, rounded):
    package = replace(rounded[0], graphs={"fp32": rounded[0].graphs["fp32"]})
    with pytest.raises(PackageError, match="--precision int8"):
        load_backend(package, "openvino", precision="int8", cache_dir=tmp_path)


@pytest.mark.parametrize(("seconds", "wanted"), [({"int8": 1.0}, "int8"), ({"int8": 1.95}, "float")])
def test_auto_takes_eight_bits_only_where_a_tenth_is_gained_and_remembers_it(
    rounded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], wanted: str
):
    package = rounded[0]
    usual = precision_choice.float_precision(package)
    measured: list[int] = []

    def times(*_: object) -> dict[str, float]:
        measured.append(1)
        return {usual: 2.0, **seconds}

    monkeypatch.setattr(precision_choice, "has_int8", lambda: True)
    monkeypatch.setattr(precision_choice, "has_amx_bf16", lambda: False)
    monkeypatch.setattr(precision_choice, "_encoder_times", times)
    for _ in range(2):
        found = precision_choice.faster_precision(package, tmp_path, threads=1)
        assert found == ("int8" if wanted == "int8" else usual)
    assert len(measured) == 1
    note = json.loads(read_sealed(next((tmp_path / "precision").iterdir())))
    assert note["beside"] == usual


def test_where_the_cpu_multiplies_tiles_of_bfloat16_eight_bits_are_not_tried(rounded, tmp_path: Path, monkeypatch):
    for ability in ("has_int8", "has_amx_bf16", "has_bf16"):
        monkeypatch.setattr(precision_choice, ability, lambda: True)
    assert precision_choice.faster_precision(rounded[0], tmp_path) == "bf16"
    assert not (tmp_path / "precision").exists()


def test_the_time_of_both_encoders_is_really_taken(rounded, tmp_path: Path):
    times = precision_choice._encoder_times(rounded[0], ("fp32", "int8"), tmp_path, 1)
    assert all(0 < value < 5 for value in times.values())


def test_the_same_graph_compiles_for_every_generation_of_gpus(rounded):
    pytest.importorskip("tensorrt_rtx")
    plan = build_plan(BuildJob("tensorrt_rtx", rounded[0].path(int8.GRAPH), "int8", "SM86,SM89,SM120"))
    assert len(plan) > 1e5
    assert open_package(rounded[0].folder).graphs["int8"].image_encoder == int8.GRAPH
