# SPDX-License-Identifier: Apache-2.0
"""The built-in model on the stored tabletop: what was taught on its first picture is found later by its name."""

import numpy as np
import pytest

from seem_ros.datasets.recorded_clip import RecordedClip, find_clip
from seem_ros.perception.objects.memory import ObjectMemory
from seem_ros.perception.objects.taught import TaughtView
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt

pytest.importorskip("onnxruntime")
MUG, BOWL, CONE, STAR, BOTTLE = 1, 4, 5, 6, 7
THINGS = {"my mug": MUG, "my bowl": BOWL, "my cone": CONE, "my star": STAR, "my bottle": BOTTLE}
LATER, MUG_HIDDEN, CONE_HIDDEN = 140, 42, 60


@pytest.fixture(scope="module")
def clip():
    return RecordedClip(find_clip("tabletop"))


@pytest.fixture(scope="module")
def segmenter(clip, tmp_path_factory):
    """Taught by one process, as it were, and read from the disk by another."""
    folder, first = tmp_path_factory.mktemp("taught"), clip.read(0)
    lessons = ObjectMemory(folder)
    for name, number in THINGS.items():
        lessons.teach(name, TaughtView(first.rgb, first.ids == number, number))
    with Segmenter.load("builtin", backend="onnxruntime") as segmenter:
        segmenter.objects = ObjectMemory(folder)
        yield segmenter


def answers(segmenter, shot):
    segments = segmenter.segment([Prompt(text=name) for name in THINGS], Frame(shot.rgb))
    masks = [None if one.segment is None else segments.labels == one.segment.value for one in segments.answers]
    return dict(zip(THINGS, zip(segments.answers, masks, strict=True), strict=True))


def test_every_thing_is_found_where_it_stands_later(segmenter, clip):
    shot = clip.read(LATER)
    for name, (answer, mask) in answers(segmenter, shot).items():
        true = shot.ids == THINGS[name]
        assert answer.found, f"{name}: {answer.message}"
        assert np.count_nonzero(mask & true) / np.count_nonzero(mask | true) > 0.8, name


@pytest.mark.parametrize(("name", "index"), [("my mug", MUG_HIDDEN), ("my cone", CONE_HIDDEN)])
def test_what_the_arm_hides_is_not_found_in_something_else(segmenter, clip, name, index):
    answer, mask = answers(segmenter, clip.read(index))[name]
    assert not answer.found and mask is None and f"nothing found for {name!r}" in answer.message
