# SPDX-License-Identifier: Apache-2.0
"""Simulated prompts say what a user would say."""

import numpy as np
import pytest

from seem_ros.datasets.scenes.scene import Thing
from seem_ros.datasets.scenes.shards import Shards
from seem_ros.training import simulated_prompts
from seem_ros.training.prompt_sampling import Scene, ask_memory, ask_text, lookalikes
from seem_ros.training.referring_phrases import Phrase, SpokenNames


@pytest.fixture()
def mask():
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:50] = True
    return mask


def test_a_click_is_nine_pixels_and_fewer_at_the_corner_of_the_picture():
    assert len(simulated_prompts.click_block(5, 5, (60, 80))) == 9
    assert len(simulated_prompts.click_block(0, 0, (60, 80))) == 4


def test_the_next_click_falls_on_the_middle_of_the_largest_error(mask):
    nothing = np.zeros_like(mask)
    x, y, positive = simulated_prompts.click_on_error(mask, nothing)
    assert positive and mask[y, x] and 28 <= x <= 41 and 18 <= y <= 21
    too_much = mask.copy()
    too_much[35:60, 0:40] = True
    x, y, positive = simulated_prompts.click_on_error(mask, too_much)
    assert not positive and too_much[y, x] and not mask[y, x]
    assert simulated_prompts.click_on_error(mask, mask) is None


def test_every_drawn_prompt_stays_within_its_points_and_touches_its_object(mask):
    rng = np.random.default_rng(0)
    for draw in (
        lambda: simulated_prompts.box(mask, rng),
        lambda: simulated_prompts.scribble(mask, rng),
        lambda: simulated_prompts.rough_region(mask, rng),
        lambda: simulated_prompts.clicks(mask, ~mask, rng, 3, 2),
    ):
        for _ in range(20):
            g = draw()
            assert 0 < len(g.points_px) == len(g.labels) <= simulated_prompts.POINTS
            columns, rows = g.points_px.astype(int).T
            assert mask[rows, columns][g.labels > 0].any()


def test_one_more_click_keeps_the_older_points_and_the_prior(mask):
    rng = np.random.default_rng(0)
    box = simulated_prompts.box(mask, rng)
    more = simulated_prompts.add_click(box, (2, 2, False), mask.shape)
    assert more.kind == 3 and more.box_xyxy_px == box.box_xyxy_px
    assert (more.labels < 0).sum() == 9 and len(more.labels) <= simulated_prompts.POINTS


def test_a_phrase_fits_things_that_have_all_it_names():
    thing = Thing(1, "mug", "red", "small", "striped")
    assert Phrase("mug").matches(thing) and Phrase("mug", "red", "small", "striped").matches(thing)
    assert Phrase(None, "red").matches(thing) and not Phrase("mug", "blue").matches(thing)
    assert Phrase("mug", "red", "small", "striped").words == "small striped red mug"
    assert Phrase(None, "red").words == "red object"


def test_a_text_for_nothing_never_names_something_in_the_picture(shard_folder):
    shards = Shards(shard_folder)
    vocabulary = SpokenNames(("box", "ball"), ("red", "blue", "green"), ("wall", "table"), [("red", "ball")])
    rng = np.random.default_rng(1)
    for i in range(40):
        scene = Scene.of(shards.clip(i % 4, (0, 1)), 0)
        ask = ask_text(scene, 0, rng, vocabulary, absent=1.0)
        if not ask.answers:
            assert "ball" in ask.text and "red ball" not in ask.text


def test_held_out_pairs_are_never_spoken(shard_folder):
    vocabulary = SpokenNames(("box", "ball"), ("red", "blue"), (), [("red", "ball")])
    assert ("red", "ball") not in vocabulary.pairs and ("blue", "ball") in vocabulary.pairs
    bank = vocabulary.pair_bank([], np.random.default_rng(0), 10)
    assert "red ball" not in bank and bank[-1] == "background"


def test_equal_looking_things_are_all_right_answers(shard_folder):
    clip = Shards(shard_folder).clip(0, (0, 1))
    twins = tuple(Thing(t.id, t.shape, "red", t.size, t.pattern, t.isthing) if t.isthing else t for t in clip.things)
    scene = Scene.of(type(clip)(clip.rgb, clip.ids, twins), 0)
    first = next(i for i in scene.visible[0] if scene.things[i].isthing)
    assert set(lookalikes(scene, 0, first)) == {i for i in scene.visible[0] if scene.things[i].isthing}


def test_following_gives_a_look_or_a_previous_mask(shard_folder):
    shards, rng = Shards(shard_folder), np.random.default_rng(2)
    vocabulary = SpokenNames(("box", "ball"), ("red", "blue"), (), [])
    for i in range(30):
        ask = ask_memory(Scene.of(shards.clip(i % 4, (0, 2)), 0), 0, rng, vocabulary)
        if ask.counted:
            assert ask.reference is not None or ask.previous is not None
            assert ask.previous is None or (ask.geometry.kind == 4 and ask.previous.any())


def test_names_that_no_picture_shows_are_told_apart_but_never_said():
    vocabulary = SpokenNames(("mug",), (), ("table",), (), others=("apple", "banana"))
    rng = np.random.default_rng(2)
    assert vocabulary.classes == ("mug", "apple", "banana", "table", "background")
    said = {phrase.shape for _ in range(50) if (phrase := vocabulary.phrase_for_nothing([], rng))}
    assert said == {"mug"}
    bank = vocabulary.class_bank([Thing(1, "mug")], rng, 2)
    assert len(bank) == 3 and bank[0] == "mug" and bank[-1] == "background"
