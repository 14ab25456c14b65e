# SPDX-License-Identifier: Apache-2.0
"""What words mean to a model: encoded texts, the vocabulary that names segments, words it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seem_ros.perception.prompting.grounding import TextRule
from seem_ros.perception.prompting.vocabulary import TextCache, Vocabulary, unknown_words
from seem_ros.perception.prompting.word_resolution import Resolution, resolve
from seem_ros.runtime.interface import Backend, TextFeatures


class Naming:
    """The words of one segmenter.

    Args:
        backend: Encodes texts.
        kept: Text features kept.
        pause: Called between texts that are encoded.
    """

    def __init__(self, backend: Backend, kept: int, pause: Callable[[], None] = lambda: None) -> None:
        self._backend, self._pause = backend, pause
        known = backend.spec.known_words
        self._known_words = None if known is None else frozenset(word.lower() for word in known)
        self._vocabulary: Vocabulary | None = None
        self._rule: TextRule | None = None
        self.keep(kept)

    def keep(self, count: int) -> None:
        """Starts over with room for so many texts' features."""
        self._texts = TextCache(self._backend, count, self._pause)

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts, from the cache where they are known; see `TextCache.encode`."""
        return self._texts.encode(texts)

    def unknown(self, text: str) -> tuple[str, ...]:
        """Words of a text that the model was never trained on."""
        return unknown_words(text, self._known_words)

    def resolution(self, text: str) -> Resolution | None:
        """What to ask in place of a text with unknown words; None where it has none, or one leads nowhere."""
        return resolve(text, self.unknown) if self.unknown(text) else None

    @property
    def names(self) -> tuple[str, ...]:
        """The vocabulary."""
        return self.own_names if self._vocabulary is None else self._vocabulary.names

    def change(self, names: Sequence[str], is_thing: Sequence[bool] | None) -> tuple[str, ...]:
        """Changes the vocabulary; see `Segmenter.set_vocabulary`."""
        self._vocabulary = self.built(names, is_thing) if len(names) else None
        return tuple(dict.fromkeys(word for name in names for word in self.unknown(name)))

    def built(self, names: Sequence[str], is_thing: Sequence[bool] | None = None) -> Vocabulary:
        """A vocabulary of these names; what the flags do not say is as in the model's own, else a thing.

        Raises:
            PromptError: See ``Vocabulary.build``.
        """
        spec = self._backend.spec
        if is_thing is None:
            own = {entry.name.lower(): entry.is_thing for entry in spec.vocabulary}
            is_thing = [own.get(str(name).lower(), True) for name in names]
        return Vocabulary.build(names, is_thing, self._texts, spec.logit_scale)

    def bank(self) -> Vocabulary | None:
        """The vocabulary, encoded; None where nobody set one and the model brings none."""
        if self._vocabulary is None and self._backend.spec.vocabulary:
            self._vocabulary = self.built(self.own_names)
        return self._vocabulary

    def text_rule(self) -> TextRule | None:
        """How the object queries answer texts, where the model's package asks for that."""
        postprocess = self._backend.spec.postprocess
        if self._rule is None and postprocess.text_slope is not None:
            own = self.built(self.own_names)
            self._rule = TextRule.of(postprocess, own.bank, own.scale)
        return self._rule

    @property
    def own_names(self) -> tuple[str, ...]:
        """The model's own names, each once whatever its capitals."""
        names = (entry.name for entry in self._backend.spec.vocabulary)
        return tuple({name.casefold(): name for name in names}.values())
