# SPDX-License-Identifier: Apache-2.0
"""Texts and vocabularies, encoded once: a bounded cache, unknown words, class probabilities."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from seem_ros.errors import PromptError
from seem_ros.perception.masks.panoptic import softmax
from seem_ros.runtime.interface import Backend, TextFeatures

BACKGROUND = "background"  # closes every class list: what a query that found nothing is called
_MAX_NAMES = 4096
# words that carry no meaning of their own: a model need not have met them
_FILLERS = frozenset(
    {
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "some",
        "my",
        "your",
        "our",
        "his",
        "her",
        "its",
        "their",
        "of",
        "in",
        "on",
        "at",
        "by",
        "to",
        "is",
        "are",
        "please",
        "find",
        "show",
        "me",
        "segment",
        "mark",
        "select",
        "one",
        "and",
        "with",
        "it",
        "pick",
        "up",
        "take",
        "grab",
        "where",
    }
)


_TEXTS_AT_ONCE = 8  # between two pauses: an official model takes 50 ms for one


class TextCache:
    """The backend's text features by text, the most recent ``limit`` of them."""

    def __init__(self, backend: Backend, limit: int, pause: Callable[[], None] = lambda: None) -> None:
        self._backend, self._pause = backend, pause
        self._limit = limit
        self._known: OrderedDict[str, TextFeatures] = OrderedDict()

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of ``texts``, one row each; what is new is encoded, a few at a time.

        Raises:
            PromptError: The model cannot take a text.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        rows = {}
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            self._pause()
            some = missing[start : start + _TEXTS_AT_ONCE]
            fresh = self._backend.encode_text(some)
            rows.update({text: fresh.select([i]) for i, text in enumerate(some)})
        found = [rows[text] if text in rows else self._known[text] for text in texts]
        for text in dict.fromkeys(texts):
            self._known[text] = rows[text] if text in rows else self._known[text]
            self._known.move_to_end(text)
        while len(self._known) > self._limit:
            self._known.popitem(last=False)
        length = max(one.valid.shape[1] for one in found)
        return TextFeatures.concatenate([_padded(one, length) for one in found])


def _padded(one: TextFeatures, length: int) -> TextFeatures:
    missing = length - one.valid.shape[1]
    if not missing:
        return one
    return TextFeatures(
        np.pad(one.tokens, ((0, 0), (0, missing), (0, 0))), np.pad(one.valid, ((0, 0), (0, missing))), one.embedding
    )


def unknown_words(text: str, known: frozenset[str] | None) -> tuple[str, ...]:
    """Words of ``text`` that are not in ``known`` (None = the model knows open language); fillers never count."""
    if known is None:
        return ()
    words = re.findall(r"[^\W_]+", text.lower())
    return tuple(dict.fromkeys(word for word in words if word not in known and word not in _FILLERS))


def never_trained_on(words: Iterable[str]) -> str:
    """What to tell the user about words that `unknown_words` found."""
    return f"the model was never trained on {', '.join(repr(word) for word in words)}"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Class names and their unit vectors.

    Attributes:
        names: K names.
        is_thing: K flags.
        bank: float32 [K + 1, D], rows of length 1; the last row is ``BACKGROUND``.
        scale: Class logits are ``scale`` x cosine.
    """

    names: tuple[str, ...]
    is_thing: tuple[bool, ...]
    bank: np.ndarray
    scale: float

    @classmethod
    def build(
        cls, names: Sequence[str], is_thing: Sequence[bool] | None, texts: TextCache, logit_scale: float
    ) -> Vocabulary:
        """Encodes names.

        Raises:
            PromptError: No names, too many, an empty or repeated one, or flags of another number.
        """
        names = tuple(" ".join(str(name).split()) for name in names)
        if not 1 <= len(names) <= _MAX_NAMES:
            raise PromptError(f"a vocabulary needs 1 to {_MAX_NAMES} names, got {len(names)}")
        if not all(names):
            raise PromptError("a vocabulary must not hold an empty name")
        plain = [name.casefold() for name in names]  # no model reads capitals
        if len(set(plain)) != len(names):
            repeated = sorted({name for name, one in zip(names, plain, strict=True) if plain.count(one) > 1})
            raise PromptError(f"a vocabulary must not repeat a name, got {repeated} more than once")
        flags = (True,) * len(names) if is_thing is None else tuple(bool(flag) for flag in is_thing)
        if len(flags) != len(names):
            raise PromptError(f"a vocabulary of {len(names)} names needs as many is_thing flags, got {len(flags)}")
        embedding = texts.encode((*names, BACKGROUND)).embedding
        bank = embedding / (np.linalg.norm(embedding, axis=1, keepdims=True) + 1e-7)
        return cls(names, flags, bank.astype(np.float32), float(np.exp(logit_scale)))

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """Class logits, float32 [N, K + 1], of un-normalised class embeddings float32 [N, D]."""
        unit = embeddings / (np.linalg.norm(embeddings, axis=1, keepdims=True) + 1e-7)
        return self.scale * unit @ self.bank.T

    def name(self, embeddings: np.ndarray) -> list[tuple[str, float]]:
        """The best name of each embedding and its probability among the names ("nothing" is not a choice)."""
        probability = softmax(self.logits(embeddings)[:, :-1])
        return [(self.names[k], float(row[k])) for row, k in zip(probability, probability.argmax(1), strict=True)]
