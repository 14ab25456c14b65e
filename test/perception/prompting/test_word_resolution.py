# SPDX-License-Identifier: Apache-2.0
"""Words that a model was never taught: led to its names where they have one, and never where they mean nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seem_ros.perception.prompting.vocabulary import unknown_words
from seem_ros.perception.prompting.word_resolution import TABLE, resolve, words_of
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.tracking.tracker import Tracker

NONSENSE = [
    "blorf",
    "snarg",
    "quibbet",
    "zindle",
    "froopy",
    "grackish",
    "wompel",
    "trisk",
    "yabbling",
    "plonter",
    "glimf",
    "drazzle",
    "skoop",
    "nerfim",
    "volpit",
    "crundle",
    "jaspet",
    "mibble",
    "thrang",
    "oxtle",
    "perfid",
    "bloover",
    "snibber",
    "quaddle",
    "zorp",
    "frindle",
    "gloom'd",
    "hackle-boo",
    "wizzet",
    "drumbolt",
    "fleeb",
    "shnoz'l",
    "kreddle",
    "pumf",
    "spaggle",
    "tworp",
    "ulmek",
    "varpit",
    "wobbish",
    "xenth",
    "yoomp",
    "zubble",
    "brillig",
    "slithy",
    "tove",
    "mimsy",
    "borogrove",
    "outgribe",
    "frumious",
    "snicker-snack",
]


def _unknown(names: list[str]):
    known = frozenset(word for name in names for word in words_of(name)) | {"red", "small"}
    return lambda text: unknown_words(text, known)


@pytest.fixture(scope="module")
def names() -> list[str]:
    """What the table is cut for."""
    return (TABLE.parent / "names.txt").read_text().splitlines()


def test_of_a_hundred_questions_by_synonym_or_broader_word_eighty_are_resolved(names):
    lines = (Path(__file__).parent / "questions.txt").read_text().splitlines()
    questions = [line.split(": ") for line in lines if not line.startswith("#")]
    assert len(questions) == 100
    right = []
    for question, expected in questions:
        found = resolve(question, _unknown(names))
        wanted = {" ".join(words_of(name)) for name in expected.split(",")}
        right.append(found is not None and any(text.endswith(tuple(wanted)) for text in found.texts))
    assert sum(right) >= 80


def test_of_fifty_nonsense_words_none_is_resolved(names):
    assert len(NONSENSE) == 50
    assert [word for word in NONSENSE if resolve(f"the red {word}", _unknown(names)) is not None] == []


@pytest.mark.parametrize(
    ("said", "text", "relation"),
    [
        ("the red mugs", "the red mug", "plural"),
        ("two small knives", None, None),  # "two" leads nowhere, so nothing is guessed
        ("the red sofa", "the red couch", "same"),
        ("a poodle", "a dog", "narrower"),
        ("the cup", "the mug", "near"),
        ("the coffee mug", "the mug", "narrower"),
        ("the shiny mug", None, None),
        ("the tiny mug", "the small mug", "same"),
        ("the scarlet mugs", "the red mug", "same"),
        ("the biggest mug", None, None),  # this model knows no "large"
        ("a tan", None, None),  # no quality of anything
        ("three mugs", None, None),  # no playing card
        ("mug left", None, None),  # no hand
    ],
)
def test_a_word_is_replaced_and_the_rest_of_the_text_stays(said, text, relation):
    found = resolve(said, _unknown(["mug", "couch", "dog", "knife", "card", "hand"]))
    assert (found and found.texts[0], found and found.relation) == (text, relation)


def test_a_broader_word_leads_to_every_name_of_its_kind(names):
    found = resolve("animal", _unknown(names))
    assert {"dog", "cat", "deer", "elephant"} <= set(found.texts) and "car" not in found.texts
    assert resolve("animal", _unknown(["mug", "hammer"])) is None
    assert resolve("animal", _unknown(["mug", "deer"])).texts == ("deer",)


def test_the_table_is_small_and_keeps_the_notice():
    import gzip

    assert TABLE.stat().st_size < 1_000_000
    text = gzip.decompress(TABLE.read_bytes()).decode()
    assert "Princeton University" in text and "without fee or" in text


@pytest.fixture
def worded(backend):
    """The colour model, its words those of three objects that it tells apart by their colour."""
    backend.spec = replace(backend.spec, known_words=frozenset({"red", "blue", "green", "the", "dog", "deer"}))
    return Segmenter(backend)


def _picture() -> np.ndarray:
    rgb = np.full((96, 128, 3), 90, np.uint8)
    rgb[20:52, 20:52] = (200, 20, 20)
    return rgb


def test_the_answer_says_what_was_taken_for_what(worded):
    answer = worded.segment([Prompt(text="the red poodle")], Frame(_picture())).answers[0]
    assert answer.found and answer.unknown_words == () and answer.prompt.text == "the red dog"
    assert "'poodle' is not a word of this model: asked for 'the red dog'" in answer.message


def test_of_several_kinds_the_one_that_is_seen_is_taken(worded):
    answer = worded.segment([Prompt(text="red animal")], Frame(_picture())).answers[0]
    assert answer.found and answer.prompt.text in ("red dog", "red deer") and "surest of 2 names" in answer.message


def test_a_target_goes_by_the_name_that_was_asked_for(worded):
    started = Tracker(worded).start([Prompt(text="red puppy")], Frame(_picture(), stamp_ns=1))
    assert started.segments.answers[0].found and started.segments.answers[0].label == "red dog"
    assert "'puppy' is not a word" in started.segments.answers[0].message


def test_refuse_asks_for_nothing_else(worded):
    worded.config = SegmenterConfig(unknown_words="refuse")
    answer = worded.segment([Prompt(text="red poodle")], Frame(_picture())).answers[0]
    assert not answer.found and answer.unknown_words == ("poodle",)
