# SPDX-License-Identifier: Apache-2.0
"""Finds that have to prove themselves against the user's own reference.

A target that comes back into sight may be taken for an object beside it, and then its memory holds it there. So until a
find is proven, the first reference alone, without any memory, is asked beside it, in one decode for all such targets:

1. A find is refused where the reference answers elsewhere and what it answers looks at least as right.
2. A find is proven when the reference agreed in ``prove_after`` pictures. Until then nothing is learnt from it. A
   target that stays half hidden is never proven; it is asked for seldom after a while, because it costs a decode.
3. A find elsewhere is contradicted, too, by what stands where the target was last seen beyond doubt, if that looks more
   like it: a look-alike beside may have been taken for it while it was hidden.
4. A find that the reference contradicts in ``doubt_after`` pictures in a row is taken back: the target is out of sight,
   and was last seen where it was before the find.

An answer that was there already when the target was last surely seen, but not in its place, is a look-alike and does
not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seem_ros.perception.masks.overlap import overlap
from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.tracking.association import SAME_PLACE, Candidate, is_look_alike
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.observation import look
from seem_ros.perception.tracking.target import Look, Place, Target, TargetState
from seem_ros.runtime.interface import PromptBatch

SLACK = 0.02  # of similarity: equally right
ELSEWHERE = 0.5  # of the smaller mask: what two looks have in common at most where they show different objects
SOON, SELDOM = 10, 5  # the reference is asked in each of the first frames after a find, then in every n-th only


def verify(segmenter: Segmenter, encoded: EncodedFrame, candidates: Sequence[Candidate], config: TrackerConfig) -> None:
    """Takes back accepted candidates that the reference contradicts; counts in their targets for and against them.

    Args:
        segmenter: Decodes once more if a candidate is a find or not proven.
        encoded: The frame.
        candidates: Of all targets that were looked for.
        config: The numbers.
    """
    asked = [one for one in candidates if one.accepted and _has_to_prove(one.target, one.look, config)]
    if not asked:
        return
    left = [
        (row, one, one.target.sure)
        for row, one in enumerate(asked)
        if one.target.sure is not None and overlap(one.target.sure.mask, one.shown.mask) <= SAME_PLACE
    ]
    batch = PromptBatch.empty(segmenter.spec, len(asked) + len(left), points=1)
    for row, one in enumerate(asked):
        prompt_encoder.put_reference(batch, row, one.target.reference)
    for extra, (_, one, sure) in enumerate(left, len(asked)):
        prompt_encoder.put_reference(batch, extra, one.target.reference)
        prompt_encoder.put_previous(batch, extra, sure.mask_logits, sure.normalised)
    seen = look(segmenter, encoded, batch)
    back = {
        row
        for extra, (row, one, sure) in enumerate(left, len(asked))
        if _is_back(seen.candidate(one.target, extra, Look.APPEARANCE), one, sure, config)
    }
    for row, one in enumerate(asked):
        target, opinion = one.target, seen.candidate(one.target, row, Look.APPEARANCE)
        if _contradicts(opinion, one, config) or row in back:
            target.against += 1
            if target.state is not TargetState.TRACKED or target.against >= config.doubt_after:
                one.accepted = False
                target.mistrust()
        else:
            target.against = 0
            if (
                target.unproven
                and opinion.place is not None
                and overlap(one.shown.mask, opinion.place.mask) > SAME_PLACE
                and opinion.similarity >= target.likeness - config.similarity_margin / 4
            ):
                target.unproven -= 1


def _is_back(opinion: Candidate, claim: Candidate, sure: Place, config: TrackerConfig) -> bool:
    """Rule 3: what is where the target was last seen beyond doubt looks more like it than what is claimed."""
    if opinion.place is None or opinion.presence < config.presence_found:
        return False
    return opinion.similarity > claim.similarity and overlap(sure.mask, opinion.place.mask) > SAME_PLACE


def _has_to_prove(target: Target, how: Look, config: TrackerConfig) -> bool:
    if target.state is TargetState.TRACKED:
        age = target.frames_tracked - target.found_at
        return target.unproven > 0 and (age < SOON or age % SELDOM == 0)
    return how is not Look.APPEARANCE and target.to_prove(config) > 0  # that look is the reference's own answer


def _contradicts(opinion: Candidate, claim: Candidate, config: TrackerConfig) -> bool:
    """Rule 1: the opinion is the target, and lies elsewhere than what is claimed to be it."""
    if opinion.place is None or opinion.presence < config.presence_found:
        return False
    target, sure = claim.target, claim.target.sure
    if sure is None:  # nothing to hold the opinion against
        return False
    mine, theirs = claim.shown.mask, opinion.place.mask
    common = np.count_nonzero(mine & theirs)
    if common > ELSEWHERE * min(np.count_nonzero(mine), np.count_nonzero(theirs)):
        return False
    if opinion.similarity < max(claim.similarity - SLACK, target.likeness - config.similarity_margin / 2):
        return False
    in_place = overlap(sure.mask, theirs) > SAME_PLACE  # a few common cells are a neighbour's border
    return in_place or not is_look_alike(target, opinion.place, sure, config)
