# SPDX-License-Identifier: Apache-2.0
"""One picture and any number of prompts: encoded once, asked in one batched decode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seem_ros.errors import FrameError, ModelError, PromptError
from seem_ros.perception.masks import compositing
from seem_ros.perception.masks.grabcut import all_obeyed
from seem_ros.perception.masks.guided_filter import enlarge_along_edges
from seem_ros.perception.masks.panoptic import panoptic as panoptic_rule
from seem_ros.perception.masks.upsample import Patch, drop_strays, enlarge, mask_scores, shrinking
from seem_ros.perception.objects.memory import ObjectMemory
from seem_ros.perception.objects.recognition import Recognition
from seem_ros.perception.objects.taught import TaughtObject
from seem_ros.perception.pauses import Pauses
from seem_ros.perception.prediction import Prediction, interpret
from seem_ros.perception.prompting import grounding, prompt_encoder
from seem_ros.perception.prompting.naming import Naming
from seem_ros.perception.prompting.reference_encoder import ReferenceCache
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame, as_rgb
from seem_ros.perception.structures.letterbox import Geometry, fit
from seem_ros.perception.structures.prompts import Prompt, check_call
from seem_ros.perception.structures.segments import Answer, Segments
from seem_ros.runtime.interface import Backend, DecodeBatch, ModelSpec, PromptBatch, TextFeatures

_PROMPTS_AT_ONCE = 16  # decoded between two pauses


class Segmenter:
    """Asks a model about pictures. Not thread-safe: one owner thread.

    Examples:
        >>> with Segmenter.load("builtin") as segmenter:
        ...     segmenter.encode(Frame(rgb))
        ...     result = segmenter.segment([Prompt(text="the red mug"), Prompt(clicks=(Click(210, 96),))])
    """

    def __init__(self, backend: Backend, config: SegmenterConfig | None = None) -> None:
        self._backend = backend
        self._config = config or SegmenterConfig()
        self._newest: EncodedFrame | None = None
        self.pauses = Pauses()
        self._references = ReferenceCache(backend, self._encoded)
        self._words = Naming(backend, self._config.max_texts_cached, self.pauses)
        self._recognition = Recognition(backend, self._encoded)

    @classmethod
    def load(
        cls,
        package: str | Path = "builtin",
        backend: str = "auto",
        config: SegmenterConfig | None = None,
        **options: Any,
    ) -> Segmenter:
        """Opens a model package by name or folder.

        Raises:
            PackageError, BackendError: The package or the backend cannot be used.
        """
        from seem_ros.runtime import load_backend

        return cls(load_backend(package, backend=backend, **options), config)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        size: tuple[int, int] | None = None,
        config: SegmenterConfig | None = None,
        **options: Any,
    ) -> Segmenter:
        """Opens an official (or own) checkpoint in torch; needs the ``torch`` extra.

        Args:
            path: The checkpoint file.
            size: Height and width of the network input, pixels; default the backend's.
            config: Of the segmenter.
            options: For the torch backend.

        Raises:
            CheckpointError, BackendError: The file or the backend cannot be used.
        """
        from seem_ros.runtime.backends.torch_backend import TorchBackend

        if size is not None:
            options["input_hw"] = size
        return cls(TorchBackend.from_checkpoint(path, **options), config)

    @property
    def spec(self) -> ModelSpec:
        """Sizes and rules of the model."""
        return self._backend.spec

    @property
    def backend(self) -> Backend:
        """What runs the model."""
        return self._backend

    @property
    def config(self) -> SegmenterConfig:
        """Changeable at any time, as a whole."""
        return self._config

    @config.setter
    def config(self, config: SegmenterConfig) -> None:
        if config.max_texts_cached != self._config.max_texts_cached:
            self._words.keep(config.max_texts_cached)
        self._config = config

    @property
    def presence_threshold(self) -> float:
        """What counts as found."""
        own = self._config.presence_threshold
        return self.spec.postprocess.presence_found if own is None else own

    @property
    def objects(self) -> ObjectMemory | None:
        """Objects that were taught: a text that names one asks for that object, whatever the vocabulary says."""
        return self._recognition.memory

    @objects.setter
    def objects(self, memory: ObjectMemory | None) -> None:
        self._recognition.memory = memory
        self._recognition.forget_reads()

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Names used for panoptic output and for prompts without text."""
        return self._words.names

    def set_vocabulary(self, names: Sequence[str], is_thing: Sequence[bool] | None = None) -> tuple[str, ...]:
        """Changes the vocabulary; an empty list goes back to the model's own.

        Args:
            names: Class names.
            is_thing: One flag per name; default: as the model's own vocabulary says, else a thing.

        Returns:
            Words the model was never trained on.

        Raises:
            PromptError: See ``Vocabulary.build``; the old vocabulary stays.
        """
        return self._words.change(names, is_thing)

    def encode(self, frame: Frame | np.ndarray | EncodedFrame) -> EncodedFrame:
        """Encodes a picture; asking again with the same ``Frame`` object costs nothing.

        Raises:
            FrameError: The picture cannot be used.
        """
        if isinstance(frame, EncodedFrame):
            return frame
        if not isinstance(frame, Frame):
            frame = Frame(as_rgb(frame))
        if self._newest is None or self._newest.frame is not frame:
            self._newest = self._encoded(frame)
        return self._newest

    def _encoded(self, frame: Frame) -> EncodedFrame:
        geometry = fit((frame.height, frame.width), tuple(self.spec.input_hw), self.spec.resize)
        network_rgb = geometry.shrink(frame.rgb)
        features = self._backend.encode_image(network_rgb, geometry.content_hw)
        return EncodedFrame(frame, geometry, features, network_rgb)

    def forget(self) -> None:
        """Frees the newest picture."""
        self._newest = None

    def on(self, frame: Frame | np.ndarray | EncodedFrame | None) -> EncodedFrame:
        """The given picture, or the newest encoded one.

        Raises:
            FrameError: There is none, or it cannot be used.
        """
        if frame is not None:
            return self.encode(frame)
        if self._newest is None:
            raise FrameError("there is no picture yet: encode one first")
        return self._newest

    def check(self, prompts: Sequence[Prompt], height: int, width: int, refining: bool = False) -> None:
        """Refuses prompts that cannot be asked about a picture of this size; changes nothing.

        Raises:
            PromptError: Says which and why.
        """
        for prompt in prompts:
            if not isinstance(prompt, Prompt):
                raise PromptError(f"a prompt must be a Prompt, got {type(prompt).__name__}")
            prompt.check_image(height, width, refining)
        check_call(prompts)
        texts = [prompt.text for prompt in prompts if prompt.text and self._recognition.named(prompt) is None]
        if texts:
            self._words.encode(texts)  # a text the model cannot take is refused here, before anything is changed

    def segment(
        self, prompts: Sequence[Prompt], frame: Frame | np.ndarray | EncodedFrame | None = None, wide: bool = False
    ) -> Segments:
        """Answers prompts, each on its own: one more or less changes no other's mask.

        Where masks overlap a pixel goes to the better score. Prompts that turn out to mean one object share its
        segment.

        Args:
            prompts: Any number.
            frame: The picture; default the newest encoded one.
            wide: A uint16 label image also for fewer than 256 prompts.

        Raises:
            PromptError: A prompt cannot be asked about this picture; nothing was done.
            FrameError: There is no picture.
        """
        prompts = list(prompts)
        for prompt in prompts:
            if isinstance(prompt, Prompt) and isinstance(frame, Frame):
                prompt.check_image(frame.height, frame.width)  # before the picture is encoded in vain
        encoded = self.on(frame)
        return self._painted(self.predict(prompts, encoded), encoded, wide)

    def predict(
        self,
        prompts: Sequence[Prompt],
        frame: Frame | np.ndarray | EncodedFrame | None = None,
        previous: Sequence[np.ndarray | None] = (),
    ) -> list[Prediction]:
        """Answers prompts, each on its own, with masks that nothing else was painted over.

        Args:
            prompts: Any number.
            frame: The picture; default the newest encoded one.
            previous: Per prompt the ``memory_mask`` of an earlier prediction for it, or None.

        Raises:
            PromptError: A prompt cannot be asked about this picture; nothing was done.
            FrameError: There is no picture.
        """
        prompts = list(prompts)
        encoded = self.on(frame)
        self.check(prompts, *encoded.geometry.source_hw)
        prompts, notes = self.resolve(prompts, encoded)
        batch, unknown = self.ask(prompts, encoded.geometry)
        for row, memory in enumerate(previous):
            if memory is not None:
                prompt_encoder.put_previous(batch, row, memory)
        return self.interpret(prompts, unknown, batch, self.decode(encoded, batch, prompts), encoded, notes)

    def refine(
        self, answer: Answer, more: Prompt, frame: Frame | np.ndarray | EncodedFrame | None = None, wide: bool = False
    ) -> Segments:
        """A further round on the same picture: everything said so far, with the last mask as memory.

        Raises:
            PromptError: The further prompt cannot be asked, or the picture has another size.
        """
        encoded = self.on(frame)
        self.check([more], *encoded.geometry.source_hw, refining=True)
        (more,), notes = self.resolve([more], encoded)
        prompt = answer.prompt.joined(more)
        self.check([prompt], *encoded.geometry.source_hw)
        batch, unknown = self.ask([prompt], encoded.geometry)
        if answer.round is not None and answer.round.geometry == encoded.geometry:
            prompt_encoder.put_round(batch, 0, answer.round, more)
        result = self.decode(encoded, batch, [prompt])
        return self._painted(self.interpret([prompt], unknown, batch, result, encoded, notes), encoded, wide)

    def resolve(self, prompts: Sequence[Prompt], encoded: EncodedFrame) -> tuple[list[Prompt], list[str]]:
        """Texts with unknown words led to the model's own names, where ``unknown_words`` is ``resolve``.

        Of several names that a broader word leads to, the one that the picture shows most surely is taken.

        Args:
            prompts: They have passed ``check``.
            encoded: The picture.

        Returns:
            The prompts with other texts, and for each what to tell the user ("" where it stayed).
        """
        prompts, notes = list(prompts), [""] * len(prompts)
        if self._config.unknown_words != "resolve":
            return prompts, notes
        for i, prompt in enumerate(prompts):
            found = self._words.resolution(prompt.text) if prompt.text else None
            if found is None or self._recognition.named(prompt) is not None:
                continue
            chosen = found.texts[0]
            if len(found.texts) > 1:
                asked = [Prompt(text=text) for text in found.texts]
                batch, _ = self.ask(asked, encoded.geometry)
                chosen = found.texts[int(np.argmax(self.decode(encoded, batch).presence))]
            prompts[i], notes[i] = replace(prompt, text=chosen), found.said(chosen)
        return prompts, notes

    def ask(self, prompts: Sequence[Prompt], geometry: Geometry) -> tuple[PromptBatch, list[tuple[str, ...]]]:
        """Prompts as the model's tensors, and the unknown words of each. They have passed ``check``.

        A text that names a taught object asks with what that object looks like, and with no word.
        A text with unknown words is left out unless ``unknown_words`` is ``use``; the element is then without text, and
        asks nothing where that was all it had.
        """
        batch = PromptBatch.empty(self.spec, len(prompts))
        taught = [self._recognition.named(prompt) for prompt in prompts]
        unknown = [
            () if one is not None else self._words.unknown(prompt.text)
            for prompt, one in zip(prompts, taught, strict=True)
        ]
        usable = [
            i
            for i, prompt in enumerate(prompts)
            if prompt.text and taught[i] is None and (not unknown[i] or self._config.unknown_words == "use")
        ]
        if usable:
            texts = self._words.encode([prompts[i].text for i in usable])
            for row, i in enumerate(usable):
                prompt_encoder.put_text(batch, i, texts, row)
        for i, prompt in enumerate(prompts):
            self.pauses()
            known = taught[i]
            if known is not None:
                prompt_encoder.put_reference(batch, i, self._recognition.reference(known))
            if prompt.reference is not None:
                limit = self._config.max_references_cached
                prompt_encoder.put_reference(batch, i, self._references.read(prompt.reference, limit))
            prompt_encoder.put_shapes(batch, i, prompt.shapes, geometry)
        return batch, unknown

    def text_features(self, text: str) -> TextFeatures:
        """One text's features, from the cache."""
        return self._words.encode([text])

    def decode(self, encoded: EncodedFrame, batch: PromptBatch, prompts: Sequence[Prompt] = ()) -> DecodeBatch:
        """One batched decode, without strays; rows whose presence the model does not say get their mask score.

        Args:
            encoded: The picture.
            batch: What is asked.
            prompts: The user's own on this picture, per row; masks that contradict them are corrected where the model's
                package asks for it (see `PostprocessConfig`).
        """
        texts = np.flatnonzero(grounding.text_alone(batch))
        rule = self._words.text_rule() if len(texts) else None
        if rule is not None:
            own = self._backend.decode(encoded.features, batch.select(texts))
            objects = self._backend.decode_objects(encoded.features)
            batch, sure = rule.point(batch, texts, own, objects)
        taught = self._taught_alone(batch, prompts)
        if taught:
            batch, recognised = self._recognition.point(encoded, batch, taught)
        parts = []
        for start in range(0, max(len(batch), 1), _PROMPTS_AT_ONCE):
            self.pauses()
            some = batch.select(np.arange(start, min(start + _PROMPTS_AT_ONCE, len(batch))))
            parts.append(self._backend.decode(encoded.features, some))
        result = parts[0] if len(parts) == 1 else DecodeBatch.concatenate(parts)
        if rule is not None:
            result.presence[texts] = sure
        if taught:
            result.presence[list(taught)] = recognised
        fine, coarse = result.mask_logits, result.memory_mask
        if self._config.drop_strays and self.spec.has_prior:
            places = prompt_encoder.anchors(batch, fine.shape[1:])
            fine, coarse = drop_strays(fine, coarse, places, self._config.min_part)
        rules = self.spec.postprocess
        if prompts and (rules.click_tolerance_px is not None or rules.box_agreement):
            fine, coarse = all_obeyed(fine, coarse, prompts, encoded, self.spec.mask_stride, rules, self.pauses)
        presence = np.clip(result.presence, 0.0, 1.0)
        silent = ~np.isfinite(presence)
        if silent.any():  # a model without presence head always answers something: how sure the outline is
            presence[silent] = mask_scores(fine[silent])
        return replace(result, mask_logits=fine, memory_mask=coarse, presence=presence.astype(np.float32))

    def _taught_alone(self, batch: PromptBatch, prompts: Sequence[Prompt]) -> dict[int, TaughtObject]:
        """Rows that say nothing but the name of a taught object."""
        named = {row: self._recognition.named(prompt) for row, prompt in enumerate(prompts) if not prompt.shapes}
        return {row: one for row, one in named.items() if one is not None and not batch.has_previous[row]}

    def cannot_find(self, prompt: Prompt) -> str:
        """Why a prompt will find nothing on any picture; "" where it may find something.

        Raises:
            PromptError: The model cannot take its text.
        """
        if not prompt.text or prompt.reference is not None or self._recognition.named(prompt) is not None:
            return ""
        self._words.encode([prompt.text])
        unknown = self._words.unknown(prompt.text)
        resolves = self._config.unknown_words == "resolve" and self._words.resolution(prompt.text) is not None
        if not unknown or resolves or self._config.unknown_words == "use":
            return ""
        return f"the model was never trained on {', '.join(repr(word) for word in unknown)}: it will find nothing"

    def said_of(self, prompt: Prompt) -> str:
        """What a user should know about how a prompt is understood; "" where it is taken at its word."""
        taught = self._recognition.named(prompt)
        if taught is None:
            return ""
        count = len(taught.views)
        return f"{taught.name!r} is the object that was taught ({count} {'view' if count == 1 else 'views'})"

    def enlarge_all(self, encoded: EncodedFrame, masks: Sequence[np.ndarray | None]) -> list[Patch | None]:
        """Masks, each as for `enlarge`, for `paint`.

        Of large pictures, and of very many masks, at a part of the source's resolution, so that a call stays short.
        """
        shrink = shrinking(masks, encoded.geometry, self.spec.mask_stride)
        patches = []
        for logits in masks:
            self.pauses()
            patches.append(None if logits is None else self.enlarge(encoded, logits, shrink))
        return patches

    def enlarge(self, encoded: EncodedFrame, logits: np.ndarray, shrink: int = 1) -> Patch | None:
        """One mask, float32 [hm, wm] logits, at source resolution, along the picture's edges if the model wants it.

        Args:
            encoded: The picture.
            logits: The mask.
            shrink: Make it at so many times less than the source's resolution, see `Patch.scale`.
        """
        geometry, source_rgb = encoded.shrunk(shrink)
        radius = self.spec.postprocess.edge_radius if self._config.follow_edges else 0
        if not radius:
            patch = enlarge(logits, geometry, self.spec.mask_stride)
        else:
            patch = enlarge_along_edges(
                logits, geometry, self.spec.mask_stride, encoded.network_rgb, source_rgb, radius
            )
        return patch if patch is None or shrink == 1 else replace(patch, scale=shrink)

    def label(
        self, prompts: Sequence[Prompt], unknown: Sequence[tuple[str, ...]], result: DecodeBatch
    ) -> list[tuple[str, float]]:
        """A label and its score for each row: the prompt's own text, else the best name of the vocabulary."""
        bank = self._words.bank() if self._config.name_prompts else None
        named = bank.name(result.embedding) if bank is not None and len(prompts) else [("", 0.0)] * len(prompts)
        own = [prompt.text if not words else "" for prompt, words in zip(prompts, unknown, strict=True)]
        return [
            (text, float(presence)) if text else name
            for text, presence, name in zip(own, result.presence, named, strict=True)
        ]

    def interpret(
        self,
        prompts: Sequence[Prompt],
        unknown: Sequence[tuple[str, ...]],
        batch: PromptBatch,
        result: DecodeBatch,
        encoded: EncodedFrame,
        notes: Sequence[str] = (),
    ) -> list[Prediction]:
        """What a decode says about its prompts: which are found, and what they are called."""
        return interpret(
            prompts,
            unknown,
            batch,
            result,
            self.label(prompts, unknown, result),
            [
                "; ".join(part for part in (self.said_of(prompt), note) if part)
                for prompt, note in zip(prompts, notes or [""] * len(prompts), strict=True)
            ],
            self.presence_threshold,
            encoded.geometry,
            lambda logits: self.enlarge(encoded, logits),
        )

    def _painted(self, predictions: Sequence[Prediction], encoded: EncodedFrame, wide: bool) -> Segments:
        return compositing.compose_answers(
            predictions, lambda masks: self.enlarge_all(encoded, masks), encoded.frame, wide
        )

    def panoptic(
        self,
        vocabulary: Sequence[str] | None = None,
        frame: Frame | np.ndarray | EncodedFrame | None = None,
        wide: bool = False,
    ) -> Segments:
        """Everything in the picture, named from a vocabulary.

        Args:
            vocabulary: Names for this call; default the segmenter's.
            frame: The picture; default the newest encoded one.
            wide: A uint16 label image.

        Raises:
            PromptError: There is no vocabulary, or it cannot be used.
            FrameError: There is no picture.
            ModelError: The model has no object queries.
        """
        if not self.spec.object_queries:
            raise ModelError(f"the model {self.spec.name} has no object queries, so there is no panoptic output")
        bank = self._words.bank() if vocabulary is None else self._words.built(vocabulary)
        if bank is None:
            raise PromptError("panoptic output needs a vocabulary, and the model brings none: set one")
        encoded = self.on(frame)
        objects = self._backend.decode_objects(encoded.features)
        own = self._config.panoptic_score
        threshold = self.spec.postprocess.panoptic_score if own is None else own
        logits = bank.logits(objects.embeddings)
        _, chosen = panoptic_rule(
            logits, objects.mask_logits, np.array(bank.is_thing), threshold, self._config.panoptic_overlap
        )
        merged = [objects.mask_logits[list(one.queries)].max(axis=0) for one in chosen]
        patches = self.enlarge_all(encoded, merged)
        return compositing.compose_panoptic(chosen, bank, merged, patches, encoded.frame, wide)

    def warm_up(self) -> None:
        """Runs every stage once, so that the first real frame is not slow."""
        height, width = self.spec.input_hw
        self.decode(self._encoded(Frame(np.zeros((height, width, 3), np.uint8))), PromptBatch.empty(self.spec, 1))
        self._words.bank()

    def close(self) -> None:
        """Frees the backend."""
        self._newest = None
        self._references.clear()
        self._recognition.forget_reads()
        self._backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
