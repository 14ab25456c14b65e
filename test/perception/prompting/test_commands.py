# SPDX-License-Identifier: Apache-2.0
"""What a request is about."""

import pytest

from seem_ros.perception.prompting.commands import asked_about


@pytest.mark.parametrize(
    "text",
    [
        "the red mug",
        "The red mug.",
        "bring me the red mug",
        "Please bring me the red mug!",
        "could you give me the red mug, please?",
        "grasp the red mug",
        "please segment the red mug",
        "can you see the red mug?",
        "look at the red mug now",
        "I want you to pick up the red mug",
        "there is the red mug",
        "is there the red mug",
        "where's the red mug?",
        "go to the red mug please",
        "a photo of the red mug",
        "find the red mug for me",
    ],
)
def test_a_request_is_about_the_thing_in_it(text):
    assert asked_about(text).lower() == "the red mug"


@pytest.mark.parametrize(
    "text",
    [
        "red mug",
        "hand drill",
        "watch",
        "hand",
        "grasp",
        "track ball",
        "please",
        "find",
        "the hand",
        "a mask",
        "pick axe",
    ],
)
def test_what_is_no_request_stays_as_it_is(text):
    assert asked_about(text) == text


def test_a_request_without_an_article_keeps_its_verb():
    assert asked_about("bring red mug") == "bring red mug"
