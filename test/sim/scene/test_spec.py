# SPDX-License-Identifier: Apache-2.0
"""Descriptions of scenes."""

import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.sim.scene.spec import ObjectSpec, SceneSpec, random_objects, random_scene
from seem_ros.sim.vocabulary import HELD_OUT_PAIRS


def test_training_scenes_never_hold_a_held_out_pair_and_evaluation_scenes_often_do():
    def pairs(split):
        rng = np.random.default_rng(0)
        return [(thing.colour, thing.shape) for _ in range(200) for thing in random_objects(rng, 6, split)]

    assert not HELD_OUT_PAIRS & set(pairs("train"))
    share = np.mean([pair in HELD_OUT_PAIRS for pair in pairs("val")])
    assert 0.15 < share < 0.4 and set(pairs("val")) >= HELD_OUT_PAIRS


def test_a_seed_describes_one_scene():
    assert random_scene(5).objects == random_scene(5).objects
    assert random_scene(5).objects != random_scene(6).objects


@pytest.mark.parametrize("wrong", [{"objects": ()}, {"seed": -1}, {"height_px": 8}, {"width_px": 99999}])
def test_scenes_out_of_range_are_refused(wrong):
    with pytest.raises(DataError, match="got"):
        SceneSpec(**{"objects": (ObjectSpec("mug", "red"),), **wrong})


def test_an_object_with_an_unknown_colour_or_place_is_refused():
    with pytest.raises(DataError, match="unknown colour 'mauve'"):
        ObjectSpec("mug", "mauve")
    with pytest.raises(DataError, match="two finite numbers"):
        ObjectSpec("mug", "red", xy_m=(float("nan"), 0))
    with pytest.raises(DataError, match="drop height"):
        ObjectSpec("mug", "red", drop_height_m=-1)


def test_an_unknown_split_is_refused():
    with pytest.raises(DataError, match="unknown split 'test'"):
        random_objects(np.random.default_rng(0), 3, "test")
