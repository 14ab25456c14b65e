# SPDX-License-Identifier: Apache-2.0
"""Masks of two models compared as a user would meet them."""

from __future__ import annotations

import numpy as np
import pytest

from seem_ros.datasets.recorded_clip import RecordedClip, find_clip
from seem_ros.export.mask_overlaps import mask_overlaps
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    """The built-in model in float."""
    return Segmenter.load("builtin", backend="onnxruntime", precision="fp32", threads=2)


def test_a_model_agrees_with_itself_on_every_thing_by_click_and_by_box(segmenter: Segmenter):
    frame = Frame(RecordedClip(find_clip("tabletop")).read(0).rgb)
    found = mask_overlaps(segmenter, segmenter, [frame])
    assert len(found) >= 4 and len(found) % 2 == 0
    assert found == [1.0] * len(found)


def test_nothing_is_compared_where_the_model_is_sure_of_nothing(segmenter: Segmenter):
    other = Segmenter(segmenter.backend)
    plain = Segmenter(segmenter.backend)
    plain.config = plain.config.__class__(presence_threshold=1.0)
    frame = Frame(np.full((120, 160, 3), 127, np.uint8))
    assert mask_overlaps(plain, other, [frame]) == []


def test_a_thing_that_the_other_model_no_longer_finds_counts_as_no_overlap(segmenter: Segmenter):
    blind = Segmenter(segmenter.backend)
    blind.config = blind.config.__class__(presence_threshold=1.0)
    frame = Frame(RecordedClip(find_clip("tabletop")).read(0).rgb)
    found = mask_overlaps(segmenter, blind, [frame])
    assert min(found) == 0.0
