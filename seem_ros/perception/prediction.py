# SPDX-License-Identifier: Apache-2.0
"""What the model says about one prompt, before anything is painted: the only place that knows what "found" means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from seem_ros.perception.masks.upsample import Patch, mask_scores
from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.prompting.vocabulary import never_trained_on
from seem_ros.perception.structures.letterbox import Geometry
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Answer, Round, Segment
from seem_ros.runtime.interface import DecodeBatch, PromptBatch


@dataclass(frozen=True, eq=False)
class Prediction:
    """One prompt's answer, on its own: other prompts take nothing from its mask.

    Attributes:
        prompt: What was asked.
        asked: The model was asked; False where all that was said are words that it never saw.
        found: It was asked, its presence reaches ``threshold``, and it has a mask.
        presence: How sure the model is that it is there, 0..1; 0 where it was not asked.
        mask_score: Mean mask probability inside, 0..1; 0 without a mask.
        label, label_score: What it is and how sure, 0..1.
        unknown_words: Words of the text that the model was never trained on.
        note: How the prompt is understood, where it is not taken at its word.
        threshold: The presence that was needed.
        mask_logits: float32 [hm, wm] at the model's mask stride.
        memory_mask: float32 [h4, w4] logits at stride 4.
        prior_box: float32 [4], where it was asked for, normalised; see `PromptBatch`.
        prior_kind: Its kind.
        geometry: Of the picture.
    """

    prompt: Prompt
    asked: bool
    found: bool
    presence: float
    mask_score: float
    label: str
    label_score: float
    unknown_words: tuple[str, ...]
    note: str
    threshold: float
    mask_logits: np.ndarray = field(repr=False)
    memory_mask: np.ndarray = field(repr=False)
    prior_box: np.ndarray = field(repr=False)
    prior_kind: int
    geometry: Geometry
    _enlarge: Callable[[np.ndarray], Patch | None] = field(repr=False)

    @cached_property
    def mask(self) -> np.ndarray:
        """Bool [H, W], pixels of the source image; also where the presence says that nothing was found."""
        mask = np.zeros(self.geometry.source_hw, np.bool_)
        patch = self._enlarge(self.mask_logits) if self.asked else None
        if patch is not None:
            mask[patch.window] = patch.logits > 0
        return mask

    @property
    def round(self) -> Round | None:
        """What a further round on the same picture needs; None where nothing was asked."""
        if not self.asked:
            return None
        return Round(self.memory_mask, self.geometry, self.prior_box.copy(), self.prior_kind)

    def message(self, painted: bool = True) -> str:
        """What to tell the user; "" where it simply was found.

        Args:
            painted: It has pixels in the label image.
        """
        parts = [self.note] if self.note else []
        if self.unknown_words:
            verdict = "" if self.asked else ", so nothing was looked for"
            parts.append(f"{never_trained_on(self.unknown_words)}{verdict}")
        if self.asked and not self.found:
            what = f" for {self.prompt.text!r}" if self.prompt.text else ""
            parts.append(f"nothing found{what}: best presence {self.presence:.2f}, {self.threshold:.2f} needed")
        elif self.found and not painted:
            parts.append("found, but other segments that are surer have all its pixels")
        return "; ".join(parts)

    def answer(self, message: str, segment: Segment | None = None, keep_round: bool = False) -> Answer:
        """This prediction for the user: what was not found has no score and no name."""
        return Answer(
            prompt=self.prompt,
            found=self.found,
            presence=self.presence,
            mask_score=self.mask_score if self.found else 0.0,
            label=self.label if self.found else "",
            label_score=self.label_score if self.found else 0.0,
            unknown_words=self.unknown_words,
            message=message,
            segment=segment,
            round=self.round if keep_round else None,
        )


def interpret(
    prompts: Sequence[Prompt],
    unknown: Sequence[tuple[str, ...]],
    batch: PromptBatch,
    result: DecodeBatch,
    labels: Sequence[tuple[str, float]],
    notes: Sequence[str],
    threshold: float,
    geometry: Geometry,
    enlarge: Callable[[np.ndarray], Patch | None],
) -> list[Prediction]:
    """One prediction per row of a decode.

    Args:
        prompts: Per row.
        unknown: Words of each that the model never saw.
        batch: What the model was asked.
        result: What it answered.
        labels: A name and its score per row.
        notes: What a user should know about how each is understood, or "".
        threshold: Presence from which something counts as found.
        geometry: Of the picture.
        enlarge: Brings one row's mask to source resolution.
    """
    asked, scores = prompt_encoder.asks_something(batch), mask_scores(result.mask_logits)
    return [
        Prediction(
            prompt=prompt,
            asked=bool(asked[i]),
            found=bool(asked[i] and result.presence[i] >= threshold and scores[i] > 0),
            presence=float(result.presence[i]) if asked[i] else 0.0,
            mask_score=float(scores[i]),
            label=labels[i][0],
            label_score=min(max(labels[i][1], 0.0), 1.0),
            unknown_words=unknown[i],
            note=notes[i],
            threshold=threshold,
            mask_logits=result.mask_logits[i],
            memory_mask=result.memory_mask[i],
            prior_box=batch.prior_box[i],
            prior_kind=int(batch.prior_kind[i]),
            geometry=geometry,
            _enlarge=enlarge,
        )
        for i, prompt in enumerate(prompts)
    ]
