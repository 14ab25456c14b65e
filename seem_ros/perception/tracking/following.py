# SPDX-License-Identifier: Apache-2.0
"""Targets into the next frame: asked for by their memory in one batched decode, believed by rules, remembered.

Those around which nothing has moved are not asked for again: `kept_answer`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.tracking import association
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.kept_answer import KeptAnswer, frames_used
from seem_ros.perception.tracking.memory import remember_seen, remember_unseen
from seem_ros.perception.tracking.motion import PictureMotion
from seem_ros.perception.tracking.observation import held, read, resolve_overlaps
from seem_ros.perception.tracking.target import Look, Moment, Target, TargetState
from seem_ros.perception.tracking.verification import verify
from seem_ros.runtime.interface import DecodeBatch, PromptBatch


def follow(segmenter: Segmenter, encoded: EncodedFrame, targets: Sequence[Target], config: TrackerConfig) -> None:
    """Looks for targets in a frame, and changes what they remember.

    Args:
        segmenter: Decodes.
        encoded: The frame.
        targets: Who; one that is lost is looked for in some frames only.
        config: The numbers.
    """
    active = [target for target in targets if _is_looked_for(target, config)]
    if active:
        _look_for(segmenter, encoded, active, config)
    moment = Moment.of(encoded)
    for target in targets:
        target.moment = moment
        if target not in active:
            remember_unseen(target, config)


def _look_for(segmenter: Segmenter, encoded: EncodedFrame, targets: Sequence[Target], config: TrackerConfig) -> None:
    batch = PromptBatch.empty(segmenter.spec, len(targets), points=min(9, segmenter.spec.max_points))
    looks, motion = [target.next_look(config) for target in targets], PictureMotion(encoded.small_picture)
    kept = {
        row: target.kept
        for row, target in enumerate(targets)
        if target.kept is not None and _still_holds(target.kept, target, looks[row], encoded, config)
    }
    asked = [row for row in range(len(targets)) if row not in kept]
    for row in asked:
        target = targets[row]
        # of one that is out of sight nobody knows how it moved
        if target.place is not None and target.state is TargetState.TRACKED and config.use_previous_mask:
            target.place = motion.moved(target.place)
        target.put(batch, row, config, looks[row])
    parts = [answer.row for answer in kept.values()]
    if asked:
        parts.append(segmenter.decode(encoded, batch.select(asked)))
    for row, answer in kept.items():
        targets[row].kept = answer.once_more()
    for place, row in enumerate(asked):
        used = frames_used(targets[row].kept, targets[row].target_id, config)
        targets[row].kept = KeptAnswer(parts[-1].select([place]), looks[row], encoded.small_picture, used)
    result = DecodeBatch.concatenate(parts).select(np.argsort([*kept, *asked])) if kept else parts[0]
    if config.use_previous_mask and segmenter.spec.has_prior:
        result = held(result, targets, encoded, config)
    seen = read(encoded, batch, result)
    candidates = [seen.candidate(target, row, looks[row]) for row, target in enumerate(targets)]
    association.associate(candidates, config)
    verify(segmenter, encoded, candidates, config)
    seen = resolve_overlaps(seen, [one.row for one in candidates if one.accepted], targets)
    for one in candidates:
        seen.measure(one)
    association.suppress_duplicates(candidates, config)
    for one in candidates:
        one.target.presence = one.presence
        if one.accepted:
            remember_seen(one.target, seen, one.row, one.similarity, config)
            one.target.look = Look.POINT if one.look is Look.POINT else Look.MEMORY
        else:
            remember_unseen(one.target, config)


def _still_holds(answer: KeptAnswer, target: Target, how: Look, encoded: EncodedFrame, config: TrackerConfig) -> bool:
    """Whether a target's last answer is the answer for this frame, too."""
    unsettled = target.state is not TargetState.TRACKED or target.frames_unseen or target.unproven or target.candidates
    if unsettled or target.place is None or answer.look is not how:
        return False
    return answer.holds(target.place, encoded.small_picture, config)


def _is_looked_for(target: Target, config: TrackerConfig) -> bool:
    return target.state is not TargetState.LOST or target.frames_unseen % config.lost_every == 0
