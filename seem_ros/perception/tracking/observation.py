# SPDX-License-Identifier: Apache-2.0
"""What a tracker sees in one frame: decoded rows with their places, the appearance under a mask, records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from seem_ros.perception.masks.compositing import finish, make_segment
from seem_ros.perception.masks.upsample import mask_scores, paint, take_away
from seem_ros.perception.prompting.prompt_encoder import ReferenceTokens
from seem_ros.perception.prompting.rasterize import sample_points
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.tracking.association import Candidate, make_place
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.growth import limit_growth
from seem_ros.perception.tracking.target import Look, Moment, Place, Target, TargetState
from seem_ros.runtime.interface import DecodeBatch, PromptBatch


@dataclass(frozen=True, eq=False)
class Seen:
    """One frame's decode of some rows.

    Attributes:
        encoded: The frame.
        batch: What was asked.
        result: What was answered.
        scores: float32 [B], mean mask probability inside each mask.
        places: Where each row's mask is, None where it is empty.
    """

    encoded: EncodedFrame
    batch: PromptBatch
    result: DecodeBatch
    scores: np.ndarray
    places: list[Place | None]

    @cached_property
    def moment(self) -> Moment:
        """What tells the frame from others."""
        return Moment.of(self.encoded)

    def candidate(self, target: Target, row: int, how: Look) -> Candidate:
        """What row ``row`` says about a target."""
        made = Candidate(target, row, how, 0.0, 0.0, 0.0, None)
        self.measure(made)
        return made

    def measure(self, candidate: Candidate) -> None:
        """Reads a candidate's row, again after masks have changed; one that shows nothing is not accepted."""
        row = candidate.row
        candidate.presence, candidate.mask_score = float(self.result.presence[row]), float(self.scores[row])
        candidate.place = self.places[row] if candidate.mask_score > 0 else None
        if candidate.place is not None:
            candidate.similarity = candidate.target.likeness_of(self.result.appearance_embedding[row])
        candidate.accepted = candidate.accepted and candidate.place is not None


def look(segmenter: Segmenter, encoded: EncodedFrame, batch: PromptBatch, prompts: Sequence[Prompt] = ()) -> Seen:
    """One batched decode of a frame.

    Args:
        segmenter: Decodes.
        encoded: The frame.
        batch: What is asked.
        prompts: The user's own on this frame, per row.
    """
    return read(encoded, batch, segmenter.decode(encoded, batch, prompts))


def held(result: DecodeBatch, followed: Sequence[Target], encoded: EncodedFrame, config: TrackerConfig) -> DecodeBatch:
    """The same answers, whose masks do not take in what the targets were not a frame before.

    Args:
        result: What was answered.
        followed: The target of each row.
        encoded: The frame.
        config: The numbers.
    """
    fine, coarse = result.mask_logits.copy(), result.memory_mask.copy()
    for row, target in enumerate(followed):
        limit_growth(target, fine[row], coarse[row], encoded.small_picture, config.unchanged_difference)
    return replace(result, mask_logits=fine, memory_mask=coarse)


def read(encoded: EncodedFrame, batch: PromptBatch, result: DecodeBatch) -> Seen:
    """What a decode of a frame says: where its masks are, and how sure."""
    picture, key = encoded.small_picture, encoded.geometry.source_hw
    places = [
        make_place(mask, memory, picture, key)
        for mask, memory in zip(result.mask_logits, result.memory_mask, strict=True)
    ]
    return Seen(encoded, batch, result, mask_scores(result.mask_logits), places)


def resolve_overlaps(seen: Seen, rows: Sequence[int], followed: Sequence[Target] = ()) -> Seen:
    """The same look, where a mask that ran over into another target gives it back, in the result and in memory.

    Common pixels belong to the target that had them in its last mask, if only one had. Of two masks where one holds at
    least 80 % of the other they belong to the smaller one: a mask that runs over contains the neighbour's own.
    Of two new prompts with points they belong to the one whose points are nearer.

    Args:
        seen: The look.
        rows: The believed rows.
        followed: The targets of all rows, where they are followed from the frame before.
    """
    masks = {row: seen.result.mask_logits[row] > 0 for row in rows if seen.places[row] is not None}
    areas = {row: np.count_nonzero(mask) for row, mask in masks.items()}
    last: dict[int, np.ndarray | None] = {}
    ways: dict[int, np.ndarray | None] = {}

    def before(row: int) -> np.ndarray | None:
        if row not in last:
            last[row] = _last_mask(followed[row], masks[row].shape) if followed else None
        return last[row]

    def way(row: int) -> np.ndarray | None:
        if row not in ways:
            ways[row] = _way_to_points(seen.batch, row, masks[row].shape)
        return ways[row]

    lost: dict[int, np.ndarray] = {}
    for large, small in _neighbours(seen, list(masks)):
        both = masks[large] & masks[small]
        if not both.any():
            continue
        swallowed = areas[small] < 0.9 * areas[large] and np.count_nonzero(both) >= 0.8 * areas[small]
        last_large, last_small = before(large), before(small)
        if last_small is not None and last_large is not None:
            gone = both & last_small & ~last_large
            gone = gone | (both & ~last_large) if swallowed else gone
        elif swallowed:
            gone = both
        else:
            own, other = way(large), way(small)
            gone = None if own is None or other is None else both & (own > other)
        if gone is not None and gone.any():
            lost[large] = lost.get(large, False) | gone
    if not lost:
        return seen
    fine, coarse, places = seen.result.mask_logits.copy(), seen.result.memory_mask.copy(), list(seen.places)
    for row, gone in lost.items():
        take_away(fine[row], gone)
        share = cv2.resize(gone.astype(np.float32), (coarse.shape[2], coarse.shape[1]), interpolation=cv2.INTER_AREA)
        cells = (share > 0.5) & (coarse[row] > 0)
        take_away(coarse[row], cells)
        place = places[row]
        if place is not None:
            places[row] = make_place(fine[row], coarse[row], place.picture, place.geometry_key)
    result = replace(seen.result, mask_logits=fine, memory_mask=coarse)
    return replace(seen, result=result, scores=mask_scores(fine), places=places)


def _neighbours(seen: Seen, rows: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of different rows whose boxes share cells, both ways round: of many masks few pairs can touch.

    Args:
        seen: The look.
        rows: Rows that show something.
    """
    if len(rows) < 2:
        return []
    boxes = np.stack([place.box for row in rows if (place := seen.places[row]) is not None])
    meet = np.all(boxes[:, None, :2] < boxes[None, :, 2:], axis=-1)
    meet &= meet.T
    np.fill_diagonal(meet, False)
    return [(rows[i], rows[k]) for i, k in np.argwhere(meet)]


def _way_to_points(batch: PromptBatch, row: int, size_hw: tuple[int, int]) -> np.ndarray | None:
    """Distance of every cell to the nearest positive point of a row, float32 [hm, wm]; None without points."""
    points = batch.points_xy[row][batch.points_label[row] > 0]
    if not len(points):
        return None
    away = np.ones(size_hw, np.uint8)
    columns = np.clip((points[:, 0] * size_hw[1]).astype(int), 0, size_hw[1] - 1)
    rows = np.clip((points[:, 1] * size_hw[0]).astype(int), 0, size_hw[0] - 1)
    away[rows, columns] = 0
    return cv2.distanceTransform(away, cv2.DIST_L2, 3)


def _last_mask(target: Target, size_hw: tuple[int, int]) -> np.ndarray | None:
    """A tracked target's last mask as bool [hm, wm]."""
    if target.state is not TargetState.TRACKED or target.place is None:
        return None
    mask = target.place.mask.astype(np.uint8)
    return cv2.resize(mask, size_hw[::-1], interpolation=cv2.INTER_NEAREST).view(np.bool_)


def read_appearances(segmenter: Segmenter, seen: Seen, rows: Sequence[int]) -> list[ReferenceTokens]:
    """Tokens from where prompts found their objects: points inside the mask, and the user's negative points.

    The user's own positive points say where the object is; what it looks like is read from all of its mask, one
    pixel off the outline where it is large enough. One decode for all rows.
    """
    spec = segmenter.spec
    reading = PromptBatch.empty(spec, len(rows))
    counts = []
    for place, row in enumerate(rows):
        mask = seen.result.mask_logits[row] > 0
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
        region = inner if np.count_nonzero(inner) >= 4 else mask
        wrong = seen.batch.points_label[row] < 0
        slots = max(spec.max_references - int(wrong.sum()), spec.max_references // 2, 1)
        points, labels = sample_points(region, np.zeros_like(region), region.shape, min(spec.max_points, slots))
        points = points + np.float32(0.5) / np.array(region.shape[::-1], np.float32)  # a cell's centre, not its corner
        negative = seen.batch.points_xy[row][wrong][: max(min(spec.max_references, spec.max_points) - len(points), 0)]
        count = len(points) + len(negative)
        reading.points_xy[place, :count] = np.concatenate([points, negative])
        reading.points_label[place, :count] = np.concatenate([labels, np.full(len(negative), -1, np.int8)])
        counts.append(count)
    if not counts:
        return []
    answer = segmenter.decode(seen.encoded, reading)
    return [
        ReferenceTokens(answer.sampled_tokens[place, :count].copy(), answer.sampled_embedding[place].copy())
        for place, count in enumerate(counts)
    ]


def compose(segmenter: Segmenter, encoded: EncodedFrame, targets: Sequence[Target], wide: bool) -> Segments:
    """Label image and records of the targets that are seen in this frame; their boxes are noted."""
    visible = [target for target in targets if target.mask_logits is not None]
    image, extents = paint(
        segmenter.enlarge_all(encoded, [target.mask_logits for target in visible]),
        [target.presence * target.mask_score for target in visible],
        [target.value for target in visible],
        encoded.geometry.source_hw,
        wide,
    )
    segments = []
    for target, extent in zip(visible, extents, strict=True):
        if extent is not None:
            target.box_xyxy_px = extent.box_xyxy_px
            segments.append(
                make_segment(
                    target.value,
                    extent,
                    target.label,
                    target.mask_score,
                    target.presence,
                    target.target_id,
                    target.state.value,
                )
            )
    return finish(image, segments, encoded.frame)
