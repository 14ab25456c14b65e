# SPDX-License-Identifier: Apache-2.0
"""Texts that ask for several things at once: "all the mugs", "two mugs", "a mug and a bowl"."""

from __future__ import annotations

import re
from collections.abc import Callable

from seem_ros.perception.prompting.word_resolution import singulars

_ARTICLE = re.compile(r"^(?:the|a|an|this|that|my|your|his|her|our|their|another)\s+")
_COLOURS = frozenset(("orange", "pink", "purple", "violet", "gold", "silver", "olive"))  # that are things, too
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
    listed = is_thing(_ARTICLE.sub("", first)) and first not in _COLOURS and " of " not in first
    others = [one for one in others if _ARTICLE.match(one) or (listed and is_thing(one))]
    if not others or not is_thing(_ARTICLE.sub("", first)):
        return ""
    return f"one prompt is one thing: ask for {first!r} and for {others[0]!r} in prompts of their own"


def _is_plural(words: str) -> bool:
    return next(singulars(words.split()[-1]), None) is not None
