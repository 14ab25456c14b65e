# SPDX-License-Identifier: Apache-2.0
"""The training loop: it learns, it goes on exactly after an interruption, and it says what is wrong."""

import numpy as np
import pytest
import torch

from seem_ros.datasets.scenes.shards import Shards
from seem_ros.errors import CheckpointError, DataError
from seem_ros.training.config import TrainConfig
from seem_ros.training.progress import Curve
from seem_ros.training.train import learning_rate, main, new_model, start_weights, work


def config_for(folder, out, **changes):
    out.mkdir(exist_ok=True)
    values = {
        "data": str(folder),
        "out": str(out),
        "images": 8,
        "clips": 1,
        "height": 64,
        "width": 96,
        "whole_share": 0.0,
        "processes": 1,
        "warmup": 2,
        "save_every": 100,
    }
    return TrainConfig(**{**values, **changes})


def test_an_interrupted_run_goes_on_as_if_it_had_not_been_interrupted(shard_folder, tmp_path):
    torch.set_num_threads(1)
    straight = config_for(shard_folder, tmp_path / "straight")
    work(0, straight)
    broken = config_for(shard_folder, tmp_path / "broken")
    work(0, broken, most_steps=2)
    work(0, broken)
    one = torch.load(tmp_path / "straight" / "last.pt", weights_only=True)
    two = torch.load(tmp_path / "broken" / "last.pt", weights_only=True)
    assert one["step"] == two["step"] == 4
    for part in ("model", "average"):
        assert one[part].keys() == two[part].keys()
        for key, value in one[part].items():
            assert torch.equal(value, two[part][key]), key


def test_two_processes_train_together_from_the_command_line(shard_folder, tmp_path):
    config = config_for(shard_folder, tmp_path / "run", processes=2, images=8)
    path = tmp_path / "config.yaml"
    config.save(path)
    assert main(["--config", str(path), "--most-steps", "1"]) == 0
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["step"] == 1


def test_missing_start_weights_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"average\.pt of an earlier run"):
        start_weights(tmp_path / "none.pt")


def test_training_goes_on_from_the_built_in_package(shard_folder, tmp_path):
    config = config_for(shard_folder, tmp_path / "run", init="builtin", images=2)
    work(0, config)
    start = start_weights("builtin")
    after = torch.load(tmp_path / "run" / "average.pt", weights_only=True)
    assert after.keys() == start.keys()
    name = "text_encoder.lang_proj"  # far from any fresh start, near the package's
    torch.testing.assert_close(after[name], start[name], atol=0.02, rtol=0)
    assert (after[name] - new_model(config.seed).state_dict()[name]).abs().max() > 0.1


def test_the_rate_rises_then_falls_to_a_hundredth():
    config = TrainConfig(warmup=10, learning_rate=1.0)
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.01)
    assert np.all(np.diff(rates[10:]) <= 0)


def test_an_unknown_field_of_the_configuration_is_named(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("learning_rat: 0.1\n")
    with pytest.raises(DataError, match=r"learning_rat.*allowed are"):
        TrainConfig.load(path)


def test_a_folder_without_shards_says_how_to_make_some(tmp_path):
    with pytest.raises(DataError, match=r"seem_ros\.sim\.dataset"):
        Shards(tmp_path)


def test_a_missing_data_folder_ends_the_command_with_a_message(tmp_path, capsys):
    path = tmp_path / "config.yaml"
    TrainConfig(data=str(tmp_path / "none"), out=str(tmp_path / "out")).save(path)
    assert main(["--config", str(path)]) == 2
    assert "none is not a folder" in capsys.readouterr().err


def test_the_curve_is_a_table_with_one_header_and_a_picture(tmp_path):
    curve = Curve(tmp_path / "curve.csv")
    curve.add({"step": 20, "images": 320, "loss": 4.5, "mask1": 2.0})
    curve.add({"step": 40, "images": 640, "loss": 3.5, "mask1": 1.0})
    assert [r["loss"] for r in curve.rows()] == [4.5, 3.5]
    assert (tmp_path / "curve.csv").read_text().count("step") == 1
    curve.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
