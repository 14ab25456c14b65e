# SPDX-License-Identifier: Apache-2.0
"""What training says about things: phrases for a thing, phrases for nothing in the picture, and class banks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seem_ros.datasets.scenes.scene import Thing

TEMPLATES = ("{}", "{}", "the {}", "the {}", "a {}", "pick up the {}", "find the {}", "where is the {}")
BACKGROUND = "background"
#: Part of the absent names that are said without a colour where there are colours; photographs know none.
UNCOLOURED = 0.15


@dataclass(frozen=True)
class Phrase:
    """Attributes that a phrase names; None = not named. `matches` says whether a thing fits."""

    shape: str | None = None
    colour: str | None = None
    size: str | None = None
    pattern: str | None = None

    def matches(self, thing: Thing) -> bool:
        """True when the thing has every attribute that the phrase names."""
        named = ("shape", "colour", "size", "pattern")
        return all(getattr(self, n) in (None, getattr(thing, n)) for n in named)

    @property
    def words(self) -> str:
        """The phrase as a user would type it, without article: "small striped red mug", "red object"."""
        pattern = None if self.pattern == "plain" else self.pattern
        return " ".join(w for w in (self.size, pattern, self.colour, self.shape or "object") if w)


class SpokenNames:
    """Names that occur in the data: shapes, colours, sizes, patterns, stuff and the pairs that may be trained.

    Args:
        shapes: names of things that the data show; these are said, also where they are absent.
        colours: their colours.
        stuff: names of what cannot be counted.
        held_out: pairs of colour and shape that are never said.
        others: names of things that the data do not show: whatever is labelled is none of them.
    """

    def __init__(
        self,
        shapes: Sequence[str],
        colours: Sequence[str],
        stuff: Sequence[str],
        held_out: Sequence[tuple[str, str]],
        others: Sequence[str] = (),
    ) -> None:
        self.shapes, self.colours, self.stuff = tuple(shapes), tuple(colours), tuple(stuff)
        self.others = tuple(others)
        out = {tuple(pair) for pair in held_out}
        self.pairs = tuple((c, s) for c in self.colours for s in self.shapes if (c, s) not in out)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of panoptic output, "background" last."""
        return self.shapes + self.others + self.stuff + (BACKGROUND,)

    def class_bank(self, things: Sequence[Thing], rng: np.random.Generator, size: int) -> tuple[str, ...]:
        """Class names present plus random others, in the order of `classes`, "background" last."""
        present = {t.shape for t in things if t.shape}
        rest = [name for name in self.classes[:-1] if name not in present]
        drawn = {rest[i] for i in rng.permutation(len(rest))[: max(0, size - len(present))]}
        return tuple(name for name in self.classes if name in present or name in drawn or name == BACKGROUND)

    def pair_bank(self, things: Sequence[Thing], rng: np.random.Generator, size: int) -> tuple[str, ...]:
        """Colour-and-shape names: those present plus random others, stuff, and "background" last."""
        present = {f"{t.colour} {t.shape}" for t in things if t.isthing and t.shape and t.colour}
        for i in rng.permutation(len(self.pairs)):
            if len(present) >= size:
                break
            present.add(" ".join(self.pairs[i]))
        return tuple(sorted(present)) + self.stuff + (BACKGROUND,)

    def phrase_for(self, thing: Thing, rng: np.random.Generator) -> Phrase:
        """A phrase that fits the thing."""
        if not thing.isthing or thing.colour is None:  # of photographs the name is all that is known
            return Phrase(thing.shape)
        kind = rng.random()
        if kind < 0.45:
            return Phrase(thing.shape, thing.colour)
        if kind < 0.7:
            return Phrase(thing.shape)
        if kind < 0.78:
            return Phrase(None, thing.colour)
        pattern = thing.pattern if thing.pattern != "plain" and rng.random() < 0.6 else None
        return Phrase(thing.shape, thing.colour if rng.random() < 0.8 else None, thing.size, pattern)

    def phrase_for_nothing(self, things: Sequence[Thing], rng: np.random.Generator) -> Phrase | None:
        """A phrase that fits none of the visible things; half of the time close to one that is there."""
        named = [t for t in things if t.isthing and t.shape]
        for _ in range(8):
            if not self.pairs or rng.random() < UNCOLOURED:
                phrase = Phrase(self.shapes[rng.integers(len(self.shapes))])
                if not any(phrase.matches(t) for t in things):
                    return phrase
                continue
            pair: tuple[str | None, str | None] = self.pairs[rng.integers(len(self.pairs))]
            if named and rng.random() < 0.6:
                near = named[rng.integers(len(named))]
                pair = (near.colour, pair[1]) if rng.random() < 0.5 else (pair[0], near.shape)
                if pair not in self.pairs:
                    continue
            phrase = Phrase(pair[1], None if rng.random() < 0.2 else pair[0])
            if not any(phrase.matches(t) for t in things):
                return phrase
        return None


def say(phrase: Phrase, rng: np.random.Generator) -> str:
    """Puts a phrase into one of the templates."""
    return TEMPLATES[rng.integers(len(TEMPLATES))].format(phrase.words)
