# SPDX-License-Identifier: Apache-2.0
"""A package that is incomplete, altered or foreign is refused with the reason."""

import numpy as np
import pytest
import yaml

from seem_ros.errors import BackendError, PackageError
from seem_ros.runtime import load_backend
from seem_ros.runtime.package import file_sha256, find_package, open_package


@pytest.fixture
def edit(linked_package, replace_file):
    """Changes the description of the package's copy."""

    def change_description(change):
        plain = yaml.safe_load((linked_package / "model.yaml").read_text())
        plain.pop("check", None)
        change(plain)
        replace_file(linked_package / "model.yaml", yaml.safe_dump(plain).encode())

    return change_description


def test_the_built_in_model_is_found_by_name(package):
    assert find_package("builtin").resolve() == package.folder.resolve()
    assert find_package(package.folder.name).resolve() == package.folder.resolve()
    assert package.spec.name == "lite" and package.spec.input_hw == (288, 384)


def test_the_built_in_package_is_small(package):
    assert sum(package.path(name).stat().st_size for name in package.spec.sha256) <= 25e6


def test_a_package_that_is_not_there_lists_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEM_ROS_MODELS", str(tmp_path))
    with pytest.raises(PackageError, match=str(tmp_path)):
        open_package("no_such_model")


@pytest.mark.parametrize("name", ["image_encoder.onnx", "weights.safetensors", "tokenizer.json", "gate.npz"])
def test_a_missing_file_is_named(linked_package, name):
    (linked_package / name).unlink()
    with pytest.raises(PackageError, match=f"{name} is missing"):
        open_package(linked_package)


def test_a_wrong_sha256_is_refused(linked_package, replace_file):
    path = linked_package / "image_encoder.onnx"
    replace_file(path, path.read_bytes()[:-1] + b"x")
    with pytest.raises(PackageError, match=r"image_encoder\.onnx has sha256"):
        open_package(linked_package)


def test_another_format_version_is_refused(linked_package, edit):
    edit(lambda plain: plain.update(format=99))
    with pytest.raises(PackageError, match=r"format 99.*reads format 1"):
        open_package(linked_package)


@pytest.mark.parametrize("text", ["[]", "format: [", "hello", "format: 1\nmodel: {}"])
def test_a_description_that_is_none_is_refused(linked_package, text, replace_file):
    replace_file(linked_package / "model.yaml", text.encode())
    with pytest.raises(PackageError, match=r"model\.yaml"):
        open_package(linked_package)


def test_a_file_outside_the_package_is_refused(linked_package, edit):
    edit(lambda plain: plain.update(weights="../weights.safetensors"))
    with pytest.raises(PackageError, match="outside"):
        open_package(linked_package)


def test_a_graph_of_another_model_is_refused(linked_package, edit):
    def swap(plain):
        encoder, text = plain["graphs"]["fp32"]["image_encoder"], plain["graphs"]["fp32"]["text_encoder"]
        plain["graphs"]["fp32"].update(image_encoder=text, text_encoder=encoder)

    edit(swap)
    with pytest.raises(PackageError, match=r"not a graph of model lite"):
        load_backend(linked_package, "onnxruntime")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_graph_that_is_not_onnx_is_refused(linked_package, backend, edit, replace_file):
    pytest.importorskip(backend)
    path = linked_package / "image_encoder.onnx"
    replace_file(path, b"not a graph")
    edit(lambda plain: plain["model"]["sha256"].update({path.name: file_sha256(path)}))
    with pytest.raises(BackendError, match=r"cannot load .*image_encoder\.onnx"):
        load_backend(linked_package, backend)


def test_weights_of_another_architecture_are_refused_by_torch(linked_package, edit):
    pytest.importorskip("torch")
    edit(lambda plain: plain["architecture"]["decoder"].update(object_queries=5))
    with pytest.raises(PackageError, match="does not fit lite"):
        load_backend(linked_package, "torch")


def test_a_precision_that_was_not_exported_is_refused(package):
    missing = ({"fp16", "bf16"} - set(package.graphs)).pop()
    with pytest.raises(PackageError, match=f"no {missing} graphs"):
        load_backend(package, "onnxruntime", precision=missing)


def test_damaged_gate_inputs_are_refused(tmp_path):
    from seem_ros.runtime.parity_gate import read_gate_inputs

    np.savez(tmp_path / "gate.npz", rgb=np.zeros(3))
    with pytest.raises(PackageError, match="gate inputs"):
        read_gate_inputs(tmp_path / "gate.npz")
