# SPDX-License-Identifier: Apache-2.0
"""The recorded demonstration clip that comes with the package."""

import json
from pathlib import Path

import numpy as np
import pytest

from seem_ros.datasets.davis import DavisVideos
from seem_ros.sim.vocabulary import HELD_OUT_PAIRS

CLIP = Path(__file__).resolve().parents[2] / "models" / "clips" / "tabletop"


@pytest.fixture(scope="module")
def truth() -> dict:
    return json.loads((CLIP / "Truth" / "demo" / "truth.json").read_text())


def test_masks_and_truth_count_the_same_pixels(truth):
    (video,) = list(DavisVideos(CLIP))
    assert len(video) == len(truth["frames"]) == 180
    for index in (0, 45, 110, 179):
        labels = video.read(index).labels
        for number in truth["annotated_ids"]:
            assert int(np.sum(labels == number)) == truth["frames"][index]["visible_px"][str(number)]


def test_the_story_is_told(truth):
    pixels = {
        item["name"]: [frame["visible_px"][str(item["id"])] for frame in truth["frames"]] for item in truth["instances"]
    }
    mug = np.array(pixels["red mug"])
    assert mug[0] > 500 and mug[-1] > 500 and (mug == 0).sum() >= 15
    assert pixels["green box"][0] == 0 and pixels["green box"][-1] > 100
    assert sum(item["name"] == "yellow cylinder" for item in truth["instances"]) == 2
    assert any((item["colour"], item["shape"]) in HELD_OUT_PAIRS for item in truth["instances"])


def test_the_clip_is_small_enough_for_git():
    assert sum(file.stat().st_size for file in CLIP.rglob("*") if file.is_file()) < 4_500_000
