# SPDX-License-Identifier: Apache-2.0
"""The slim model learns to give its teacher's maps and corrections."""

import cv2
import numpy as np
import pytest
import torch
import yaml

from seem_ros.datasets.scenes.scene import Thing
from seem_ros.model.config import LITE_FULL, LITE_SLIM
from seem_ros.model.seem import Seem
from seem_ros.training.batched.pack import PackWriter
from seem_ros.training.slimming.distil import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pack of drawn pictures, a configuration and an untrained teacher."""
    folder = tmp_path_factory.mktemp("distil")
    writer, rng = PackWriter(), np.random.default_rng(0)
    for _ in range(4):
        rgb = rng.integers(0, 255, (10, 14, 3), np.uint8)
        rgb = cv2.resize(rgb, (140, 100), interpolation=cv2.INTER_NEAREST)
        ids = np.zeros((100, 140), np.uint8)
        cv2.circle(ids, (60, 50), 25, 1, -1)
        rgb[ids == 1] = (220, 30, 30)
        writer.add(rgb, ids, [Thing(1, "apple")], "drawn", exhaustive=True)
    writer.write(folder / "drawn")
    values = {"packs": [str(folder / "drawn.json")], "height": 64, "width": 96, "scenes": 1, "rounds": 2}
    (folder / "config.yaml").write_text(yaml.safe_dump({**values, "learning_rate": 0.002}))
    torch.manual_seed(0)
    teacher = Seem(LITE_FULL)
    torch.nn.init.normal_(teacher.text_encoder.lang_proj, std=0.1)
    torch.nn.init.normal_(teacher.decoder.refiner.delta.weight)
    torch.save(teacher.state_dict(), folder / "teacher.pt")
    return folder


def distil(folder, out, seconds):
    words = ["--config", folder / "config.yaml", "--teacher", folder / "teacher.pt", "--out", out]
    return main([*map(str, words), "--seconds", str(seconds)])


def test_what_was_distilled_is_nearer_to_the_teacher_than_what_was_factorised(folder, capsys):
    assert distil(folder, folder / "slim.pt", 10) == 0
    steps = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    assert float(steps[-1].split("maps ")[1].split(",")[0]) < float(steps[0].split("maps ")[1].split(",")[0])
    state = torch.load(folder / "slim.pt", weights_only=True)
    Seem(LITE_SLIM).load_state_dict(state)
    teacher = torch.load(folder / "teacher.pt", weights_only=True)
    assert torch.equal(state["decoder.class_embed"], teacher["decoder.class_embed"])  # all else stays the teacher's


def test_a_file_that_is_there_and_a_slim_teacher_are_refused_in_one_line(folder, capsys):
    assert distil(folder, folder / "teacher.pt", 1) == 2
    assert "is there already" in capsys.readouterr().err
    torch.save(Seem(LITE_SLIM).state_dict(), folder / "slim_teacher.pt")
    words = ["--config", folder / "config.yaml", "--teacher", folder / "slim_teacher.pt", "--out", folder / "new.pt"]
    assert main(list(map(str, words))) == 2
    assert "slim architecture itself" in capsys.readouterr().err
    assert distil(folder, folder / "new.pt", 0) == 2 and "more than 0" in capsys.readouterr().err
    assert distil(folder, folder / "none" / "new.pt", 1) == 2 and "no such folder" in capsys.readouterr().err
