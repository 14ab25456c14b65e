# SPDX-License-Identifier: Apache-2.0
"""Procedural pictures."""

import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.sim.scene.textures import pattern, surface
from seem_ros.sim.vocabulary import COLOUR_RGB, COLOURS, PATTERNS


@pytest.mark.parametrize("kind", ["plain", "noise", "wood", "tiles", "speckle"])
def test_a_surface_keeps_its_base_colour_on_average(kind):
    picture = surface(kind, np.random.default_rng(1), np.array([0.6, 0.4, 0.3]), 96)
    assert picture.shape == (96, 96, 3) and picture.dtype == np.uint8
    assert np.allclose(picture.mean((0, 1)) / 255, [0.6, 0.4, 0.3], atol=0.12)


@pytest.mark.parametrize("kind", PATTERNS[1:])
@pytest.mark.parametrize("colour", COLOURS)
def test_most_of_a_patterned_surface_shows_the_colour_it_is_named_after(kind, colour):
    picture = pattern(kind, colour, np.random.default_rng(2)).astype(float)
    named = np.abs(picture - np.array(COLOUR_RGB[colour]) * 255).max(-1) < 3
    assert 0.49 <= named.mean() < 1


def test_unknown_surfaces_patterns_and_colours_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="unknown surface 'marble'"):
        surface("marble", rng, np.ones(3))
    with pytest.raises(DataError, match="unknown pattern 'plain'"):
        pattern("plain", "red", rng)
    with pytest.raises(DataError, match="unknown colour 'mauve'"):
        pattern("striped", "mauve", rng)
