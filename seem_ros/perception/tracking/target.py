# SPDX-License-Identifier: Apache-2.0
"""A target: one object with an id, and everything remembered about it.

SEEM defines memory for rounds on one picture; across frames it is our extension. A target remembers
(a) what it looked like where the user pointed: reference tokens, and the text if there was one;
(b) where it was: the last confident mask, its box and a small picture of that frame;
(c) what it looked like lately: a bounded bank of appearance of confident, proven frames; answers are compared with it,
    and its tokens are asked with only where ``use_bank`` is on (on simulated clips they did not help);
(d) every round of clicks on the frame they were given on.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np

from seem_ros.errors import TargetError
from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.prompting.prompt_encoder import ReferenceTokens
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Round
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.kept_answer import KeptAnswer
from seem_ros.runtime.interface import PromptBatch, TextFeatures

# so many rounds on a target can be taken back; each keeps three masks at stride 4, 0.25 MB at 320x256
ROUNDS_KEPT = 10


class Look(Enum):
    """How a target is looked for in one frame.

    MEMORY: its appearance and its last mask. POINT: a further round at its last place, a click in the middle of its
    last mask with that mask as memory; it keeps neighbours that look alike apart, but sees whatever is there now.
    APPEARANCE: what it looks like, anywhere.
    """

    MEMORY = 0
    POINT = 1
    APPEARANCE = 2


class TargetState(str, Enum):
    """TRACKED: seen now. OCCLUDED: not seen, looked for in every frame. LOST: not seen for long, looked for rarely."""

    TRACKED = "TRACKED"
    OCCLUDED = "OCCLUDED"
    LOST = "LOST"


@dataclass(frozen=True)
class TargetInfo:
    """What the world may know about a target.

    Attributes:
        target_id: Its id; never used again for another one.
        value: Its pixel value in label images, its own for life.
        label, label_score: What it is.
        state: See ``TargetState``.
        presence: How sure the model was in the last frame that it is there, 0..1.
        first_seen_ns, last_seen_ns: Stamps of the first and last frame it was seen in.
        frames_tracked: Frames it was seen in.
        frames_unseen: Frames since it was last seen.
        box_xyxy_px: Last known extent, source pixels; None after a time jump.
        text: The text it was asked for by, "" where none.
    """

    target_id: int
    value: int
    label: str
    label_score: float
    state: TargetState
    presence: float
    first_seen_ns: int
    last_seen_ns: int
    frames_tracked: int
    frames_unseen: int
    box_xyxy_px: tuple[int, int, int, int] | None
    text: str


class IdAllocator:
    """Ids that are never used twice, and pixel values that belong to one living target.

    Cameras of one node share an allocator, so an id means one target everywhere. A freed value is given out again as
    late as possible.
    """

    def __init__(self, wide: bool = False, first_id: int = 1) -> None:
        self._next = first_id
        self._free = deque(range(1, 65536 if wide else 256))
        self.wide = wide

    @property
    def next_id(self) -> int:
        """The id that the next target gets."""
        return self._next

    @property
    def free(self) -> int:
        """How many more targets can live at once."""
        return len(self._free)

    def take(self) -> tuple[int, int]:
        """A new id and a pixel value.

        Raises:
            TargetError: All pixel values are in use.
        """
        if not self._free:
            raise TargetError("no pixel value is left for another target: remove some, or use 16-bit label images")
        target_id, self._next = self._next, self._next + 1
        return target_id, self._free.popleft()

    def give_back(self, value: int) -> None:
        """Frees a pixel value."""
        self._free.append(value)


class Moment(NamedTuple):
    """What tells a frame from others: its stamp; where it has none, as plain arrays have none, what is seen in it.

    Attributes:
        stamp_ns: Its stamp.
        picture: Hash of the size and the small picture of a frame without a stamp, otherwise 0.
    """

    stamp_ns: int = 0
    picture: int = 0

    @classmethod
    def of(cls, encoded: EncodedFrame) -> Moment:
        """That of a frame; the same picture given once more has the same."""
        if encoded.frame.stamp_ns:
            return cls(encoded.frame.stamp_ns)
        return cls(picture=hash((encoded.geometry.source_hw, encoded.small_picture.tobytes())))


@dataclass(frozen=True, eq=False)
class Place:
    """Where a target was last seen, at stride 4 of the network input.

    Attributes:
        mask_logits: float32 [h4, w4].
        mask: bool [h4, w4].
        box: float64 [4] (x0, y0, x1, y1) in cells, to the mask's own resolution.
        picture: uint8 [h4, w4, 3], the frame it was seen in.
        geometry_key: Source size it belongs to; another size makes the place meaningless.
    """

    mask_logits: np.ndarray
    mask: np.ndarray
    box: np.ndarray
    picture: np.ndarray
    geometry_key: tuple[int, int]

    @property
    def normalised(self) -> np.ndarray:
        """The box as float32 [4] (centre x, centre y, width, height) of the padded input."""
        height, width = self.mask.shape
        corners = self.box / (width, height, width, height)
        return np.concatenate([(corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]]).astype(np.float32)

    @property
    def centre(self) -> np.ndarray:
        """Middle of the box (x, y), cells."""
        return (self.box[:2] + self.box[2:]) / 2

    @property
    def diagonal(self) -> float:
        """Length of the box's diagonal, cells."""
        return float(np.hypot(*(self.box[2:] - self.box[:2])))


@dataclass(frozen=True, eq=False)
class Memory:
    """One confident frame: a token per level float32 [3, C] and the mean mask feature float32 [Cm]."""

    tokens: np.ndarray
    embedding: np.ndarray


@dataclass(eq=False)
class Target:
    """A target and its memory; owned by its tracker, not for use outside.

    ``moment`` is the frame that it was last looked for in, ``round_moment`` that of its last round. ``place`` is where
    it was last seen. After a jump in time that says nothing any more, and is only kept as a ``hint`` where to look
    first, so that two equal targets do not both look at the same one of two equal objects; ``hint_came_before`` unless
    time went back since then. ``candidates`` are answers that further frames have to agree with, apart for each
    ``Look``. ``area`` is how many cells of the mask it usually has, ``held_back`` whether that was just cut for growing
    to one side. ``sure`` is where it was last seen beyond doubt. ``unproven`` counts the pictures in which its last
    find, after ``found_at`` tracked frames, still has to be confirmed, ``against`` those in a row that contradicted it;
    see ``verification``. ``twin`` is where its look-alike was seen last, bool [h4, w4]: an object that was there beside
    it once is not taken for it later. ``kept`` is its last answer. ``history`` is what it was before each of its last
    rounds, oldest first.
    """

    target_id: int
    value: int
    prompt: Prompt
    moment: Moment
    reference: ReferenceTokens
    label: tuple[str, float] = ("", 0.0)
    text: TextFeatures | None = None
    state: TargetState = TargetState.TRACKED
    presence: float = 0.0
    place: Place | None = None
    round: Round | None = None
    round_moment: Moment = Moment()
    first_seen_ns: int = 0
    last_seen: Moment = Moment()
    frames_tracked: int = 0
    frames_unseen: int = 0
    likeness: float = 1.0
    area: float = 0.0
    held_back: bool = False
    hint: Place | None = None
    hint_came_before: bool = False
    sure: Place | None = None
    unproven: int = 0
    found_at: int = 0
    against: int = 0
    twin: np.ndarray | None = None
    candidates: dict[Look, tuple[np.ndarray, int]] = field(default_factory=dict)
    look: Look = Look.MEMORY
    box_xyxy_px: tuple[int, int, int, int] | None = None
    bank: deque[Memory] = field(default_factory=deque)
    frames_since_bank: int = 0
    mask_logits: np.ndarray | None = None
    mask_score: float = 0.0
    kept: KeptAnswer | None = None
    history: tuple[Target, ...] = ()

    @property
    def info(self) -> TargetInfo:
        """A snapshot for the outside."""
        return TargetInfo(
            self.target_id,
            self.value,
            *self.label,
            self.state,
            self.presence,
            self.first_seen_ns,
            self.last_seen.stamp_ns,
            self.frames_tracked,
            self.frames_unseen,
            self.box_xyxy_px,
            self.prompt.text,
        )

    def put(self, batch: PromptBatch, row: int, config: TrackerConfig, look: Look) -> None:
        """Asks row ``row`` for this target; a POINT look needs a last place."""
        if look is Look.POINT and self.place is not None:
            prompt_encoder.put_point(batch, row, self.place.mask)
            prompt_encoder.put_previous(batch, row, self.place.mask_logits)
            return
        if self.text is not None and config.use_text:
            prompt_encoder.put_text(batch, row, self.text, 0)
        appearance = self.appearance(config, batch.reference_valid.shape[1])
        if appearance is not None:
            prompt_encoder.put_reference(batch, row, appearance)
        place = self._whole or self.place or self.hint
        if look is Look.MEMORY and place is not None and config.use_previous_mask:
            prompt_encoder.put_previous(batch, row, place.mask_logits, place.normalised)

    @property
    def _whole(self) -> Place | None:
        """Where it was last seen beyond doubt, in place of the sliver of it that was seen last before it was hidden.

        A sliver as memory tells the model where to look, but not how much of what is there is the object.
        """
        if self.state is TargetState.TRACKED or self.sure is None or self.place is None:
            return None
        return self.sure if (self.sure.mask & self.place.mask).any() else None

    def next_look(self, config: TrackerConfig) -> Look:
        """How to look for it in the next frame.

        While it is seen, as it was seen last. Just after it got out of sight its place is tried in both ways in turn;
        later every other look is by appearance alone: an old mask pulls the answer to where the target no longer is,
        and without it two equal objects cannot be told apart.
        """
        if not config.use_previous_mask:
            return Look.APPEARANCE
        if self.state is TargetState.TRACKED:
            look = self.look
        elif self.against:  # memory held it to another object: only the reference is believed until it is found
            look = Look.APPEARANCE
        elif self.frames_unseen <= config.memory_frames:
            look = (Look.MEMORY, Look.POINT)[self.frames_unseen % 2]
        else:
            look = (Look.MEMORY, Look.APPEARANCE, Look.POINT, Look.APPEARANCE)[self.frames_unseen % 4]
        return Look.MEMORY if look is Look.POINT and self.place is None else look

    def appearance(self, config: TrackerConfig, slots: int) -> ReferenceTokens | None:
        """What it looks like: the bank's tokens in full, the reference's thinned to the slots they leave."""
        bank = list(self.bank) if config.use_bank else []
        bank = bank[:slots]
        tokens, embeddings = [memory.tokens[None] for memory in bank], [memory.embedding for memory in bank]
        if config.use_reference and len(self.reference.tokens):
            own = prompt_encoder.thinned(self.reference, slots - len(bank))
            tokens.insert(0, own.tokens)
            embeddings.insert(0, own.embedding)
        if not tokens:
            return None
        return ReferenceTokens(np.concatenate(tokens), np.asarray(np.mean(embeddings, axis=0, dtype=np.float32)))

    def likeness_of(self, embedding: np.ndarray) -> float:
        """Greatest cosine of a mean mask feature float32 [Cm] with the reference and the bank, -1..1."""
        known = np.stack([self.reference.embedding, *(memory.embedding for memory in self.bank)])
        norms = np.linalg.norm(known, axis=1) * np.linalg.norm(embedding)
        return float((known @ embedding / np.maximum(norms, 1e-9)).max())

    def remember(self, tokens: np.ndarray, embedding: np.ndarray, config: TrackerConfig) -> None:
        """Adds a confident frame to the bank; the oldest leaves."""
        self.frames_since_bank = 0
        self.bank.append(Memory(tokens.copy(), embedding.copy()))
        while len(self.bank) > config.bank_size:
            self.bank.popleft()

    def to_prove(self, config: TrackerConfig) -> int:
        """In how many pictures a find has to be confirmed; 0 where nothing can confirm or refute it."""
        known = config.use_reference and len(self.reference.tokens) and self.sure is not None
        return config.prove_after if known else 0

    def mistrust(self) -> None:
        """What was found is another object: the target is out of sight, and was last seen where that was sure."""
        self.place, self.state, self.kept = self.sure, TargetState.OCCLUDED, None
        self.candidates.clear()

    def before_a_round(self) -> None:
        """Note what it is now, so that the round which follows can be taken back."""
        now = copy.copy(self)
        now.history, now.bank, now.candidates, now.kept = (), copy.copy(self.bank), {}, None
        self.history = (*self.history, now)[-ROUNDS_KEPT:]

    def before_its_last_round(self) -> Target:
        """What it was before its last round.

        Raises:
            TargetError: There is no round to take back.
        """
        if not self.history:
            raise TargetError(
                f"target {self.target_id} has no round to take back: it is as its first prompt left it; to end it, "
                "remove it"
            )
        before = copy.copy(self.history[-1])
        before.bank, before.history = copy.copy(before.bank), self.history[:-1]
        return before

    def forget_place(self, keep_hint: bool, time_goes_on: bool = False) -> None:
        """After a jump in time or a change of size: appearance stays, places do not mean anything any more.

        Args:
            keep_hint: It may be where it was.
            time_goes_on: The next frame comes after the last one, and may agree with it.
        """
        self.hint_came_before = time_goes_on and (self.place is not None or self.hint_came_before)
        self.hint = (self.place or self.hint) if keep_hint else None
        self.place = self.sure = self.twin = self.kept = None
        self.unproven = self.against = 0
        self.box_xyxy_px = None
        if not time_goes_on:
            self.candidates.clear()
        self.mask_logits = None
        if self.state is TargetState.TRACKED:
            self.state = TargetState.OCCLUDED
