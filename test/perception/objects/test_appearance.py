# SPDX-License-Identifier: Apache-2.0
"""How alike two things look."""

import numpy as np
from colour_backend import scene

from seem_ros.perception.objects.appearance import read_appearances
from seem_ros.perception.structures.frame import Frame


def form_likeness(segmenter, first, second):
    encoded = segmenter.encode(Frame(scene({(40, 40): "red"})))
    one, other = read_appearances(encoded, [first, second], segmenter.backend)
    return one.likeness(other)[2]


def test_a_few_stray_pixels_far_away_do_not_change_a_things_form(segmenter):
    height, width = segmenter.encode(Frame(scene({}))).geometry.content_hw
    bar = np.zeros((height, width), bool)
    bar[20:28, 10:50] = True
    strayed, block = bar.copy(), np.zeros_like(bar)
    strayed[height - 6 : height - 2, width - 6 : width - 2] = True
    block[20:38, 10:28] = True
    assert form_likeness(segmenter, bar, strayed) > 0.9
    assert form_likeness(segmenter, bar, block) < 0.7
