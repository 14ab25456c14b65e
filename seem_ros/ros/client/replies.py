# SPDX-License-Identifier: Apache-2.0
"""What a call to the node brings back, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seem_ros import msg as messages
from seem_ros.perception.structures.segments import Segment, Segments
from seem_ros.perception.tracking.target import TargetState
from seem_ros.ros.messages.images import stamp_to_ns
from seem_ros.ros.messages.results import STATES, segments_from_message

STATE_OF = {number: TargetState(name) for name, number in STATES.items()}


@dataclass(frozen=True, eq=False)
class SegmentReply:
    """What was found.

    Attributes:
        segments: Of the picture that was asked about; ``segments.mask(value)`` gives a mask.
        by_prompt: One record per prompt, None where nothing was found.
        target_ids: One per prompt, 0 where no target was started.
        message: What the node has to say, e.g. the best score where nothing was found.
    """

    segments: Segments
    by_prompt: tuple[Segment | None, ...]
    target_ids: tuple[int, ...]
    message: str


@dataclass(frozen=True, eq=False)
class RefineReply:
    """A target after a further round.

    Attributes:
        segments: Of the picture that was asked about.
        segment: The target's record, None where it is not seen.
        target_id: The target.
        state: Its state, None where it ended meanwhile.
        message: What the node has to say.
    """

    segments: Segments
    segment: Segment | None
    target_id: int
    state: TargetState | None
    message: str


@dataclass(frozen=True)
class RemoveReply:
    """Ids of the targets that were removed, and of all that live on."""

    removed: tuple[int, ...]
    remaining: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class UndoReply(RefineReply):
    """A target after its newest round was taken back, and how many rounds can still be."""

    rounds_left: int


@dataclass(frozen=True, eq=False)
class KnownObject:
    """An object that was taught.

    Attributes:
        name: By which text finds it.
        taught_ns: When each of its views was taught, oldest first, nanoseconds of the wall clock.
        thumbnails: Small pictures of the views, JPEG; empty where they were not asked for.
    """

    name: str
    taught_ns: tuple[int, ...]
    thumbnails: tuple[bytes, ...]


def segment_reply(response: Any) -> SegmentReply:
    """Of a `Segment` response."""
    segments = segments_from_message(response.result)
    records = [segments.segments[index] if index >= 0 else None for index in response.segment_indices]
    return SegmentReply(segments, tuple(records), tuple(response.target_ids), response.message)


def refine_reply(response: Any) -> RefineReply:
    """Of a `Refine` response."""
    segments, index = segments_from_message(response.result), response.segment_index
    record = segments.segments[index] if index >= 0 else None
    return RefineReply(segments, record, response.target_id, STATE_OF.get(response.state), response.message)


def undo_reply(response: Any) -> UndoReply:
    """Of an `Undo` response."""
    done = refine_reply(response)
    return UndoReply(done.segments, done.segment, done.target_id, done.state, done.message, response.rounds_left)


def known_object(message: messages.RememberedObject) -> KnownObject:
    """An object that was taught."""
    return KnownObject(
        message.name,
        tuple(stamp_to_ns(stamp) for stamp in message.taught),
        tuple(bytes(picture.data) for picture in message.thumbnails),
    )


def remove_reply(response: Any) -> RemoveReply:
    """Of a `RemoveTargets` response."""
    return RemoveReply(tuple(response.removed), tuple(response.remaining))


def message_of(response: Any) -> str:
    """Of any response."""
    return str(response.message)
