# SPDX-License-Identifier: Apache-2.0
"""Which of several: "the left mug", "the mug on the right", "the topmost box", "the mug next to the red box"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from seem_ros.perception.prompting.commands import asked_about
from seem_ros.perception.prompting.word_resolution import singulars

_SIDES = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}
# "top" before a name may be a part of it (a top hat, a tank top): there only what is an adjective alone says a place.
_BEFORE = {
    "left": ("left", "leftmost", "left-most", "left hand", "left-hand"),
    "right": ("right", "rightmost", "right-most", "right hand", "right-hand"),
    "top": ("topmost", "uppermost", "upper", "highest"),
    "bottom": ("bottom", "bottommost", "lowermost", "lower", "lowest"),
}
_AFTER = re.compile(
    r"^(?P<what>.+?),?\s+(?:(?:that|which|who)(?:'s|\s+is)\s+)?(?:on|at|to|in)\s+(?:the|my|your)\s+(?:far\s+|very\s+)?"
    r"(?P<side>(?:(?:top|upper|bottom|lower)[\s-]+)?(?:left|right)|top|bottom)(?:[\s-]+(?:hand\s+)?(?:side|corner))?"
    r"(?:\s+of\s+the\s+(?:picture|image|photo|frame))?$"
)
_ALSO = MappingProxyType({"upper": "top", "lower": "bottom"})
#: Where a thing is to another one, in the picture: along an axis and with a sign, or anywhere near it. What is farther
#: away on the same ground is higher in a camera's picture.
_RELATIONS = MappingProxyType(
    {
        **dict.fromkeys(("left of", "to the left of", "on the left of", "on the left side of"), _SIDES["left"]),
        **dict.fromkeys(("right of", "to the right of", "on the right of", "on the right side of"), _SIDES["right"]),
        **dict.fromkeys(("above", "over", "behind"), _SIDES["top"]),
        **dict.fromkeys(("below", "beneath", "under", "underneath", "in front of"), _SIDES["bottom"]),
        **dict.fromkeys(("on", "on top of", "in", "inside", "inside of", "at", "against"), None),
        **dict.fromkeys(("next to", "near", "near to", "close to", "nearest to", "closest to", "beside", "by"), None),
        **dict.fromkeys(("touching", "with", "holding", "wearing"), None),
    }
)
_BESIDE = re.compile(
    r"^(?P<what>\S.*?),?\s+(?:(?:that|which|who)(?:'s|\s+(?:is|lies|stands|sits|hangs))\s+)?"
    r"(?:(?:lying|standing|sitting|leaning|hanging|resting|placed|located|parked|directly|right|just)\s+)?"
    rf"(?P<relation>{'|'.join(sorted(_RELATIONS, key=len, reverse=True))})\s+(?P<landmark>\S.*)$"
)
_SAME_CELLS = 2.0  # of the masks: distances that differ by less are alike
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


@dataclass(frozen=True)
class Beside:
    """Where one of several things is to another thing.

    Attributes:
        relation: As it was said, such as "next to".
        landmark: The other thing.
    """

    relation: str
    landmark: str

    def nearest(self, masks: np.ndarray, landmark: np.ndarray) -> int:
        """The mask bool [N, h, w] nearest to the mask of the landmark, bool [h, w]; each has a pixel inside.

        On the side that was said, where one is. Of several that are as near, the first.
        """
        away = cv2.distanceTransform((~landmark).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        distances = np.array([away[mask].min() for mask in masks])
        toward = _RELATIONS[self.relation]
        if toward is not None:
            axis, sign = toward
            middle = np.nonzero(landmark)[1 - axis].mean()
            wrong = np.array([sign * (np.nonzero(mask)[1 - axis].mean() - middle) <= 0 for mask in masks])
            if not wrong.all():
                distances[wrong] = np.inf
        return int(np.flatnonzero(distances < distances.min() + _SAME_CELLS)[0])

    def said(self, what: str) -> str:
        """What to tell the user."""
        return f"of what looks like {what!r} the one {self.relation} {self.landmark!r}, where that is in the picture"

    def of(self, what: str) -> str:
        """The text that says this of another thing."""
        return f"{what} {self.relation} {self.landmark}"


Place = PictureSide | Beside


def split_place(text: str) -> tuple[str, Place | None]:
    """What a text or a request asks for, and which of several; where it says no place, all that it asks for and None.

    A place of its own ("the left") says nothing without a thing, and stays as it is. Of several places a side of the
    picture counts, else the last.
    """
    text = asked_about(text)
    sides: list[str] = []
    beside: Beside | None = None
    what = _tidy(text)
    while True:
        if (step := _split_one(what)) is not None:
            what = step[0]
            sides += step[1]
        elif (found := _BESIDE.match(what)) is not None:
            what = found["what"]
            while (further := _BESIDE.match(found["landmark"])) is not None:
                found = further
            beside = Beside(found["relation"], found["landmark"])
        else:
            break
    if sides:
        return what, PictureSide(tuple(sides))
    return (text, None) if beside is None else (what, beside)


def ends_with_name(text: str, names: Iterable[str]) -> bool:
    """Whether the last words of a text are one of these names, or its plural."""
    words = _tidy(text).split()
    tails = {" ".join(words[start:]) for start in range(len(words))}
    tails |= {" ".join([*words[start:-1], form]) for start in range(len(words)) for form in singulars(words[-1])}
    return any(_tidy(name) in tails for name in names)


def is_name(text: str, names: Iterable[str]) -> bool:
    """Whether a text is one of these names, with or without an article."""
    words = _tidy(text)
    return any(_tidy(name) in (words, _ARTICLE.sub("", words)) for name in names)


def _tidy(text: str) -> str:
    return " ".join(text.lower().replace("\u2019", "'").split()).rstrip(" .!?,")


def _split_one(words: str) -> tuple[str, list[str]] | None:
    after = _AFTER.match(words)
    if after:
        return after["what"], [_ALSO.get(side, side) for side in re.split(r"[\s-]+", after["side"])]
    article = _ARTICLE.match(words)
    rest = words[article.end() :] if article else words
    for side, names in _BEFORE.items():
        for name in names:
            what = rest[len(name) + 1 :].strip()
            if rest.startswith(name + " ") and what:
                return (article[0] if article else "") + what, [side]
    return None
