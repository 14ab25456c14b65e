# SPDX-License-Identifier: Apache-2.0
"""Whether what the model answered for a target is that target: hysteresis, look-alikes, duplicates.

A model asked for an object that is hidden tends to answer with another one that looks like it. The rules:

1. Presence. A tracked target stays seen down to ``presence_lost``; one that is not tracked needs ``presence_found``.
2. Near. An answer within ``max_jump`` object diagonals of the last place (more for every unseen frame) is the same
   object moving; if the target was tracked it is accepted at once, otherwise it must also look right. For one that is
   not tracked an answer where it was last seen beyond doubt is near too.
3. Likeness. The cosine of its mean mask feature with the target's memory must not be more than
   ``similarity_margin`` below what is usual for this target, or half of it where the answer is not near or is to a
   click: what comes out from behind something looks a little different at first, a whole object elsewhere should not,
   and a click finds whatever is at its place.
4. There before. An answer far from the last place, or hardly in it, shows a look-alike if the
   picture there has not changed since the target was last seen (after the camera's own shift is taken out): the object
   was there already, beside the target.
5. Agreement. An answer at another place counts when ``refind_after`` frames in a row agree on it, with or without a
   gap in time between them: a camera may send a picture now and then. After a gap the place before it counts at once.
6. One claim. Of two answers that overlap by more than ``duplicate_overlap`` the surer one is seen; targets that go on
   from frame to frame come before targets that were just found again.

What was found after a loss has to prove itself further: see ``verification``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seem_ros.perception.masks.overlap import overlap
from seem_ros.perception.prompting.rasterize import region_extent
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.motion import differences
from seem_ros.perception.tracking.target import Look, Place, Target, TargetState

SAME_PLACE = 0.3  # overlap from which two looks at an object in motion show it at one place


@dataclass(eq=False)
class Candidate:
    """What one target's row answered in one frame; each rule writes its verdict on it.

    Attributes:
        target: Who was looked for.
        row: Of the frame's decode.
        look: How it was looked for.
        presence: 0..1.
        mask_score: Mean mask probability inside, 0..1.
        similarity: Cosine with the target's memory, -1..1.
        place: Where; None where the row shows nothing.
        accepted: No rule spoke against it so far.
    """

    target: Target
    row: int
    look: Look
    presence: float
    mask_score: float
    similarity: float
    place: Place | None
    accepted: bool = False

    @property
    def confidence(self) -> float:
        """How sure its presence and its outline are together, 0..1."""
        return self.presence * self.mask_score

    @property
    def shown(self) -> Place:
        """The place of a candidate that shows something, as every accepted one does (rule 1)."""
        if self.place is None:
            raise ValueError(f"the candidate for target {self.target.target_id} shows nothing")
        return self.place


def make_place(
    mask_logits: np.ndarray, memory_mask: np.ndarray, picture: np.ndarray, geometry_key: tuple[int, int]
) -> Place | None:
    """The place of a mask.

    Args:
        mask_logits: float32 [hm, wm] at the model's mask stride.
        memory_mask: float32 [h4, w4] logits at stride 4.
        picture: uint8 [h4, w4, 3].
        geometry_key: Source size.

    Returns:
        None where the mask is empty. A mask too small for stride 4 has the cells that it touches.
    """
    fine = mask_logits > 0
    if not fine.any():
        return None
    step = mask_logits.shape[0] // memory_mask.shape[0]
    if not (memory_mask > 0).any():
        height, width = memory_mask.shape
        memory_mask = mask_logits.reshape(height, step, width, step).max(axis=(1, 3))
    box = region_extent(fine) / step
    # a copy: a view would keep the whole batch's masks alive as long as the target remembers this one
    return Place(memory_mask.copy(), memory_mask > 0, box, picture, geometry_key)


def share_cells(first: Place, second: Place) -> bool:
    """Whether two places' boxes share cells; where they do not, neither do the masks."""
    a, b = first.box, second.box
    return bool(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


def is_near(target: Target, place: Place, config: TrackerConfig) -> bool:
    """Rule 2: within reach of the last place; none is known after a jump in time, so nothing is near."""
    last = target.place
    if last is None:
        return False
    if (last.mask & place.mask).any():
        return True
    if target.state is not TargetState.TRACKED and target.sure is not None and (target.sure.mask & place.mask).any():
        return True
    reach = config.max_jump + config.jump_growth * target.frames_unseen
    return float(np.hypot(*(place.centre - last.centre))) <= reach * max(last.diagonal, 4.0)


def was_there_before(last: Place, place: Place, difference: float) -> bool:
    """Rule 4: the picture under ``place`` looks as it did when the target was last seen.

    The camera's shift between the two pictures is used where it explains them better than no shift at all.
    """
    before, now = last.picture, place.picture
    if before.shape != now.shape:
        return False
    return float(differences(before, now)[place.mask].mean()) < difference


def is_look_alike(target: Target, place: Place, last: Place, config: TrackerConfig) -> bool:
    """Rule 4: an object was there while the target was seen elsewhere; it is remembered, and followed where it goes.

    Args:
        target: Whose look-alike it would be.
        place: Where the answer is.
        last: Where the target was seen, not there.
        config: The numbers.
    """
    known = target.twin is not None and overlap(target.twin, place.mask) > SAME_PLACE
    if not known and not was_there_before(last, place, config.unchanged_difference):
        return False
    target.twin = place.mask
    return True


def associate(candidates: Sequence[Candidate], config: TrackerConfig) -> None:
    """Rules 1 to 5: accepts candidates, each on its own; keeps count of agreement in their targets."""
    for one in candidates:
        one.accepted = _is_the_target(one, config)


def _is_beside(target: Target, place: Place) -> bool:
    """Whether a place is neither the target's last one nor, for that may be a sliver, its last one beyond doubt."""
    known = [one for one in (target.place, target.sure) if one is not None]
    return bool(known) and all(overlap(one.mask, place.mask) <= SAME_PLACE for one in known)


def _is_where_it_was(target: Target, place: Place) -> bool:
    """Whether a place is the one before a jump in time: how far it may have gone since then nobody knows."""
    return target.place is None and target.hint is not None and overlap(target.hint.mask, place.mask) > SAME_PLACE


def _is_the_target(candidate: Candidate, config: TrackerConfig) -> bool:
    target, place, look = candidate.target, candidate.place, candidate.look
    going_on = target.state is TargetState.TRACKED
    near = place is not None and is_near(target, place, config)
    before = target.candidates.pop(look, None)
    if place is None or candidate.presence < (config.presence_lost if going_on and near else config.presence_found):
        return False
    strict = not near or look is Look.POINT  # a click finds whatever is at its place, so it must look right
    usual = target.likeness - config.similarity_margin * (0.5 if strict else 1.0)
    if (strict or not going_on) and candidate.similarity < usual:
        return False
    there_again, last = _is_where_it_was(target, place), target.place
    if last is None and target.hint_came_before:
        last = target.hint
    # Near counts as elsewhere where an answer is hardly where the target was: a look-alike may stand right beside.
    if (
        last is not None
        and not there_again
        and (not near or _is_beside(target, place))
        and is_look_alike(target, place, last, config)
    ):
        if look is Look.APPEARANCE:
            target.against = 0  # the reference answers with a look-alike: its word against memory is worth nothing
        return False
    if going_on and not strict:
        target.candidates.clear()
        return True
    frames = before[1] + 1 if before is not None and overlap(before[0], place.mask) > SAME_PLACE else 1
    target.candidates[look] = place.mask, frames
    return near or there_again or frames >= config.refind_after


def suppress_duplicates(candidates: Sequence[Candidate], config: TrackerConfig) -> None:
    """Rule 6: of accepted candidates that show one object the surest stays."""
    order = sorted(
        (one for one in candidates if one.accepted),
        key=lambda one: (
            one.target.state is not TargetState.TRACKED or not is_near(one.target, one.shown, config),
            -one.confidence,
            one.target.target_id,
        ),
    )
    kept: list[Candidate] = []
    for one in order:
        mine = one.shown.mask
        fresh = one.target.state is not TargetState.TRACKED
        for other in kept:
            if not share_cells(one.shown, other.shown):
                continue
            theirs = other.shown.mask
            # what was just found again is most likely the other one if it lies mostly on it; two targets that were told
            # apart before (a mug and its handle) may lie inside each other
            share = np.count_nonzero(mine & theirs) / np.count_nonzero(mine) if fresh else overlap(mine, theirs)
            if share > config.duplicate_overlap:
                one.accepted = False
                break
        else:
            kept.append(one)
