# SPDX-License-Identifier: Apache-2.0
"""One picture and any number of prompts: encoded once, asked in one batched decode."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seem_ros.errors import FrameError, ModelError, PromptError
from seem_ros.perception.batched_decode import BatchedDecode
from seem_ros.perception.masks import compositing
from seem_ros.perception.masks.panoptic import panoptic as panoptic_rule
from seem_ros.perception.masks.source_resolution import enlarge_all, enlarge_mask
from seem_ros.perception.masks.upsample import Patch
from seem_ros.perception.objects.memory import ObjectMemory
from seem_ros.perception.pauses import Pauses
from seem_ros.perception.prediction import Prediction, interpret
from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.prompting.prompt_reader import PromptReader
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame, as_rgb
from seem_ros.perception.structures.letterbox import Geometry, fit
from seem_ros.perception.structures.prompts import Prompt, check_call
from seem_ros.perception.structures.segments import Answer, Segments
from seem_ros.runtime.interface import Backend, DecodeBatch, ModelSpec, PromptBatch, TextFeatures


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
        self._reader = PromptReader(backend, self._config, self.pauses, self._encoded)
        self._decode = BatchedDecode(backend, self._reader, self.pauses, self._encoded)

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
        self._reader.use(config)
        self._config = config

    @property
    def presence_threshold(self) -> float:
        """What counts as found."""
        own = self._config.presence_threshold
        return self.spec.postprocess.presence_found if own is None else own

    @property
    def objects(self) -> ObjectMemory | None:
        """Objects that were taught: a text that names one asks for that object, whatever the vocabulary says."""
        return self._reader.recognition.memory

    @objects.setter
    def objects(self, memory: ObjectMemory | None) -> None:
        self._reader.recognition.memory = memory
        self._reader.recognition.forget_reads()

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Names used for panoptic output and for prompts without text."""
        return self._reader.words.names

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
        return self._reader.words.change(names, is_thing)

    def encode(self, frame: Frame | np.ndarray | EncodedFrame) -> EncodedFrame:
        """Takes a picture, which is encoded when it is first asked about; the same ``Frame`` object only once.

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
        encode = partial(self._backend.encode_image, network_rgb, geometry.content_hw)
        return EncodedFrame(frame, geometry, encode, network_rgb)

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
        self._reader.check_texts(prompts)  # refused here, before anything is changed

    def segment(
        self, prompts: Sequence[Prompt], frame: Frame | np.ndarray | EncodedFrame | None = None, wide: bool = False
    ) -> Segments:
        """Answers prompts, each on its own: one more or less changes no other's mask.

        The one exception: small things are looked at twice (`closer_look`) where a call has at most eight of them.

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

        def most_present(texts: Sequence[str]) -> int:
            batch, _ = self.ask([Prompt(text=text) for text in texts], encoded.geometry)
            return int(np.argmax(self.decode(encoded, batch).presence))

        return self._reader.resolve(prompts, most_present)

    def ask(self, prompts: Sequence[Prompt], geometry: Geometry) -> tuple[PromptBatch, list[tuple[str, ...]]]:
        """Prompts as the model's tensors, and the unknown words of each. They have passed ``check``.

        A text that names a taught object asks with what that object looks like, and with no word.
        A text with unknown words is left out unless ``unknown_words`` is ``use``; the element is then without text, and
        asks nothing where that was all it had.
        """
        return self._reader.read(prompts, geometry)

    def text_features(self, text: str) -> TextFeatures:
        """One text's features, from the cache."""
        return self._reader.words.encode([self._reader.split(text)[0]])

    def decode(self, encoded: EncodedFrame, batch: PromptBatch, prompts: Sequence[Prompt] = ()) -> DecodeBatch:
        """One batched decode, without strays; rows whose presence the model does not say get their mask score.

        Args:
            encoded: The picture.
            batch: What is asked.
            prompts: The user's own on this picture, per row; masks that contradict them are corrected where the model's
                package asks for it (see `PostprocessConfig`).
        """
        return self._decode(encoded, batch, prompts, self._config)

    def cannot_find(self, prompt: Prompt) -> str:
        """See `PromptReader.cannot_find`."""
        return self._reader.cannot_find(prompt)

    @property
    def _edge_radius(self) -> int:
        return self.spec.postprocess.edge_radius if self._config.follow_edges else 0

    def enlarge_all(self, encoded: EncodedFrame, masks: Sequence[np.ndarray | None]) -> list[Patch | None]:
        """Masks, float32 [hm, wm] logits or None, at source resolution, for `paint`."""
        return enlarge_all(encoded, masks, self.spec.mask_stride, self._edge_radius, self.pauses)

    def label(
        self, prompts: Sequence[Prompt], unknown: Sequence[tuple[str, ...]], result: DecodeBatch
    ) -> list[tuple[str, float]]:
        """A label and its score for each row: the prompt's own text, else the best name of the vocabulary."""
        return self._reader.label(prompts, unknown, result)

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
            labels=self.label(prompts, unknown, result),
            notes=self._reader.notes(prompts, notes),
            threshold=self.presence_threshold,
            geometry=encoded.geometry,
            enlarge=lambda logits: enlarge_mask(encoded, logits, self.spec.mask_stride, self._edge_radius),
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
        bank = self._reader.words.bank() if vocabulary is None else self._reader.words.built(vocabulary)
        if bank is None:
            raise PromptError("panoptic output needs a vocabulary, and the model brings none: set one")
        encoded = self.on(frame)
        objects = self._backend.decode_objects(encoded.features)
        ours, rules = self._config, self.spec.postprocess
        score = rules.panoptic_score if ours.panoptic_score is None else ours.panoptic_score
        overlap = rules.panoptic_overlap if ours.panoptic_overlap is None else ours.panoptic_overlap
        logits = bank.logits(objects.embeddings)
        _, chosen = panoptic_rule(logits, objects.mask_logits, np.array(bank.is_thing), score, overlap)
        return compositing.compose_panoptic(
            chosen, bank, objects.mask_logits, lambda masks: self.enlarge_all(encoded, masks), encoded.frame, wide
        )

    def rest(self) -> None:
        """Gives back memory that only the next call will need; for when none is expected soon."""
        if self._newest is not None:
            self._newest.forget_features()
        self._backend.rest()

    def warm_up(self) -> None:
        """Runs every stage once, so that the first real frame is not slow."""
        height, width = self.spec.input_hw
        self.decode(self._encoded(Frame(np.zeros((height, width, 3), np.uint8))), PromptBatch.empty(self.spec, 1))
        self._reader.words.bank()

    def close(self) -> None:
        """Frees the backend."""
        self._newest = None
        self._reader.forget_reads()
        self._backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
