# SPDX-License-Identifier: Apache-2.0
"""What a frame leaves in a target's memory: where the user pointed, where it was seen, and that it was not."""

from __future__ import annotations

import numpy as np

from seem_ros.perception.prompting.prompt_encoder import ReferenceTokens
from seem_ros.perception.structures.segments import Round
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.observation import Seen
from seem_ros.perception.tracking.target import Look, Target, TargetState

AREA_STEP = 0.1  # of a change of size that one frame is believed
# The same where the mask was cut: a neighbour must not become the usual size, and what does grow is let go in seconds.
AREA_STEP_HELD = 0.02
WHOLE = 0.8  # of the usual area: less is a part of the object, and says nothing about its size
SURE_AREA = 0.6  # of the usual area: less is too little to say where it surely is
SIMILARITY_STEP = 0.05  # of a change of the usual similarity that one frame is believed


def anchor(target: Target, seen: Seen, row: int, reference: ReferenceTokens, config: TrackerConfig) -> None:
    """A prompt said where the target is: its appearance was read anew there."""
    target.reference = reference
    target.bank.clear()
    target.likeness = target.likeness_of(seen.result.appearance_embedding[row])
    target.area = float(np.count_nonzero(seen.result.mask_logits[row] > 0))
    target.moment = target.round_moment = seen.moment
    target.round = Round(
        seen.result.memory_mask[row].copy(),
        seen.encoded.geometry,
        seen.batch.prior_box[row].copy(),
        int(seen.batch.prior_kind[row]),
    )
    target.look = Look.MEMORY
    target.sure, target.unproven, target.held_back, target.kept = None, 0, False, None
    remember_seen(target, seen, row, target.likeness, config)


def remember_seen(target: Target, seen: Seen, row: int, similarity: float, config: TrackerConfig) -> None:
    """A target was seen: its place, its state and, where that is sure, its appearance follow.

    Args:
        target: Who.
        seen: The frame's decode.
        row: Its row.
        similarity: Of the row with the target's memory.
        config: The numbers.
    """
    result = seen.result
    if target.state is not TargetState.TRACKED:
        target.unproven, target.against, target.found_at = target.to_prove(config), 0, target.frames_tracked
    target.state, target.frames_unseen = TargetState.TRACKED, 0
    target.presence = float(result.presence[row])
    target.frames_tracked += 1
    target.last_seen = seen.moment
    target.candidates.clear()
    target.hint = None
    # a copy: a backend may write its next answer over this one, and it would keep the whole batch alive
    target.mask_logits, target.mask_score = result.mask_logits[row].copy(), float(seen.scores[row])
    area = np.count_nonzero(target.mask_logits > 0)
    if area > WHOLE * target.area:  # less is a part of it
        target.area += (AREA_STEP_HELD if target.held_back else AREA_STEP) * (area - target.area)
    target.frames_since_bank += 1
    usual = similarity >= target.likeness - config.similarity_margin / 2
    sure = usual and not target.unproven and target.presence >= config.presence_bank
    if sure:
        target.likeness += SIMILARITY_STEP * (similarity - target.likeness)
        if config.bank_size and target.frames_since_bank >= config.bank_every:
            target.remember(result.appearance_tokens[row], result.appearance_embedding[row], config)
    target.place = seen.places[row]
    if target.sure is None or (sure and area > SURE_AREA * target.area):
        target.sure = target.place


def remember_unseen(target: Target, config: TrackerConfig) -> None:
    """A target was looked for, or let pass, and not seen."""
    target.frames_unseen += 1
    target.mask_logits = None
    if target.frames_unseen >= config.lost_after:
        target.state = TargetState.LOST
    elif target.frames_unseen >= config.occlude_after:
        target.state = TargetState.OCCLUDED
