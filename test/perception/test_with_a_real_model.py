# SPDX-License-Identifier: Apache-2.0
"""The built-in model's architecture with random weights, in torch: shapes and bookkeeping, not quality."""

import numpy as np
import pytest

from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Box, Click, Prompt, Reference
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.tracker import Tracker

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def segmenter():
    from seem_ros.model.config import PICO
    from seem_ros.model.seem import Seem
    from seem_ros.runtime.backends.torch_backend import TorchBackend
    from seem_ros.runtime.spec import ModelSpec, VocabularyEntry

    torch.manual_seed(0)
    words = tuple(VocabularyEntry(name) for name in ("mug", "bowl", "table"))
    spec = ModelSpec.of_config(PICO, (64, 96), max_points=16, max_references=8, vocabulary=words, logit_scale=3.0)
    # random weights are never sure of anything: everything counts as found
    config = SegmenterConfig(presence_threshold=0.0)
    with Segmenter(TorchBackend(Seem(PICO), spec, device="cpu"), config) as segmenter:
        yield segmenter


@pytest.fixture
def frames():
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (120, 200, 3)).astype(np.uint8)
    return [Frame(np.roll(picture, i, axis=1), stamp_ns=i * 33_000_000) for i in range(4)]


def prompts(frame):
    return [
        Prompt(text="the red mug"),
        Prompt(clicks=[Click(30, 40), Click(150, 90, negative=True)]),
        Prompt(boxes=[Box(10, 10, 90, 100)], text="bowl"),
        Prompt(reference=Reference(frame.rgb, (Box(5, 5, 60, 60),))),
    ]


def test_every_prompt_is_answered_alike_alone_and_together(segmenter, frames):
    asked = prompts(frames[0])
    together = segmenter.segment(asked, frames[1])
    for i, prompt in enumerate(asked):
        alone = segmenter.segment([prompt], frames[1]).answers[0]
        assert alone.presence == pytest.approx(together.answers[i].presence, abs=1e-4)
        assert alone.mask_score == pytest.approx(together.answers[i].mask_score, abs=1e-3)
    assert together.labels.shape == (120, 200)


def test_rounds_targets_and_panoptic_run(segmenter, frames):
    first = segmenter.segment([prompts(frames[0])[1]], frames[0]).answers[0]
    assert segmenter.refine(first, Prompt(clicks=[Click(60, 60)])).answers[0].presence >= 0
    segmenter.panoptic(["mug", "bowl"])
    tracker = Tracker(segmenter, TrackerConfig(presence_found=0.0, presence_lost=0.0, presence_bank=0.0, bank_every=1))
    started = tracker.start(prompts(frames[0]), frames[0])
    assert len(started.target_ids) == 4
    for frame in frames[1:]:
        segments = tracker.step(frame)
        assert segments.stamp_ns == frame.stamp_ns
    for target in tracker.targets():
        tracker.refine(target.target_id, Prompt(clicks=[Click(30, 40, negative=True)]))
