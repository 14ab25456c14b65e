# SPDX-License-Identifier: Apache-2.0
"""A checkpoint becomes a package that answers like the model, in half the size, without forbidden operators."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx_ir
import pytest
import torch

from seem_ros.errors import ModelError
from seem_ros.export.package_writer import write_package
from seem_ros.export.weight_store import WeightStore
from seem_ros.model.config import PICO
from seem_ros.model.seem import Seem
from seem_ros.runtime.backends.batch_norm_folding import fold_batch_norms, norm_state, unfold_batch_norms
from seem_ros.runtime.backends.onnxruntime_backend import open_onnxruntime
from seem_ros.runtime.backends.torch_backend import TorchBackend
from seem_ros.runtime.checkpoint import trainable_model
from seem_ros.runtime.package import open_package
from seem_ros.runtime.parity_gate import answer, compare, read_gate_inputs
from seem_ros.runtime.spec import ModelSpec
from seem_ros.tools import export

TINY = replace(
    PICO,
    name="tiny",
    backbone=replace(PICO.backbone, widths=(16, 24, 32, 40), depths=(1, 1, 1, 1), stem_width=8),
    pixel_decoder=replace(PICO.pixel_decoder, dim=32, mask_dim=16, ffn=64, layers=1, mask_width=16, fine_dim=8),
    text=replace(PICO.text, dim=32, layers=1, token_rank=4),
    decoder=replace(
        PICO.decoder, dim=32, ffn=64, levels=(0, 2), object_queries=5, memory_slots=2, mask_dim=16, fine_dim=8
    ),
)
OLD_DESCRIPTION = "format: 1\nmodel: {sha256: {}}\n"
FIELDS = {"max_points": 6, "max_references": 3, "text_length": 8, "prompt_buckets": (4,)}


def _model():
    torch.manual_seed(3)
    model = Seem(TINY).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The tiny model exported in fp16, and its answers before."""
    spec = ModelSpec.of_config(TINY, (64, 96), **FIELDS)
    folder = tmp_path_factory.mktemp("export") / "tiny"
    lines = []
    package = write_package(_model(), spec, folder, "fp16", progress=lines.append)
    inputs = read_gate_inputs(package.path(package.gate))
    return package, answer(TorchBackend(_model(), spec), inputs), inputs, lines


def test_folding_batch_norms_changes_nothing():
    model = _model()
    pixels = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before = model.encode_image(pixels)
        fold_batch_norms(model)
        after = model.encode_image(pixels)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
    torch.testing.assert_close(after.mask_features, before.mask_features, atol=1e-4, rtol=1e-4)


def test_the_package_answers_like_the_model(exported):
    package, before, inputs, _ = exported
    with open_onnxruntime(package) as backend:
        result = compare(before, answer(backend, inputs), "fp16")  # its weights are stored in half
    assert result.passed, result.message
    assert result.mean_iou > 0.99


def test_half_precision_graphs_answer_like_the_float32_ones(exported):
    package, _, inputs, lines = exported
    with open_onnxruntime(package) as full, open_onnxruntime(package, precision="fp16") as half:
        result = compare(answer(full, inputs), answer(half, inputs), "fp16")
    assert result.passed, result.message
    assert any("nodes in fp16" in line for line in lines)


def test_half_precision_graphs_keep_their_inputs_and_outputs_in_float32(exported):
    package = exported[0]
    for name in package.graphs["fp16"].files():
        graph = onnx_ir.load(package.path(name)).graph
        kinds = {v.dtype for v in (*graph.inputs, *graph.outputs)}
        assert onnx_ir.DataType.FLOAT16 not in kinds, name


def test_fragile_operators_stay_in_float32(exported):
    package = exported[0]
    for name in package.graphs["fp16"].files():
        for node in onnx_ir.load(package.path(name)).graph:
            if node.op_type in ("Softmax", "LayerNormalization", "ReduceMean", "Einsum", "Sigmoid"):
                assert all(v is None or v.dtype != onnx_ir.DataType.FLOAT16 for v in node.inputs), (name, node.name)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_no_graph_holds_operators_that_runtimes_get_wrong(exported, package, precision):
    for found in (exported[0], package):
        for name in found.graph_set(precision).files():
            model = onnx_ir.load(found.path(name))
            operators = {node.op_type for node in model.graph}
            assert not operators & {"GridSample", "NonZero", "If", "Loop", "Unique"}, name
            assert model.graph.opset_imports[""] >= 19
            assert all(v.shape.is_static() for v in (*model.graph.inputs, *model.graph.outputs))


def test_graphs_name_nothing_of_the_machine_they_were_made_on(package):
    for name in package.graphs["fp32"].files():
        content = package.path(name).read_bytes()
        assert b"/home/" not in content and b"site-packages" not in content and b".py" not in content, name


def test_weights_are_stored_once(exported):
    package = exported[0]
    graphs = sum(package.path(n).stat().st_size for p in package.graphs for n in package.graphs[p].files())
    parameters = sum(p.numel() for p in _model().parameters())
    assert package.path(package.weights).stat().st_size < 2.5 * parameters  # two bytes each, positions, vectors
    assert graphs < 3e6


def test_torch_reads_the_same_package(exported):
    package, before, inputs, _ = exported
    with TorchBackend.from_package(package, "cpu") as backend:
        assert compare(before, answer(backend, inputs), "fp16").passed


def test_the_package_is_trained_on_from_the_weights_it_was_made_of(exported):
    package, _, _, _ = exported
    found, wanted = trainable_model(package).state_dict(), _model().state_dict()
    for name, tensor in wanted.items():
        # Matrices are stored in half; a folded weight, scaled back, is as good as that.
        torch.testing.assert_close(found[name], tensor, atol=2e-3 * float(tensor.abs().max()), rtol=0, msg=name)
        if ".bn" in name or "norm" in name:
            torch.testing.assert_close(found[name], tensor, atol=0, rtol=0, msg=name)


def test_a_package_without_norms_is_trained_on_with_norms_that_change_nothing(exported):
    package, before, inputs, _ = exported
    model = trainable_model(replace(package, norms=None))
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
    assert compare(before, answer(TorchBackend(model, package.spec), inputs), "fp16").passed


def test_folding_is_undone_exactly_up_to_rounding():
    model = _model()
    wanted = {k: v.clone() for k, v in model.state_dict().items()}
    norms = norm_state(model)
    found = unfold_batch_norms(fold_batch_norms(model).state_dict(), _model(), norms)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-6, msg=name)


def test_a_constant_that_was_not_collected_is_refused(tmp_path):
    store = WeightStore({"w": np.ones((64, 64), np.float32)}, half=False)
    store.write(tmp_path / "w.safetensors")
    value = onnx_ir.Value(name="other", const_value=onnx_ir.tensor(np.zeros((64, 64), np.float32)))
    graph = onnx_ir.Graph([], [], nodes=[], initializers=[value], opset_imports={"": 20})
    with pytest.raises(Exception, match="other"):
        store.attach(onnx_ir.Model(graph, ir_version=10), tmp_path / "w.safetensors")


def test_a_failed_export_leaves_the_old_package(tmp_path, monkeypatch):
    old = tmp_path / "model"
    old.mkdir()
    (old / "model.yaml").write_text(OLD_DESCRIPTION)
    monkeypatch.setattr("seem_ros.export.package_writer.trace", lambda traced: (_ for _ in ()).throw(ModelError("no")))
    with pytest.raises(ModelError):
        write_package(_model(), ModelSpec.of_config(TINY, (64, 96), **FIELDS), old)
    assert (old / "model.yaml").read_text() == OLD_DESCRIPTION and [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("text", ["480", "480x", "x640", "480*640", "0.5x5"])
def test_a_size_that_is_none_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        export.main(["weights.pt", "--size", text])
    assert "480x640" in capsys.readouterr().err


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    assert export.main([str(tmp_path / "none.pt")]) == 2
    assert "none.pt" in capsys.readouterr().err
    (tmp_path / "card.yaml").write_text("colour: red")
    assert export.main(["x.pt", "--card", str(tmp_path / "card.yaml")]) == 2
    assert "colour" in capsys.readouterr().err


def test_a_package_is_written_anew_for_another_size_of_its_input(exported, tmp_path, capsys):
    package = exported[0]
    out = tmp_path / "smaller"
    assert export.main(["--package", str(package.folder), "--size", "32x64", "--buckets", "1", "--out", str(out)]) == 0
    made = open_package(out)
    told = {"name": "tiny_32x64", "input_hw": (32, 64), "prompt_buckets": (1,), "precision": "fp32"}
    assert made.spec == replace(package.spec, **told, sha256=made.spec.sha256)
    assert np.isclose(made.path(made.weights).stat().st_size, package.path(package.weights).stat().st_size, rtol=0.1)
    inputs = read_gate_inputs(made.path(made.gate))
    with open_onnxruntime(made) as backend:
        result = compare(answer(TorchBackend(_model(), made.spec), inputs), answer(backend, inputs), "fp16")
    assert result.passed, result.message
    assert export.main(["--package", str(package.folder), "--size", "33x64", "--out", str(tmp_path / "none")]) == 2
    assert "must be a multiple of 32, got 33" in capsys.readouterr().err


def test_a_package_to_which_nothing_is_done_is_an_error(exported, capsys):
    assert export.main(["--package", str(exported[0].folder)]) == 2
    assert "add --size, --precision int8 or --build-engine" in capsys.readouterr().err


def test_what_a_package_says_of_itself_is_not_said_again(exported, capsys):
    with pytest.raises(SystemExit):
        export.main(["--package", str(exported[0].folder), "--size", "64x96", "--rules", "v1"])
    assert "--card and --rules go with a checkpoint" in capsys.readouterr().err


@pytest.mark.long
def test_the_command_line_writes_a_package_from_training_weights(tmp_path):
    torch.save(Seem(PICO).state_dict(), tmp_path / "average.pt")
    command = [
        sys.executable,
        "-m",
        "seem_ros.tools.export",
        str(tmp_path / "average.pt"),
        "--size",
        "64x96",
        "--buckets",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert open_package(tmp_path / "out").spec.input_hw == (64, 96)
