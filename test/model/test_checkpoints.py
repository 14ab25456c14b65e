# SPDX-License-Identifier: Apache-2.0
"""Loading weights: strict, safe, and with an error that names the file and the first offending key."""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model_cases import DATA

from seem_ros.errors import CheckpointError, ModelError
from seem_ros.model.checkpoints import load_checkpoint
from seem_ros.model.official_keys import from_official, official_shapes, to_official
from seem_ros.model.seem import Seem
from seem_ros.model.unfilled import unfilled
from seem_ros.model.variants import OFFICIAL, build_model, model_config
from seem_ros.tools import weights

STEM = "backbone.patch_embed.proj.weight"
RECORDED = json.loads(gzip.decompress((DATA / "official_keys.json.gz").read_bytes()))


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_every_official_key_and_shape_is_a_tensor_of_ours_and_none_more_in(name):
    with unfilled():
        ours = official_shapes(Seem(model_config(name)).state_dict())
    wanted = {
        key: tuple(shape)
        for key, shape in RECORDED[name].items()
        if not key.startswith("criterion.") and key != "dilation_kernel"
    }
    assert ours == wanted


def test_the_recorded_variants_are_the_ones_we_build():
    assert set(RECORDED) == set(OFFICIAL)


def test_names_go_to_official_ones_and_back(small):
    state = small.state_dict()
    back = from_official(to_official(state), list(state))
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_a_whole_checkpoint_with_its_prefix_and_training_leftovers_loads(focalt, tmp_path):
    official = to_official(focalt.state_dict())
    official |= {"criterion.empty_weight": torch.ones(134), "dilation_kernel": torch.ones(1, 1, 3, 3)}
    path = tmp_path / "seem_focalt_v1.pt"
    torch.save({f"model.{name}": tensor for name, tensor in official.items()}, path)
    model = load_checkpoint(path)
    path.unlink()
    assert model.config.name == "focalt_v1" and not model.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), focalt.state_dict().values()))
    assert model.pixel_mean.device.type == "cpu"


def write(path: Path, **tensors: torch.Tensor) -> Path:
    """A checkpoint with a FocalNet-T's first convolution and what else is given, dots written as double underscores."""
    state = {STEM: torch.zeros(96, 3, 7, 7)} | {name.replace("__", "."): value for name, value in tensors.items()}
    torch.save(state, path)
    return path


def test_a_missing_tensor_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"seem_focalt_v1\.pt: key 'backbone.patch_embed.proj.bias' is missing"):
        load_checkpoint(write(tmp_path / "seem_focalt_v1.pt"))


def test_a_tensor_of_another_shape_is_named(tmp_path):
    path = write(tmp_path / "seem_focalt_v0.pt", backbone__patch_embed__proj__bias=torch.zeros(97))
    with pytest.raises(CheckpointError, match=r"proj\.bias' has shape \(97,\), expected \(96,\)"):
        load_checkpoint(path)


def test_nan_is_named(tmp_path):
    path = write(tmp_path / "seem_focalt_v0.pt", **{STEM.replace(".", "__"): torch.full((96, 3, 7, 7), float("nan"))})
    with pytest.raises(CheckpointError, match=rf"seem_focalt_v0\.pt: key '{STEM}' holds NaN"):
        load_checkpoint(path)


def test_whole_numbers_are_refused(tmp_path):
    whole = torch.ones(96, 3, 7, 7, dtype=torch.int64)
    path = write(tmp_path / "seem_focalt_v0.pt", **{STEM.replace(".", "__"): whole})
    with pytest.raises(CheckpointError, match="int64"):
        load_checkpoint(path)


def test_a_foreign_model_is_refused_with_its_first_key(tmp_path):
    torch.save({"layer1.weight": torch.zeros(3, 3)}, tmp_path / "resnet.pt")
    with pytest.raises(CheckpointError, match=r"resnet\.pt is not an official SEEM.*'layer1\.weight'"):
        load_checkpoint(tmp_path / "resnet.pt")


def test_a_tensor_too_many_is_named(focalt, tmp_path):
    from seem_ros.model.checkpoints import check_state

    shapes = official_shapes(focalt.state_dict())
    state = to_official(focalt.state_dict()) | {"decoder.surprise": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"x\.pt: key 'decoder\.surprise' is not part of a focalt_v1"):
        check_state("focalt_v1", shapes, state, "x.pt")


class Payload:
    """What an attacker would put into a file."""

    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize(
    "save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))], ids=["torch", "pickle"]
)
def test_objects_in_a_file_are_never_executed(save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save({STEM: Payload()}, tmp_path / "seem_focalt_v1.pt")
    with pytest.raises(CheckpointError, match=r"seem_focalt_v1\.pt"):
        load_checkpoint(tmp_path / "seem_focalt_v1.pt")
    assert not (tmp_path / "executed").exists()


def test_a_file_with_something_else_than_tensors_names_the_entry(tmp_path):
    torch.save({"epoch": 3, STEM: torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a\.pt: entry 'epoch' is a int"):
        load_checkpoint(tmp_path / "a.pt")
    torch.save([torch.zeros(1)], tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match=r"b\.pt holds a list"):
        load_checkpoint(tmp_path / "b.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_missing_empty_cut_and_random_files_are_named(suffix, tmp_path):
    path = tmp_path / f"seem_focalt_v1{suffix}"
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="is empty"):
        load_checkpoint(path)
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(CheckpointError, match=path.name):
        load_checkpoint(path)
    path.write_text("<html>404 not found</html>")
    with pytest.raises(CheckpointError, match=path.name):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="not a file"):
        load_checkpoint(tmp_path)


def test_cut_checkpoints_are_named(tmp_path):
    from safetensors.torch import save_file

    whole = write(tmp_path / "seem_focalt_v1.pt")
    whole.write_bytes(whole.read_bytes()[:20_000])
    save_file({STEM: torch.zeros(96, 3, 7, 7)}, tmp_path / "c_v1.safetensors")
    other = tmp_path / "c_v1.safetensors"
    other.write_bytes(other.read_bytes()[:20_000])
    for path in (whole, other):
        with pytest.raises(CheckpointError, match=f"{path.name} is truncated"):
            load_checkpoint(path)


def test_safetensors_are_read_too(tmp_path):
    from safetensors.torch import save_file

    save_file({STEM: torch.zeros(96, 3, 7, 7)}, tmp_path / "seem_focalt_v1.safetensors")
    with pytest.raises(CheckpointError, match=r"proj\.bias' is missing"):
        load_checkpoint(tmp_path / "seem_focalt_v1.safetensors")


def test_rules_come_from_the_file_name_or_are_asked_for(tmp_path):
    path = write(tmp_path / "best.pt")
    with pytest.raises(CheckpointError, match=r"best\.pt: a focalt checkpoint runs under the rules v0, v1 or demo"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="is missing"):
        load_checkpoint(path, rules="demo")
    with pytest.raises(CheckpointError, match="got 'v7'"):
        load_checkpoint(path, rules="v7")


def test_an_unknown_model_name_lists_the_known_ones():
    with pytest.raises(ModelError, match="focalt_v0, focalt_v1"):
        build_model("focalx_v0")


def test_offline_the_weights_tool_says_what_to_download_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEM_ROS_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(CheckpointError) as error:
        weights.find_weights("focall_demo", offline=True)
    assert "seem_focall_v0.pt" in str(error.value) and str(tmp_path) in str(error.value)
    (tmp_path / "seem_focall_v0.pt").touch()
    assert weights.find_weights("focall_demo") == tmp_path / "seem_focall_v0.pt"


def test_the_folder_of_weights_may_be_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEEM_ROS_WEIGHTS", "~/weights")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "seem_focalt_v0.pt").touch()
    assert weights.find_weights("focalt_v0", offline=True) == tmp_path / "weights" / "seem_focalt_v0.pt"


def test_weights_that_were_never_released_are_refused():
    with pytest.raises(CheckpointError, match="no official weights are released for 'davitd3_v1'"):
        weights.find_weights("davitd3_v1")


def test_making_and_loading_a_model_imports_neither_transformers_nor_torchs_compiler():
    """240 MB and 160 MB: a third of what a whole focalt may use."""
    code = (
        "import sys\nfrom seem_ros.model.checkpoints import filled_model\n"
        "from seem_ros.model.seem import Seem\nfrom seem_ros.model.unfilled import unfilled\n"
        "from seem_ros.model.variants import model_config\n"
        "with unfilled(): model = Seem(model_config('focalt_v0'))\n"
        "assert all(p.is_meta for p in model.parameters())\n"
        "print(sorted({'transformers', 'timm', 'torchvision', 'sympy', 'torch._dynamo'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
