# SPDX-License-Identifier: Apache-2.0
"""Texts that ask for several things at once: "all the mugs", "two mugs", "a mug and a bowl"."""

from __future__ import annotations

import re
from collections.abc import Callable

from seem_ros.perception.prompting.word_resolution import singulars

_ARTICLE = re.compile(r"^(?:the|a|an|this|that|my|your|his|her|our|their|another)\s+")
_COLOURS = frozenset(("orange", "pink", "purple", "violet", "gold", "silver", "olive"))  # that are things, too
_ONE = re.compile(r"\bones?$")  # "the mug, the red one" is one mug
# Of one thing, too: "the 8 inch pliers", "the two door bus".
_ONE_OR_MORE = frozenset(
    ("scissors", "pliers", "glasses", "headphones", "jeans", "pants", "shorts", "tights", "leggings", "skis", "bus")
)
_CLAUSE = re.compile(r"\s(?:who|that|which)\s")  # "the person who holds a knife and a fork"
_ALL = re.compile(r"^(?:all|every|each|both|several|many|(?:a\s+)?few)\b(?:\s+(?:of|one\s+of))?\s+\S")
_COUNT = re.compile(
    r"^(?:the\s+)?(?:[2-9]|\d\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|a\s+dozen)\s+(?P<what>\S.*)$"
)
_BETWEEN = re.compile(r"\s*(?:,\s*(?:and|or)\b|,|&|\+|\band\b|\bor\b)\s*")


def several_things(text: str, is_thing: Callable[[str], bool]) -> str:
    """Why a text asks for more than one thing; "" where it asks for one.

    Colours before one name are no things ("the orange and white cat"), nor is what one thing is full of ("a bowl of
    rice and beans").

    Args:
        text: What is asked for, without a request or place.
        is_thing: Whether a text without an article ends with a name that the model has.
    """
    words = " ".join(text.lower().split())
    if _ALL.match(words) or ((count := _COUNT.match(words)) is not None and _is_plural(count["what"])):
        return (
            f"one prompt is one thing, and {text!r} may be several: ask for each in a prompt of its own, or for "
            "everything with `panoptic`"
        )
    first, *others = [part for part in _BETWEEN.split(words) if part] or [""]
    plain = _ARTICLE.sub("", first)
    if not is_thing(plain) or _CLAUSE.search(plain):
        return ""
    listed = plain.split()[-1] not in _COLOURS and " of " not in first

    def is_listed(one: str) -> bool:  # "the cat and dog bowl" and "the ball, orange" are one thing
        return listed and one not in _COLOURS and is_thing(one) and not any(map(is_thing, one.split()[:-1]))

    others = [one for one in others if not _ONE.search(one) and (_ARTICLE.match(one) or is_listed(one))]
    if not others:
        return ""
    return f"one prompt is one thing: ask for {first!r} and for {others[0]!r} in prompts of their own"


def _is_plural(words: str) -> bool:
    last = words.split()[-1]
    return last not in _ONE_OR_MORE and next(singulars(last), None) is not None
