# SPDX-License-Identifier: Apache-2.0
import json

import cv2
import numpy as np
import pytest

from seem_ros.tools.evaluate import main


def discs(folder, count=4):
    """A small clip of a moving disc, in images/ and masks/."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rng = np.random.default_rng(1)
    wall = cv2.GaussianBlur(rng.integers(0, 90, (60, 80, 3)).astype(np.uint8), (0, 0), 2)
    for index in range(count):
        mask = np.zeros((60, 80), np.uint8)
        cv2.circle(mask, (30 + 2 * index, 30), 12, 255, -1)
        picture = wall.copy()
        picture[mask > 0] = (40, 40, 220)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), picture)
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
    return folder


def test_pictures_are_measured_without_a_model_and_reported(tmp_path, capsys):
    data = discs(tmp_path / "data")
    assert (
        main(
            [
                "--model",
                "none",
                "--interactive",
                str(data),
                "--grabcut",
                "all",
                "--max-clicks",
                "3",
                "--limit",
                "2",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    assert "cv2.grabCut, box" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["results"]["interactive: IoU"]["cv2.grabCut, box"]["all"] > 0.95
    assert report["results"]["interactive: IoU"]["cv2.grabCut, box"]["n"] == 2
    assert report["about"]["limit"] == 2
    assert cv2.imread(str(tmp_path / "out" / "interactive.png")) is not None


def test_a_folder_of_pictures_and_masks_is_measured_as_video(tmp_path):
    data = discs(tmp_path / "data")
    assert main(["--model", "none", "--davis", str(data), "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["results"][
        "video data: J&F from a first-frame click"
    ]
    assert rows["cv2.DISOpticalFlow, true mask"]["J&F"] > rows["copied first mask, true mask"]["J&F"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to measure on"),
        (["--davis", "missing"], "missing is not a folder"),
        (["--interactive", "."], "has none of the folder pairs"),
        (["--world", "."], "holds no shard"),
        (["--coco-panoptic", "."], "need a model"),
        (["--davis", "d", "--limit", "0"], "--limit must be at least 1"),
    ],
)
def test_mistakes_are_told_in_one_sentence(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--model", "none", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_a_model_that_does_not_exist_is_told(tmp_path, capsys):
    data = discs(tmp_path / "data")
    assert main(["--model", "no_such_model", "--davis", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "no_such_model" in capsys.readouterr().err


def test_a_package_is_measured_in_the_precision_that_is_asked_for(tmp_path):
    data = discs(tmp_path / "data")
    words = ["--backend", "onnxruntime", "--precision", "int8", "--davis", str(data), "--out", str(tmp_path / "out")]
    assert main([*words, "--limit", "1"]) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["about"]["precision"] == "int8"


def test_weights_that_are_not_the_built_in_models_are_told(tmp_path, capsys):
    data = discs(tmp_path / "data")
    (tmp_path / "average.pt").write_bytes(b"not a checkpoint")
    assert main(["--weights", str(tmp_path / "average.pt"), "--davis", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "does not hold the built-in model's weights" in capsys.readouterr().err


@pytest.mark.slow
def test_our_model_answers_through_the_product_from_training_weights(tmp_path):
    torch = pytest.importorskip("torch")
    from seem_ros.model.config import PICO
    from seem_ros.model.seem import Seem

    torch.manual_seed(0)
    torch.save(Seem(PICO).state_dict(), tmp_path / "average.pt")
    data = discs(tmp_path / "data")
    assert (
        main(
            [
                "--weights",
                str(tmp_path / "average.pt"),
                "--interactive",
                str(data),
                "--davis",
                str(data),
                "--limit",
                "1",
                "--max-clicks",
                "3",
                "--presence-threshold",
                "0",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    results = json.loads((tmp_path / "out" / "report.json").read_text())["results"]
    assert {"ours (pico), 1 click", "ours (pico), box", "cv2.grabCut, box"} <= set(results["interactive: IoU"])
    assert {"ours (pico)", "ours (pico), no memory", "cv2.DISOpticalFlow, our mask"} <= set(
        results["video data: J&F from a first-frame click"]
    )


def test_thresholds_outside_their_range_are_told(tmp_path, capsys):
    data = discs(tmp_path / "data")
    assert main(["--presence-threshold", "2", "--interactive", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "presence_threshold must lie in 0..1" in capsys.readouterr().err


@pytest.mark.slow
def test_held_out_scenes_are_rendered_by_seed_when_asked_for(tmp_path, capsys):
    pytest.importorskip("mujoco")
    folder = tmp_path / "val"
    code = main(["--model", "none", "--world", str(folder), "--render", "1", "--out", str(tmp_path / "out")])
    if code:
        assert "the scenes could not be rendered" in capsys.readouterr().err
        pytest.skip("no OpenGL")
    results = json.loads((tmp_path / "out" / "report.json").read_text())["results"]
    assert results["tabletop: IoU"]["cv2.grabCut, box"]["n"] > 0
    first = (folder / "shard_0900000.ids.npy").read_bytes()
    assert main(["--model", "none", "--world", str(folder), "--render", "1", "--out", str(tmp_path / "out")]) == 0
    assert (folder / "shard_0900000.ids.npy").read_bytes() == first
