# SPDX-License-Identifier: Apache-2.0
"""Which of several: "the left mug", "the mug on the right", "the topmost box"."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_SIDES = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}
# "top" before a name may be a part of it (a top hat, a tank top): there only what is an adjective alone says a place.
_BEFORE = {
    "left": ("left", "leftmost", "left-most", "left hand", "left-hand"),
    "right": ("right", "rightmost", "right-most", "right hand", "right-hand"),
    "top": ("topmost", "uppermost", "upper", "highest"),
    "bottom": ("bottom", "bottommost", "lowermost", "lower", "lowest"),
}
_AFTER = re.compile(
    r"^(?P<what>.+?),?\s+(?:(?:that|which)\s+is\s+)?(?:on|at|to|in)\s+the\s+(?:far\s+|very\s+)?"
    r"(?P<side>left|right|top|bottom)(?:\s+(?:hand\s+)?side)?$"
)
_ARTICLE = re.compile(r"^(?:the|a|an|this|that|my)\s+")


@dataclass(frozen=True)
class PictureSide:
    """The side of the picture that one of several things is nearest to, or two for a corner.

    Attributes:
        sides: Of "left", "right", "top" and "bottom".
    """

    sides: tuple[str, ...]

    def farthest(self, masks: np.ndarray) -> int:
        """The mask bool [N, h, w] whose middle lies farthest to these sides; each has a pixel inside."""
        size = masks.shape[:0:-1]  # width, height: in a corner both count alike
        middles = [[np.nonzero(mask)[1 - axis].mean() / size[axis] for axis in range(2)] for mask in masks]
        signs = [_SIDES[side] for side in self.sides]
        return int(np.argmax([sum(sign * middle[axis] for axis, sign in signs) for middle in middles]))

    def said(self, what: str) -> str:
        """What to tell the user."""
        return f"of what looks like {what!r} the one farthest to the {' '.join(self.sides)}"

    def of(self, what: str) -> str:
        """The text that says this place of another thing."""
        return " ".join((what, *(f"on the {side}" for side in self.sides)))


def split_place(text: str) -> tuple[str, PictureSide | None]:
    """What a text asks for, and which of several; the text itself and None where it says no place.

    A place of its own ("the left") says nothing without a thing, and stays as it is.
    """
    sides: list[str] = []
    what = " ".join(text.lower().split()).rstrip(" .!?")
    while (step := _split_one(what)) is not None:
        what = step[0]
        sides.append(step[1])
    return (what, PictureSide(tuple(sides))) if sides else (text, None)


def _split_one(words: str) -> tuple[str, str] | None:
    after = _AFTER.match(words)
    if after:
        return after["what"], after["side"]
    article = _ARTICLE.match(words)
    rest = words[article.end() :] if article else words
    for side, names in _BEFORE.items():
        for name in names:
            what = rest[len(name) + 1 :].strip()
            if rest.startswith(name + " ") and what:
                return (article[0] if article else "") + what, side
    return None
