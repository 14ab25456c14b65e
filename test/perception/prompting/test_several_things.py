# SPDX-License-Identifier: Apache-2.0
"""Texts that ask for several things at once."""

import pytest

from seem_ros.perception.prompting.places import ends_with_name
from seem_ros.perception.prompting.several_things import several_things

NAMES = frozenset(
    ("pliers", "bus", "person", "mug", "bowl", "box", "cat", "orange", "knife", "fork", "cabinet", "rice", "bean")
)


def said(text):
    return several_things(text, lambda one: ends_with_name(one, NAMES))


@pytest.mark.parametrize(
    "text",
    [
        "all the mugs",
        "every mug",
        "each of the mugs",
        "both mugs",
        "two mugs",
        "3 red mugs",
        "the three boxes",
        "a few mugs",
    ],
)
def test_a_count_is_several(text):
    assert "may be several" in said(text)


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("a mug and a bowl", "a mug", "a bowl"),
        ("the red mug, the blue box", "the red mug", "the blue box"),
        ("the mug, bowl", "the mug", "bowl"),
        ("knife and fork", "knife", "fork"),
        ("the mug or the zorblax", "the mug", "the zorblax"),
        ("red mug & blue bowl", "red mug", "blue bowl"),
        ("the mug and the orange", "the mug", "the orange"),
        ("mugs and bowls", "mugs", "bowls"),
    ],
)
def test_two_names_are_two_things_and_both_are_said(text, first, second):
    assert f"ask for {first!r} and for {second!r}" in said(text)


@pytest.mark.parametrize(
    "text",
    [
        "the mug",
        "the red and blue box",
        "orange and white cat",
        "a bowl of rice and beans",
        "two door cabinet",
        "the smallest box",
        "allspice",
        "the red or blue mug",
        "the orange and white cat",
        "the light orange and white cat",
        "the mug, the red one",
        "the box, orange",
        "the 8 inch pliers",
        "two door bus",
        "the cat and mug bowl",
        "the person who holds a knife and a fork",
        "",
        ", and ,",
    ],
)
def test_one_thing_is_one_thing(text):
    assert said(text) == ""
