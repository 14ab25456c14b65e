# SPDX-License-Identifier: Apache-2.0
"""Prompts' tensors to the model's answers: decoded in pieces, then put right by what the prompts themselves say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from seem_ros.perception.closer_look import agreed, window_of
from seem_ros.perception.masks.grabcut import all_obeyed
from seem_ros.perception.masks.upsample import drop_strays, mask_scores
from seem_ros.perception.pauses import Pauses
from seem_ros.perception.prompting import grounding, prompt_encoder
from seem_ros.perception.prompting.prompt_reader import PromptReader
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.runtime.interface import Backend, DecodeBatch, PromptBatch

_PROMPTS_AT_ONCE = 16  # decoded between two pauses
# Each is an encode: a detector's 64 boxes on small things would take 8 s on two cores with AVX2, and 1.2 with one look.
_CLOSER_LOOKS = 8
_ROUNDS = 3  # before the last one, at most: each is a decode, and more than five clicks were not trained


class BatchedDecode:
    """Asks the model; see `Segmenter.decode`.

    Args:
        backend: The model.
        reader: What the prompts mean.
        pauses: Others are let in between pieces.
        encode: Encodes a part of a picture.
    """

    def __init__(
        self, backend: Backend, reader: PromptReader, pauses: Pauses, encode: Callable[[Frame], EncodedFrame]
    ) -> None:
        self._backend, self._reader, self._pauses, self._encode = backend, reader, pauses, encode

    def __call__(
        self, encoded: EncodedFrame, batch: PromptBatch, prompts: Sequence[Prompt], config: SegmenterConfig
    ) -> DecodeBatch:
        """One batched decode, without strays; rows whose presence the model does not say get their mask score."""
        result = self._look(encoded, batch, prompts, config)
        return self._looked_closer(encoded, prompts, result, config)

    def _look(
        self, encoded: EncodedFrame, batch: PromptBatch, prompts: Sequence[Prompt], config: SegmenterConfig
    ) -> DecodeBatch:
        texts = np.flatnonzero(grounding.text_alone(batch))
        rule = self._reader.words.text_rule() if len(texts) else None
        if rule is not None:
            own = self._backend.decode(encoded.features, batch.select(texts))
            objects = self._backend.decode_objects(encoded.features)
            places = self._reader.places(prompts)
            batch, sure = rule.point(batch, texts, own, objects, places, self._reader.landmarks(places))
        taught = self._reader.taught_alone(batch, prompts)
        if taught:
            batch, recognised = self._reader.recognition.point(encoded, batch, taught)
        result = self._in_pieces(encoded, self._with_rounds(encoded, batch, prompts, config))
        if rule is not None:
            result.presence[texts] = sure
        if taught:
            result.presence[list(taught)] = recognised
        return self._put_right(encoded, batch, prompts, result, config)

    def _looked_closer(
        self, encoded: EncodedFrame, prompts: Sequence[Prompt], result: DecodeBatch, config: SegmenterConfig
    ) -> DecodeBatch:
        """The result, small things as a closer look and the first one say together; see `closer_look`.

        All or none of a call's, so that their order does not count.
        """
        spec, gain = self._backend.spec, self._backend.spec.postprocess.closer_look
        if not gain or not config.look_closer:
            return result
        windows = {}
        for row, prompt in enumerate(prompts):
            window = window_of(prompt, result.mask_logits[row], encoded.geometry, spec.mask_stride, gain)
            if window is not None:
                windows[row] = window
        if not 0 < len(windows) <= _CLOSER_LOOKS:
            return result
        fine, coarse = result.mask_logits.copy(), result.memory_mask.copy()
        for row, window in windows.items():
            self._pauses()
            nearer, asked = self._encode(window.cut(encoded.frame)), [window.inside(prompts[row])]
            batch, _ = self._reader.read(asked, nearer.geometry)
            (closer,) = self._look(nearer, batch, asked, config).mask_logits
            both = agreed(fine[row], closer, window, encoded.geometry, nearer.geometry, spec.mask_stride)
            if not (closer > 0).any() or not (both > 0).any():  # they mean two things: the first saw the whole picture
                continue
            fine[row] = both
            coarse[row] = cv2.resize(both, coarse.shape[:0:-1], interpolation=cv2.INTER_AREA)
        return replace(result, mask_logits=fine, memory_mask=coarse)

    def _with_rounds(
        self, encoded: EncodedFrame, batch: PromptBatch, prompts: Sequence[Prompt], config: SegmenterConfig
    ) -> PromptBatch:
        """The batch, in which many clicks of one prompt remember what all but the last of them had shown.

        A user who clicks looks at the mask between the clicks, and that is how the model was trained. Clicks that come
        all at once are asked in the same way, where the package asks for it (`PostprocessConfig.clicks_at_once`).
        """
        few = self._backend.spec.postprocess.clicks_at_once
        rows = [
            row
            for row, prompt in enumerate(prompts)
            if 0 < few < len(prompt.clicks) and prompt.has_only(prompt.clicks) and not batch.has_previous[row]
        ]
        memory: dict[int, np.ndarray] = {}
        for left in range(_ROUNDS, 0, -1):  # clicks that are not yet said
            earlier = {row: prompts[row].clicks[:-left] for row in rows}
            asked = [row for row, said in earlier.items() if len(said) >= few and any(not c.negative for c in said)]
            if not asked:
                continue
            some, _ = self._reader.read([Prompt(clicks=earlier[row]) for row in asked], encoded.geometry)
            for place, row in enumerate(asked):
                if row in memory:
                    prompt_encoder.put_previous(some, place, memory[row])
            shown = self._put_right(encoded, some, (), self._in_pieces(encoded, some), config).memory_mask
            memory.update(zip(asked, shown, strict=True))
        if memory:
            batch = batch.select(np.arange(len(batch)))
            for row, mask in memory.items():
                prompt_encoder.put_previous(batch, row, mask)
        return batch

    def _in_pieces(self, encoded: EncodedFrame, batch: PromptBatch) -> DecodeBatch:
        parts = []
        for start in range(0, max(len(batch), 1), _PROMPTS_AT_ONCE):
            self._pauses()
            some = batch.select(np.arange(start, min(start + _PROMPTS_AT_ONCE, len(batch))))
            parts.append(self._backend.decode(encoded.features, some))
        return parts[0] if len(parts) == 1 else DecodeBatch.concatenate(parts)

    def _put_right(
        self,
        encoded: EncodedFrame,
        batch: PromptBatch,
        prompts: Sequence[Prompt],
        result: DecodeBatch,
        config: SegmenterConfig,
    ) -> DecodeBatch:
        spec, rules = self._backend.spec, self._backend.spec.postprocess
        fine, coarse = result.mask_logits, result.memory_mask
        if config.drop_strays and spec.has_prior:
            places = prompt_encoder.anchors(batch, fine.shape[1:])
            fine, coarse = drop_strays(fine, coarse, places, config.min_part)
        if prompts and (rules.click_tolerance_px is not None or rules.box_agreement or rules.box_vote):
            fine, coarse = all_obeyed(fine, coarse, prompts, encoded, spec.mask_stride, rules, self._pauses)
        presence = np.clip(result.presence, 0.0, 1.0)
        silent = ~np.isfinite(presence)
        if silent.any():  # a model without presence head always answers something: how sure the outline is
            presence[silent] = mask_scores(fine[silent])
        return replace(result, mask_logits=fine, memory_mask=coarse, presence=presence.astype(np.float32))
