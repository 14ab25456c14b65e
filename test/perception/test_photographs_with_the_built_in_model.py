# SPDX-License-Identifier: Apache-2.0
"""The built-in model on real photographs that it was not trained on."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from seem_ros import Click, Frame, Prompt, Segmenter

pytest.importorskip("onnxruntime")
DATA = Path(__file__).parent / "data" / "photographs"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def segmenter():
    with Segmenter.load(ROOT / "models" / "lite", backend="onnxruntime") as segmenter:
        yield segmenter


def photograph(name):
    rgb = cv2.cvtColor(cv2.imread(str(DATA / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
    return rgb, cv2.imread(str(DATA / f"{name}.png"), cv2.IMREAD_UNCHANGED) == 1


def middle(mask):
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return x + 0.5, y + 0.5


def overlap(mask, truth):
    return np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)


@pytest.mark.parametrize("name", ["00153", "00160"])
def test_one_click_on_a_thing_in_a_photograph_gives_its_mask(segmenter, name):
    rgb, truth = photograph(name)
    answer = segmenter.segment([Prompt(clicks=[Click(*middle(truth))])], segmenter.encode(Frame(rgb)))
    assert overlap(answer.labels > 0, truth) > 0.85


def test_a_click_beside_a_wrong_mask_takes_away_what_it_points_at(segmenter):
    """The head that corrects masks: a negative click removes its surroundings, and leaves what lies far away."""
    rgb, truth = photograph("00160")
    encoded = segmenter.encode(Frame(rgb))
    x, y = middle(truth)
    first = segmenter.segment([Prompt(clicks=[Click(x, y)])], encoded).labels > 0
    ys, xs = np.nonzero(first)
    at = int(np.argmax(xs))  # the mask's rightmost pixel
    wrong = Click(xs[at] - 1.5, ys[at] + 0.5, negative=True)
    second = segmenter.segment([Prompt(clicks=[Click(x, y), wrong])], encoded).labels > 0
    assert not second[int(wrong.y), int(wrong.x)]
    assert second[int(y), int(x)]
