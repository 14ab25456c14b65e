# SPDX-License-Identifier: Apache-2.0
"""Further rounds on the same picture: when the last mask is memory, and when it was another thing."""

import numpy as np
import pytest

from seem_ros.model.codes import PriorKind
from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.structures.letterbox import fit
from seem_ros.perception.structures.prompts import Box, Click, Prompt
from seem_ros.perception.structures.segments import Round
from seem_ros.runtime.interface import PromptBatch


def refined(backend, first, more):
    """What a model of one prompt gets when a mask at the upper left, found by ``first``, is corrected."""
    geometry = fit((96, 128), tuple(backend.spec.input_hw), backend.spec.resize)
    memory = np.full(backend.spec.memory_hw, -5.0, np.float32)
    memory[2:8, 2:10] = 5.0  # pixels 8 to 32 and 8 to 40
    batch = PromptBatch.empty(backend.spec, 1)
    prompt_encoder.put_shapes(batch, 0, more.shapes, geometry)
    own = batch.select([0])
    prompt_encoder.put_round(batch, 0, Round(memory, geometry, np.full(4, 0.5, np.float32), first), more)
    return own, batch


@pytest.mark.parametrize("more", [Prompt(clicks=(Click(110, 80),)), Prompt(boxes=(Box(80, 60, 120, 90),))])
def test_words_that_found_another_thing_are_corrected_as_if_the_mask_had_not_been(backend, more):
    own, batch = refined(backend, PriorKind.NONE, more)
    assert not batch.has_previous[0] and batch.prior_kind[0] == own.prior_kind[0] != PriorKind.NONE
    assert np.array_equal(batch.prior_box, own.prior_box)


@pytest.mark.parametrize(
    "more",
    [
        Prompt(clicks=(Click(20, 20),)),  # on it
        Prompt(clicks=(Click(44, 20),)),  # beside it, where a part is missing
        Prompt(clicks=(Click(110, 80, negative=True),)),  # not that
        Prompt(clicks=(Click(110, 80), Click(20, 20))),
    ],
)
def test_what_words_found_is_memory_where_the_correction_is_about_it(backend, more):
    _, batch = refined(backend, PriorKind.NONE, more)
    assert batch.has_previous[0] and batch.prior_kind[0] == PriorKind.NONE


def test_what_was_clicked_first_stays_the_object_wherever_the_next_click_is(backend):
    _, batch = refined(backend, PriorKind.CLICK, Prompt(clicks=(Click(110, 80),)))
    assert batch.has_previous[0] and batch.prior_kind[0] == PriorKind.CLICK
