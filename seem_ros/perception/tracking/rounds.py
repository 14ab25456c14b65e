# SPDX-License-Identifier: Apache-2.0
"""Rounds on targets: the first one that starts them, further ones with what counts of the earlier, and one less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seem_ros.perception.prediction import Prediction
from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.prompting.prompt_encoder import ReferenceTokens
from seem_ros.perception.prompting.prompt_reader import UNNAMED
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Answer
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.following import follow
from seem_ros.perception.tracking.memory import anchor
from seem_ros.perception.tracking.observation import Seen, look, read_appearances, resolve_overlaps
from seem_ros.perception.tracking.target import Moment, Target


def first_round(
    segmenter: Segmenter, prompts: Sequence[Prompt], encoded: EncodedFrame
) -> tuple[list[Prediction], Seen]:
    """What prompts find in a picture, none of it a target yet.

    Args:
        segmenter: Decodes.
        prompts: They have passed ``check``.
        encoded: The picture.
    """
    prompts, notes = segmenter.resolve(prompts, encoded)
    batch, unknown = segmenter.ask(prompts, encoded.geometry)
    seen = look(segmenter, encoded, batch, prompts=prompts)
    predictions = segmenter.interpret(prompts, unknown, batch, seen.result, encoded, notes)
    seen = resolve_overlaps(seen, [i for i, one in enumerate(predictions) if one.found])
    predictions = [  # what gave all its pixels to another prompt's object is not found after all
        replace(one, found=one.found and place is not None, mask_score=float(score))
        for one, place, score in zip(predictions, seen.places, seen.scores, strict=True)
    ]
    return predictions, seen


def new_target(
    segmenter: Segmenter,
    id_and_value: tuple[int, int],
    prediction: Prediction,
    seen: Seen,
    row: int,
    reference: ReferenceTokens,
    config: TrackerConfig,
) -> Target:
    """A target for what a first round found.

    Args:
        segmenter: Knows the text's features.
        id_and_value: Its own for life.
        prediction: What was found.
        seen: The round's decode.
        row: Its row.
        reference: Its appearance there.
        config: The numbers.
    """
    target = Target(
        *id_and_value,
        prediction.prompt,
        seen.moment,
        reference,
        label=(prediction.label, prediction.label_score),
        first_seen_ns=seen.moment.stamp_ns,
    )
    if seen.batch.has_text[row]:
        target.text = segmenter.text_features(prediction.prompt.text)
    anchor(target, seen, row, reference, config)
    return target


def another_round(
    segmenter: Segmenter, target: Target, prompt: Prompt, encoded: EncodedFrame, config: TrackerConfig
) -> Answer:
    """Asks once more for a target; where something is found it remembers what it was, and is that from now on.

    Args:
        segmenter: Decodes.
        target: Changed only where something is found.
        prompt: Further clicks, boxes, text ...; it has passed ``check``.
        encoded: The picture that they were drawn on.
        config: The numbers.

    Raises:
        PromptError: The prompt cannot be asked about this picture together with the earlier ones; nothing was changed.
    """
    (prompt,), (note,) = segmenter.resolve([prompt], encoded)
    moment, size = Moment.of(encoded), encoded.geometry.source_hw
    same_frame = moment == target.round_moment
    asked_prompt = target.prompt.joined(prompt) if same_frame else prompt
    asked_prompt.check_image(*size, refining=True)
    batch, unknown = segmenter.ask([asked_prompt], encoded.geometry)
    if not prompt.is_positive and not prompt_encoder.asks_something(batch)[0]:
        # only negative parts: they are about the object that is known already
        if target.text is not None:
            prompt_encoder.put_text(batch, 0, target.text, 0)
        appearance = target.appearance(config, segmenter.spec.max_references)
        prompt_encoder.put_reference(batch, 0, appearance or target.reference)
    if same_frame and target.round is not None and target.round.geometry == encoded.geometry:
        prompt_encoder.put_round(batch, 0, target.round, prompt)
    elif target.place is not None and target.place.geometry_key == size and moment == target.last_seen:
        prompt_encoder.put_previous(batch, 0, target.place.mask_logits, target.place.normalised)
    seen = look(segmenter, encoded, batch, prompts=[asked_prompt])
    (prediction,) = segmenter.interpret([asked_prompt], unknown, batch, seen.result, encoded)
    joined = target.prompt.joined(prompt) if same_frame else _moved_on(target.prompt, prompt)
    if prediction.found:
        target.before_a_round()
        if prompt.text:
            (target.label,) = segmenter.label([Prompt(text=prompt.text)], unknown, seen.result)
            if batch.has_text[0]:
                target.text = segmenter.text_features(prompt.text)
        elif target.label[0] == UNNAMED:  # what is seen better may be known
            target.label = (prediction.label, prediction.label_score)
        target.prompt = joined
        anchor(target, seen, 0, read_appearances(segmenter, seen, [0])[0], config)
    # the target goes on under its own name, whatever this round alone would be called
    named = replace(prediction, prompt=joined, label=target.label[0], label_score=target.label[1])
    return named.answer(replace(prediction, note=note).message())


def one_round_back(segmenter: Segmenter, before: Target, encoded: EncodedFrame, config: TrackerConfig) -> Answer:
    """Brings what a target was before its newest round into a picture.

    Args:
        segmenter: Decodes, if it was not last looked for in this picture.
        before: What it was; changed.
        encoded: The picture.
        config: The numbers.
    """
    if Moment.of(encoded) != before.moment:
        known = before.place.geometry_key if before.place is not None else None
        if known != encoded.geometry.source_hw or encoded.frame.stamp_ns < before.moment.stamp_ns:
            before.forget_place(keep_hint=known == encoded.geometry.source_hw)
        follow(segmenter, encoded, [before], config)
    return Answer(
        before.prompt,
        before.mask_logits is not None,
        min(max(before.presence, 0.0), 1.0),
        before.mask_score if before.mask_logits is not None else 0.0,
        *before.label,
    )


def _moved_on(earlier: Prompt, later: Prompt) -> Prompt:
    """What a target was asked by after a round on another frame: clicks of the earlier frame mean nothing there."""
    if not later.is_positive and not earlier.text and earlier.reference is None:
        return earlier
    return replace(later, text=later.text or earlier.text, reference=later.reference or earlier.reference)
