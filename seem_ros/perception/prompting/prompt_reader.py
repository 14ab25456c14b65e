# SPDX-License-Identifier: Apache-2.0
"""What a prompt means to the model: its words, the taught object that they name, its reference picture, its shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from seem_ros.errors import PromptError
from seem_ros.perception.objects.recognition import Recognition
from seem_ros.perception.objects.taught import TaughtObject
from seem_ros.perception.pauses import Pauses
from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.prompting.commands import asked_about
from seem_ros.perception.prompting.naming import Naming
from seem_ros.perception.prompting.places import Beside, Place, ends_with_name, is_name, split_place
from seem_ros.perception.prompting.reference_encoder import ReferenceCache
from seem_ros.perception.prompting.several_things import several_things
from seem_ros.perception.prompting.vocabulary import never_trained_on, unknown_words
from seem_ros.perception.prompting.word_resolution import Resolution
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.letterbox import Geometry
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.runtime.interface import Backend, DecodeBatch, PromptBatch

UNNAMED = "object"  # what no name of the vocabulary fits surely enough


class PromptReader:
    """Turns prompts into the model's tensors, and knows what to call the answers.

    Args:
        backend: Encodes texts and reads pictures.
        config: Of the segmenter; exchanged by `use`.
        pauses: Others are let in between prompts.
        encode: Encodes a picture that is not the camera's.

    Attributes:
        words: Texts and the vocabulary.
        recognition: Objects that were taught.
    """

    def __init__(
        self, backend: Backend, config: SegmenterConfig, pauses: Pauses, encode: Callable[[Frame], EncodedFrame]
    ) -> None:
        self._backend, self._config, self._pauses = backend, config, pauses
        self.words = Naming(backend, config.max_texts_cached, pauses)
        self.recognition = Recognition(backend, encode)
        self._references = ReferenceCache(backend, encode)

    def use(self, config: SegmenterConfig) -> None:
        """Has another configuration rule from now on."""
        if config.max_texts_cached != self._config.max_texts_cached:
            self.words.keep(config.max_texts_cached)
        self._config = config

    def check_texts(self, prompts: Sequence[Prompt]) -> None:
        """Refuses texts that the model cannot take, or that ask for several things at once.

        Raises:
            PromptError: Says which and why.
        """
        texts = [
            self._one_thing(prompt.text) for prompt in prompts if prompt.text and self.recognition.named(prompt) is None
        ]
        if texts:
            self.words.encode(texts)

    def _one_thing(self, text: str) -> str:
        """What a text asks for, without where it is. Raises PromptError where it asks for several things."""
        what, _ = self.split(text)
        # official models read whole sentences themselves
        if self._config.one_thing and self._backend.spec.postprocess.text_slope is not None:
            names = self.words.own_names
            why = "" if is_name(what, names) else several_things(what, lambda one: ends_with_name(one, names))
            if why:
                raise PromptError(why)
        return what

    def read(self, prompts: Sequence[Prompt], geometry: Geometry) -> tuple[PromptBatch, list[tuple[str, ...]]]:
        """Prompts as the model's tensors, and the unknown words of each; see `Segmenter.ask`."""
        batch = PromptBatch.empty(self._backend.spec, len(prompts))
        taught = [self.recognition.named(prompt) for prompt in prompts]
        unknown = [
            () if one is not None else self.words.unknown(self.split(prompt.text)[0])
            for prompt, one in zip(prompts, taught, strict=True)
        ]
        usable = [
            i
            for i, prompt in enumerate(prompts)
            if prompt.text and taught[i] is None and (not unknown[i] or self._config.unknown_words == "use")
        ]
        if usable:
            texts = self.words.encode([self.split(prompts[i].text)[0] for i in usable])
            for row, i in enumerate(usable):
                prompt_encoder.put_text(batch, i, texts, row)
        for i, prompt in enumerate(prompts):
            self._pauses()
            known = taught[i]
            if known is not None:
                prompt_encoder.put_reference(batch, i, self.recognition.reference(known))
            if prompt.reference is not None:
                limit = self._config.max_references_cached
                prompt_encoder.put_reference(batch, i, self._references.read(prompt.reference, limit))
            prompt_encoder.put_shapes(batch, i, prompt.shapes, geometry)
        return batch, unknown

    def resolve(
        self, prompts: Sequence[Prompt], most_present: Callable[[Sequence[str]], int]
    ) -> tuple[list[Prompt], list[str]]:
        """Texts with unknown words led to the model's own names; see `Segmenter.resolve`.

        Args:
            prompts: They have been checked.
            most_present: Which of several texts the picture shows most surely.
        """
        prompts, notes = list(prompts), [""] * len(prompts)
        for i, prompt in enumerate(prompts):
            found = self._resolution(prompt)
            if found is not None:
                place = self.split(prompt.text)[1]
                chosen = found.texts[most_present(found.texts) if len(found.texts) > 1 else 0]
                text = chosen if place is None else place.of(chosen)
                prompts[i], notes[i] = replace(prompt, text=text), found.said(chosen)
        return prompts, notes

    def split(self, text: str) -> tuple[str, Place | None]:
        """What a text asks for, and which of several; official models read whole sentences themselves."""
        spec = self._backend.spec
        if spec.postprocess.text_slope is None:
            return text, None
        what, place = split_place(text)
        if what != text:  # a name may hold such words
            names = self.words.own_names
            for said in (text, asked_about(text)):
                if is_name(said, names):
                    return said, None
        return what, place

    def places(self, prompts: Sequence[Prompt]) -> dict[int, Place]:
        """Rows whose text says which of several is meant."""
        said = {row: self.split(prompt.text)[1] for row, prompt in enumerate(prompts)}
        return {row: place for row, place in said.items() if place is not None}

    def landmarks(self, places: Mapping[int, Place]) -> dict[int, np.ndarray]:
        """Embeddings float32 [D] of the things that places are said by, where the model knows them."""
        said = {row: self._landmark(place)[0] for row, place in places.items() if isinstance(place, Beside)}
        return {row: self.words.encode([text]).embedding[0] for row, text in said.items() if text}

    def _landmark(self, place: Beside) -> tuple[str, str]:
        """What to ask for to see what a place is said by, or "" and why the model cannot be asked for it."""
        if not unknown_words(place.landmark, frozenset()):  # "in front of me"
            return "", "it names no thing"
        unknown = self.words.unknown(place.landmark)
        led = self.words.resolution(place.landmark) if self._config.unknown_words == "resolve" else None
        if unknown and led is None:
            return "", never_trained_on(unknown)
        text = place.landmark if led is None else led.texts[0]
        try:
            self.words.encode([text])
        except PromptError as error:
            return "", str(error)
        return text, ""

    def _resolution(self, prompt: Prompt) -> Resolution | None:
        if not prompt.text or self._config.unknown_words != "resolve" or self.recognition.named(prompt) is not None:
            return None
        return self.words.resolution(self.split(prompt.text)[0])

    def taught_alone(self, batch: PromptBatch, prompts: Sequence[Prompt]) -> dict[int, TaughtObject]:
        """Rows that say nothing but the name of a taught object."""
        named = {row: self.recognition.named(prompt) for row, prompt in enumerate(prompts) if not prompt.shapes}
        return {row: one for row, one in named.items() if one is not None and not batch.has_previous[row]}

    def cannot_find(self, prompt: Prompt) -> str:
        """Why a prompt will find nothing on any picture; "" where it may find something.

        Raises:
            PromptError: The model cannot take its text.
        """
        if not prompt.text or prompt.reference is not None or self.recognition.named(prompt) is not None:
            return ""
        text = self._one_thing(prompt.text)
        self.words.encode([text])
        unknown = self.words.unknown(text)
        if not unknown or self._config.unknown_words == "use" or self._resolution(prompt) is not None:
            return ""
        return f"{never_trained_on(unknown)}: it will find nothing"

    def notes(self, prompts: Sequence[Prompt], others: Sequence[str]) -> list[str]:
        """Per prompt what a user should know about how it is understood; "" where it is taken at its word."""
        others = others or [""] * len(prompts)
        both = zip(map(self._said_of, prompts), others, strict=True)
        return ["; ".join(part for part in parts if part) for parts in both]

    def _said_of(self, prompt: Prompt) -> str:
        taught = self.recognition.named(prompt)
        if taught is None:
            text, place = self.split(prompt.text)
            if place is None or prompt.shapes or prompt.reference is not None or self.words.unknown(text):
                return ""
            unread = self._landmark(place)[1] if isinstance(place, Beside) else ""
            return f"{place.of('').strip()!r} is not looked at: {unread}" if unread else place.said(text)
        count = len(taught.views)
        return f"{taught.name!r} is the object that was taught ({count} {'view' if count == 1 else 'views'})"

    def label(
        self, prompts: Sequence[Prompt], unknown: Sequence[tuple[str, ...]], result: DecodeBatch
    ) -> list[tuple[str, float]]:
        """A label and its score for each row: what the prompt's own text asks for, else the vocabulary's best name.

        A name that is not sure enough is none: then the label is ``UNNAMED`` with score 0.
        """
        bank = self.words.bank() if self._config.name_prompts else None
        named = [("", 0.0)] * len(prompts)
        if bank is not None and named:
            least = self._backend.spec.postprocess.name_found
            named = [name if name[1] >= least else (UNNAMED, 0.0) for name in bank.name(result.embedding)]
        own = ["" if words else self._label(prompt) for prompt, words in zip(prompts, unknown, strict=True)]
        return [
            (text, float(presence)) if text else name
            for text, presence, name in zip(own, result.presence, named, strict=True)
        ]

    def _label(self, prompt: Prompt) -> str:
        whole = self._backend.spec.postprocess.text_slope is None or self.recognition.named(prompt) is not None
        return prompt.text if whole else asked_about(prompt.text)

    def forget_reads(self) -> None:
        """Frees what was read in reference pictures and of taught objects."""
        self._references.clear()
        self.recognition.forget_reads()
