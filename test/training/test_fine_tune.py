# SPDX-License-Identifier: Apache-2.0
"""Teaching a package new things: what comes out, how a stopped run goes on, and what bad data does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from seem_ros.errors import DataError
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.training.fine_tune import FineTuneConfig, fine_tune
from seem_ros.training.train import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def labels(tmp_path):
    """Eight pictures of a widget: a red disc with a hole."""
    folder = tmp_path / "labels"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    items = []
    for number in range(8):
        rgb, ids = np.full((96, 128, 3), 120, np.uint8), np.zeros((96, 128), np.uint8)
        at = (40 + 6 * number, 48)
        for radius, value in ((20, 1), (8, 0)):
            cv2.circle(ids, at, radius, value, -1)
        rgb[ids == 1] = (200, 30, 30)
        cv2.imwrite(str(folder / f"images/{number}.png"), rgb[..., ::-1])
        cv2.imwrite(str(folder / f"masks/{number}.png"), ids)
        items.append(
            {
                "file": f"images/{number}.png",
                "mask": f"masks/{number}.png",
                "objects": [{"id": 1, "name": "widget"}],
                "split": "train",
            }
        )
    index = {"classes": {"widget": 8}, "exhaustive_for_its_classes": False, "items": items}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def _config(labels, out, **more) -> FineTuneConfig:
    return FineTuneConfig(str(labels), str(out), **{"minutes": 0.03, "clips": 1, "height": 64, "width": 96, **more})


@pytest.mark.slow
def test_what_was_taught_is_a_package_that_knows_the_new_word(labels, tmp_path):
    from seem_ros.tools.export import main as export

    out, _ = fine_tune(_config(labels, tmp_path / "mine"))
    card = yaml.safe_load((out / "card.yaml").read_text())
    assert {"name": "widget", "is_thing": True} in card["vocabulary"] and "widget" in card["known_words"]
    assert (
        export(
            [
                str(out / "average.pt"),
                "--card",
                str(out / "card.yaml"),
                "--size",
                "128x160",
                "--buckets",
                "1",
                "--out",
                str(tmp_path / "package"),
            ]
        )
        == 0
    )
    with Segmenter.load(tmp_path / "package") as mine:
        rgb = cv2.imread(str(labels / "images/0.png"))[..., ::-1]
        answer = mine.segment([Prompt(text="the widget")], np.ascontiguousarray(rgb)).answers[0]
        assert answer.unknown_words == () and "widget" in mine.vocabulary and "mug" in mine.vocabulary


@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was_and_the_picture_encoder_stays(labels, tmp_path):
    from seem_ros.runtime.checkpoint import trainable_model
    from seem_ros.runtime.package import find_package, open_package

    out, _ = fine_tune(_config(labels, tmp_path / "mine", minutes=0.02))
    first = torch.load(out / "last.pt", weights_only=True)
    fine_tune(_config(labels, tmp_path / "mine", minutes=0.05))
    second = torch.load(out / "last.pt", weights_only=True)
    assert second["step"] > first["step"] > 0 and second["seconds"] > first["seconds"]
    before = trainable_model(open_package(find_package("builtin"))).state_dict()
    moved = {key for key, value in second["model"].items() if not torch.equal(value, before[key])}
    assert moved and not any(key.startswith("backbone.") for key in moved)
    result, key = torch.load(out / "average.pt", weights_only=True), "decoder.class_embed"
    assert torch.allclose(result[key], torch.lerp(before[key], second["average"][key], 0.5), atol=1e-6)


@pytest.mark.slow
def test_the_same_command_after_other_labels_is_refused_and_after_all_its_minutes_it_says_so(labels, tmp_path, capsys):
    command = ["--data", str(labels), "--out", str(tmp_path / "mine"), "--minutes", "0.02"]
    assert main(command) == 0 and ": taught." in capsys.readouterr().out
    assert main(command) == 0 and "had its 0.02 minutes already" in capsys.readouterr().out
    before = {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    index = json.loads((labels / "index.json").read_text())
    index["items"][0]["objects"][0]["name"] = "teapot"
    index["classes"] = {"widget": 7, "teapot": 1}
    (labels / "index.json").write_text(json.dumps(index))
    assert main(command) == 2 and "give another --out" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == before


@pytest.mark.slow
def test_a_label_that_the_package_spells_otherwise_is_its_own_word(labels, tmp_path):
    text = (labels / "index.json").read_text().replace("widget", "MUG")
    (labels / "index.json").write_text(text)
    out, _ = fine_tune(_config(labels, tmp_path / "mine", minutes=0.005))
    names = [entry["name"] for entry in yaml.safe_load((out / "card.yaml").read_text())["vocabulary"]]
    assert names.count("mug") == 1 and "MUG" not in names


@pytest.mark.long
def test_two_processes_under_torchrun_make_one_model(labels, tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "seem_ros.training.train",
        "--data",
        str(labels),
        "--out",
        str(tmp_path / "mine"),
        "--minutes",
        "0.05",
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=400, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    state = torch.load(tmp_path / "mine" / "last.pt", weights_only=True)
    assert state["step"] > 0 and done.stdout.count("Make a package of it") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "{1}/none", "--out", "{1}"], "holds no index.json"),
        (["--data", "{0}", "--out", "{1}", "--replay", "{1}/none"], "holds no index.json"),
        (["--data", "{0}", "--out", "{1} (2)"], "must be a name"),  # which export would refuse in the end
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(labels, tmp_path, capsys, arguments, said):
    assert main([one.format(labels, tmp_path / "mine") for one in arguments]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "mine").exists()


def test_a_broken_mask_is_named_before_anything_is_written(labels, tmp_path, capsys):
    (labels / "masks" / "5.png").write_bytes(b"no picture")
    assert main(["--data", str(labels), "--out", str(tmp_path / "mine")]) == 2
    assert "masks/5.png cannot be read" in capsys.readouterr().err and not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    "values", [{"minutes": 0}, {"height": 100}, {"replay_share": 1.0}, {"clips": 0}, {"new_share": 0}]
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(DataError):
        FineTuneConfig("data", "out", **values)
