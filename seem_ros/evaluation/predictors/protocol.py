# SPDX-License-Identifier: Apache-2.0
"""Who is evaluated: our model and the classical methods beside it answer the same questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from seem_ros.perception.structures.prompts import Prompt


@dataclass(frozen=True, eq=False)
class Guess:
    """An answer to one prompt.

    Attributes:
        mask: bool [H, W], source pixels: what a user would get, empty where the answer is "not there".
        presence: how sure it is there, 0..1; NaN for methods that cannot say.
        best_mask: bool [H, W]: the mask even where the answer is "not there"; the same for methods that cannot say.
        unknown_words: words of the text that the method was never taught.
        label: what it calls what it found; "" for methods that cannot say.
        memory: whatever the method needs for a further round.
    """

    mask: np.ndarray
    presence: float = float("nan")
    best_mask: np.ndarray | None = None
    unknown_words: tuple[str, ...] = ()
    label: str = ""
    memory: Any = field(default=None, repr=False)

    @property
    def found(self) -> bool:
        """Whether anything was claimed."""
        return bool(self.mask.any())


@dataclass(frozen=True, eq=False)
class PanopticGuess:
    """ids int32 [H, W], 0 = nothing; per segment its id, class name and score 0..1."""

    ids: np.ndarray
    segments: tuple[tuple[int, str, float], ...]


class Predictor(Protocol):
    """Answers prompts about one picture at a time. `abilities` names what it can be asked: "click", "box", "scribble",
    "text", "reference", "panoptic"; what it cannot is left out of its report."""

    name: str
    abilities: frozenset[str]

    def look(self, rgb: np.ndarray) -> None:
        """Take a picture, uint8 [H, W, 3]; the following calls are about it."""

    def ask(self, prompts: Sequence[Prompt], previous: Sequence[Guess | None] | None = None) -> list[Guess]:
        """Answer each prompt on its own. A further round gives all that was said so far and the previous guess."""

    def panoptic(self, names: Sequence[str], is_thing: Sequence[bool]) -> PanopticGuess:
        """Everything in the picture, named from a vocabulary."""


class VideoPredictor(Protocol):
    """Follows objects through a clip. Made anew for each clip."""

    name: str

    def start(self, rgb: np.ndarray, prompts: Mapping[int, Prompt]) -> dict[int, np.ndarray]:
        """First frame with a prompt per object id; returns masks bool [H, W]."""

    def step(self, rgb: np.ndarray) -> dict[int, np.ndarray]:
        """Next frame; a mask per object id, empty where it is not seen."""
