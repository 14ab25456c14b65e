# SPDX-License-Identifier: Apache-2.0
"""Finds that have to prove themselves against the user's own reference.

A target that comes back into sight may be taken for an object beside it, and then its memory holds it there. So until a
find is proven, the first reference alone, without any memory, is asked beside it, in one decode for all such targets:

1. A find is refused where the reference answers elsewhere and what it answers looks at least as right.
2. A find is proven when the reference agreed in ``prove_after`` pictures. Until then nothing is learnt from it. A
   target that stays half hidden is never proven; it is asked for seldom after a while, because it costs a decode.
3. A find that the reference contradicts in ``doubt_after`` pictures in a row is taken back: the target is out of sight,
   and was last seen where it was before the find.

An answer that was there already when the target was last surely seen, but not in its place, is a look-alike and does
not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.tracking.association import Claim, overlap, was_there_before
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.observation import look
from seem_ros.perception.tracking.target import Look, Target, TargetState
from seem_ros.runtime.interface import PromptBatch

SLACK = 0.02  # of likeness: equally right
SOON, SELDOM = 10, 5  # the reference is asked in each of the first frames after a find, then in every n-th only


def confirmed(
    segmenter: Segmenter,
    encoded: EncodedFrame,
    targets: Sequence[Target],
    claims: Sequence[Claim | None],
    accepted: Sequence[bool],
    looks: Sequence[Look],
    config: TrackerConfig,
) -> list[bool]:
    """Which accepted claims stay; counts in the targets for and against their finds.

    Args:
        segmenter: Decodes once more if a claim is a find or not proven.
        encoded: The frame.
        targets: All that were looked for.
        claims: What their rows answered.
        accepted: Which of them passed the rules of ``association``.
        looks: How each was looked for.
        config: The numbers.
    """
    stay = list(accepted)
    asked = [row for row, target in enumerate(targets) if stay[row] and _has_to_prove(target, looks[row], config)]
    if not asked:
        return stay
    batch = PromptBatch.empty(segmenter.spec, len(asked), points=1)
    for place, row in enumerate(asked):
        prompt_encoder.put_reference(batch, place, targets[row].reference)
    seen = look(segmenter, encoded, batch)
    for place, row in enumerate(asked):
        target, claim = targets[row], claims[row]
        opinion = seen.claim(target, place)
        if _contradicts(opinion, claim, target, config):
            target.against += 1
            if target.state is not TargetState.TRACKED or target.against >= config.doubt_after:
                stay[row] = False
                target.mistrust()
        else:
            target.against = 0
            if (
                target.unproven
                and opinion is not None
                and overlap(claim.place.mask, opinion.place.mask) > 0.3
                and opinion.likeness >= target.likeness - config.similarity_margin / 4
            ):
                target.unproven -= 1
    return stay


def _has_to_prove(target: Target, how: Look, config: TrackerConfig) -> bool:
    if target.state is TargetState.TRACKED:
        age = target.frames_tracked - target.found_at
        return target.unproven > 0 and (age < SOON or age % SELDOM == 0)
    return how is not Look.APPEARANCE and target.to_prove(config) > 0  # that look is the reference's own answer


def _contradicts(opinion: Claim | None, claim: Claim, target: Target, config: TrackerConfig) -> bool:
    """Rule 1: the opinion is the target, and lies elsewhere than the claim."""
    if opinion is None or opinion.presence < config.presence_found:
        return False
    mine, theirs = claim.place.mask, opinion.place.mask
    common = np.count_nonzero(mine & theirs)
    if common > 0.5 * min(np.count_nonzero(mine), np.count_nonzero(theirs)):
        return False
    if opinion.likeness < max(claim.likeness - SLACK, target.likeness - config.similarity_margin / 2):
        return False
    in_place = bool((target.sure.mask & theirs).any())
    return in_place or not was_there_before(target.sure, opinion.place, config.unchanged_difference)
