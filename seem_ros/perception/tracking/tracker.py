# SPDX-License-Identifier: Apache-2.0
"""Targets across the frames of one camera: started by prompts, followed by memory, lost and found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seem_ros.errors import PromptError, TargetError
from seem_ros.perception.masks.overlap import overlap
from seem_ros.perception.prediction import Prediction
from seem_ros.perception.prompting.prompt_encoder import ReferenceTokens
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.letterbox import fit
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Answer, Segments
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.following import follow
from seem_ros.perception.tracking.observation import Seen, compose, read_appearances
from seem_ros.perception.tracking.rounds import another_round, first_round, new_target, one_round_back
from seem_ros.perception.tracking.target import IdAllocator, Moment, Place, Target, TargetInfo, TargetState


@dataclass(frozen=True, eq=False)
class StartResult:
    """What became of prompts that start or refine targets.

    Attributes:
        segments: The targets as they are in the last frame that was looked at; ``answers`` are those of the prompts'
            own frame.
        target_ids: One per prompt, 0 where nothing was found. An id that existed before means that the prompt points at
            that target.
        answers: One per prompt.
    """

    segments: Segments
    target_ids: tuple[int, ...]
    answers: tuple[Answer, ...]


class Tracker:
    """Follows targets of one camera. Not thread-safe; it shares its segmenter's owner thread."""

    def __init__(
        self,
        segmenter: Segmenter,
        config: TrackerConfig | None = None,
        ids: IdAllocator | None = None,
        wide_labels: bool = False,
    ) -> None:
        """Makes a tracker without targets.

        Args:
            segmenter: Encodes and decodes; may be shared by the trackers of several cameras.
            config: May be exchanged at any time; default as the model's package says.
            ids: Shared by the trackers of several cameras, so that an id is unique over all.
            wide_labels: uint16 label images and up to 65535 targets; ignored where ``ids`` is given.
        """
        self._segmenter = segmenter
        self.config = config or TrackerConfig.for_model(segmenter.spec.postprocess)
        self._ids = ids or IdAllocator(wide_labels)
        self._targets: dict[int, Target] = {}
        self._last_stamp_ns: int | None = None
        self._last_size: tuple[int, int] | None = None
        self._frames = 0
        self.last: Segments | None = None
        self.time_jumps = 0

    def targets(self) -> tuple[TargetInfo, ...]:
        """All living targets, oldest first."""
        return tuple(target.info for target in self._targets.values())

    def __len__(self) -> int:
        return len(self._targets)

    def target(self, target_id: int) -> TargetInfo:
        """One living target.

        Raises:
            TargetError: No living target has this id.
        """
        return self._get(target_id).info

    def _get(self, target_id: int) -> Target:
        if target_id not in self._targets:
            known = ", ".join(map(str, self._targets)) or "none"
            raise TargetError(f"there is no target {target_id}; living targets: {known}")
        return self._targets[target_id]

    def remove(self, ids: Sequence[int] = ()) -> tuple[int, ...]:
        """Ends targets; without ids all of them.

        Raises:
            TargetError: An id is not a living target's; nothing was changed.
        """
        gone = [self._get(target_id) for target_id in dict.fromkeys(ids)] or list(self._targets.values())
        for target in gone:
            del self._targets[target.target_id]
            self._ids.give_back(target.value)
        return tuple(target.target_id for target in gone)

    def reset(self) -> None:
        """Ends all targets and forgets all frames; ids stay used."""
        self.remove()
        self._last_stamp_ns, self._last_size, self.last = None, None, None

    # ---------------------------------------------------------------- prompts

    def start(
        self,
        prompts: Sequence[Prompt],
        frame: Frame | np.ndarray | EncodedFrame | None = None,
        replay: Sequence[Frame] = (),
    ) -> StartResult:
        """Starts a target for every prompt that finds something.

        Prompts race the camera: ``frame`` may be the older one they were drawn on, and ``replay`` the frames since; the
        new targets alone are followed through them. A prompt that points at a living target is answered with its id. So
        is one whose new target lies where a living one is seen after the replay; the new one ends there.

        Args:
            prompts: One per target wanted.
            frame: The picture they were drawn on; default the newest encoded one.
            replay: Later frames in order, up to now.

        Raises:
            PromptError: A prompt cannot be asked about this picture; nothing was changed.
            TargetError: More targets than allowed; nothing was changed.
            FrameError: There is no picture.
        """
        prompts = list(prompts)
        if not prompts:
            raise PromptError("no prompt was given: a target needs one")
        encoded = self._prompted_frame(prompts, frame, refining=False)
        there = self._seen_in(Moment.of(encoded))  # before a pause lets newer frames in
        predictions, seen = first_round(self._segmenter, prompts, encoded)
        places = {row: place for row, place in enumerate(seen.places) if predictions[row].found and place is not None}
        meant = {row: same for row, place in places.items() if (same := self._same(place, there)) is not None}
        firsts: dict[int, int] = {}  # rows that mean a new thing, and the first row that means the same
        for row, place in places.items():
            if row not in meant:
                firsts[row] = next((first for first in firsts.values() if self._is_same(places[first], place)), row)
        new = list(dict.fromkeys(firsts.values()))
        if len(new) > self._room(before_replay=bool(replay)):
            raise self._no_room(len(new))
        if not self._targets:  # nobody was followed before: time begins here
            last = replay[-1] if replay else encoded.frame
            self._last_stamp_ns, self._last_size = last.stamp_ns, (last.height, last.width)
        references = read_appearances(self._segmenter, seen, new)
        born = {row: self._new(predictions[row], seen, row, one) for row, one in zip(new, references, strict=True)}
        meant |= {row: born[first] for row, first in firsts.items()}
        touched = [meant.get(row) for row in range(len(prompts))]
        with self._segmenter.pauses.held():  # the new targets have not seen the frames since yet
            try:
                segments = self._up_to_now(encoded, touched, replay)
            except BaseException:
                if born:
                    self.remove([one.target_id for one in born.values()])
                raise
            known = self._end_known(list(born.values())) if replay else {}
            if known:
                touched = [target and known.get(target, target) for target in touched]
                segments = compose(self._segmenter, self._segmenter.encode(replay[-1]), _each(touched), self._ids.wide)
        answers = []
        for row, (one, target) in enumerate(zip(predictions, touched, strict=True)):
            is_known = target is not None and target is not born.get(row)
            note = f"this is target {target.target_id} already" if target is not None and is_known else ""
            answers.append(one.answer("; ".join(part for part in (one.message(), note) if part)))
        return _result(segments, touched, answers)

    def refine(
        self,
        target_id: int,
        prompt: Prompt,
        frame: Frame | np.ndarray | EncodedFrame | None = None,
        replay: Sequence[Frame] = (),
    ) -> StartResult:
        """A further round on a target.

        On the frame of the earlier rounds all clicks so far count and the last mask is memory, as SEEM defines it. On
        another frame the new parts count, with the mask if it is of that frame, and with the target's appearance where
        the new parts are not positive. Where something is found the appearance is read anew from it.

        Args:
            target_id: A living target's.
            prompt: Further clicks, boxes, text ...; negative parts alone are enough.
            frame: The picture they were drawn on; default the newest encoded one.
            replay: Later frames in order, up to now.

        Raises:
            TargetError: No living target has this id.
            PromptError: The prompt cannot be asked about this picture; nothing was changed.
            FrameError: There is no picture.
        """
        target = self._get(target_id)
        encoded = self._prompted_frame([prompt], frame, refining=True)
        answer = another_round(self._segmenter, target, prompt, encoded, self.config)
        return self._finish(encoded, [target if answer.found else None], [answer], replay, [target_id])

    def undo_stamp_ns(self, target_id: int) -> int:
        """Stamp of the frame that a target was last looked for in before its newest round: where `undo` starts best.

        Raises:
            TargetError: No living target has this id, or there is no round to take back.
        """
        return self._get(target_id).before_its_last_round().moment.stamp_ns

    def rounds(self, target_id: int) -> int:
        """How many rounds on a target can be taken back.

        Raises:
            TargetError: No living target has this id.
        """
        return len(self._get(target_id).history)

    def undo(
        self, target_id: int, frame: Frame | np.ndarray | EncodedFrame | None = None, replay: Sequence[Frame] = ()
    ) -> StartResult:
        """Takes back the newest round on a target: memory, name and state are what they were before it.

        On the frame that it was last looked for in before the round its mask is the very same again; into another frame
        it is followed from there.

        Args:
            target_id: A living target's.
            frame: The picture; default the newest encoded one.
            replay: Later frames in order, up to now.

        Raises:
            TargetError: No living target has this id, or there is no round to take back.
            FrameError: There is no picture.
        """
        before = self._get(target_id).before_its_last_round()
        encoded = self._segmenter.on(frame)
        self._targets[target_id] = before
        answer = one_round_back(self._segmenter, before, encoded, self.config)
        return self._finish(encoded, [before], [answer], replay)

    def show(self, target_id: int, frame: Frame | np.ndarray | EncodedFrame) -> Segments:
        """A target alone in the frame that it was last seen in.

        Args:
            target_id: A living target's.
            frame: The picture of that stamp.

        Raises:
            TargetError: No living target has this id, or it is not seen in that frame.
        """
        target, encoded = self._get(target_id), self._segmenter.encode(frame)
        if target.mask_logits is None or target.last_seen != Moment.of(encoded):
            raise TargetError(f"target {target_id} is not seen in this picture, it is {target.state.value}")
        return compose(self._segmenter, encoded, [target], self._ids.wide)

    def _prompted_frame(
        self, prompts: Sequence[Prompt], frame: Frame | np.ndarray | EncodedFrame | None, refining: bool
    ) -> EncodedFrame:
        if isinstance(frame, Frame):  # before the picture is encoded in vain
            self._segmenter.check(prompts, frame.height, frame.width, refining)
        encoded = self._segmenter.on(frame)
        self._segmenter.check(prompts, *encoded.geometry.source_hw, refining)
        return encoded

    def _room(self, before_replay: bool = False) -> int:
        """How many more targets may be started; before a replay also those that may turn out to be living ones."""
        room = self.config.max_targets - (0 if before_replay else len(self._targets))
        return max(min(room, self._ids.free), 0)

    def _no_room(self, asked: int) -> TargetError:
        return TargetError(
            f"{asked} more targets were asked for, room is left for {self._room()} "
            f"({len(self._targets)} live, max_targets is {self.config.max_targets})"
        )

    def _seen_in(self, moment: Moment) -> dict[Target, Place]:
        """Where the living targets were seen in a frame."""
        return {
            target: target.place
            for target in self._targets.values()
            if target.state is TargetState.TRACKED and target.place is not None and target.last_seen == moment
        }

    def _same(self, place: Place, there: Mapping[Target, Place]) -> Target | None:
        """The target, alive still, that was seen at this place."""
        for target, its_place in there.items():
            if target.target_id in self._targets and self._is_same(its_place, place):
                return target
        return None

    def _is_same(self, first: Place, second: Place) -> bool:
        """Whether two places in one frame are one thing."""
        return first.mask.shape == second.mask.shape and overlap(first.mask, second.mask) >= self.config.same_target

    def _end_known(self, born: Sequence[Target]) -> dict[Target, Target]:
        """Ends those of a replay's new targets that lie where older ones are seen now.

        Returns:
            The older target for each of those.

        Raises:
            TargetError: More are left than allowed; all new ones were ended.
        """
        known: dict[Target, Target] = {}
        for target in born:
            if target.place is not None and target.mask_logits is not None:
                there = {one: place for one, place in self._seen_in(target.last_seen).items() if one not in born}
                older = self._same(target.place, there)
                if older is not None:
                    known[target] = older
        left = [target for target in born if target not in known]
        too_many = bool(left) and len(self._targets) - len(known) > self.config.max_targets
        for target in born if too_many else known:
            self.remove([target.target_id])
        if too_many:
            raise self._no_room(len(left))
        return known

    def _new(self, prediction: Prediction, seen: Seen, row: int, reference: ReferenceTokens) -> Target:
        target = new_target(self._segmenter, self._ids.take(), prediction, seen, row, reference, self.config)
        self._targets[target.target_id] = target
        return target

    def _finish(
        self,
        encoded: EncodedFrame,
        touched: Sequence[Target | None],
        answers: Sequence[Answer],
        replay: Sequence[Frame],
        ids: Sequence[int] | None = None,
    ) -> StartResult:
        with self._segmenter.pauses.held():  # the target has not seen the frames since yet
            segments = self._up_to_now(encoded, touched, replay)
        return _result(segments, touched, answers, ids)

    def _up_to_now(self, encoded: EncodedFrame, touched: Sequence[Target | None], replay: Sequence[Frame]) -> Segments:
        """Follows targets through a replay; who was looked for in later frames already is left as it is."""
        wanted, moment = _each(touched), Moment.of(encoded)
        segments = compose(self._segmenter, encoded, wanted, self._ids.wide)
        behind = [target for target in wanted if target.moment == moment]
        for frame in replay if wanted else ():
            encoded = self._segmenter.encode(frame)
            follow(self._segmenter, encoded, behind, self.config)
            segments = compose(self._segmenter, encoded, wanted, self._ids.wide)
        return segments

    # ----------------------------------------------------------------- frames

    def step(self, frame: Frame | np.ndarray | EncodedFrame) -> Segments:
        """Follows all targets into the next frame: one batched decode, one element each.

        A frame that is older than the last one (a bag that loops, a simulator reset), that comes after a gap longer
        than ``max_gap_s``, or that has another size makes places meaningless: appearance is kept, places are forgotten,
        and targets are found again by what they look like: at once where they were, elsewhere when frames agree, be
        these as far apart as those of a time-lapse.
        """
        encoded = self._segmenter.encode(frame)
        stamp, size = encoded.frame.stamp_ns, encoded.geometry.source_hw
        if self._last_stamp_ns is not None and self._last_size is not None:
            gap_s = (stamp - self._last_stamp_ns) * 1e-9
            is_jump = gap_s < 0 or gap_s > self.config.max_gap_s
            self.time_jumps += is_jump
            if is_jump or size != self._last_size:
                fits = self._fit_alike(size, self._last_size)
                for target in self._targets.values():
                    target.forget_place(keep_hint=fits, time_goes_on=fits and gap_s >= 0)
        self._last_stamp_ns, self._last_size = stamp, size
        self._frames += 1
        self.last = self._follow(encoded, list(self._targets.values()))
        return self.last

    def again(self, frame: Frame | np.ndarray | EncodedFrame) -> Segments:
        """The targets in the frame of the last step, as prompts have started, changed and ended them since.

        Args:
            frame: That frame; targets that were last seen in another one are left out.
        """
        encoded = self._segmenter.encode(frame)
        moment = Moment.of(encoded)
        seen = [target for target in self._targets.values() if target.last_seen == moment]
        self.last = compose(self._segmenter, encoded, seen, self._ids.wide)
        return self.last

    def _fit_alike(self, *sizes_hw: tuple[int, int]) -> bool:
        """Whether pictures of these sizes lie in the network's input in the same way."""
        spec = self._segmenter.spec
        fitted = [fit(size, (spec.input_hw[0], spec.input_hw[1]), spec.resize) for size in sizes_hw]
        return len({(one.network_hw, one.content_hw) for one in fitted}) == 1

    def _follow(self, encoded: EncodedFrame, targets: Sequence[Target]) -> Segments:
        follow(self._segmenter, encoded, targets, self.config)
        return compose(self._segmenter, encoded, targets, self._ids.wide)


def _each(touched: Sequence[Target | None]) -> list[Target]:
    """Each target once."""
    return list(dict.fromkeys(target for target in touched if target is not None))


def _result(
    segments: Segments,
    touched: Sequence[Target | None],
    answers: Sequence[Answer],
    ids: Sequence[int] | None = None,
) -> StartResult:
    """What became of prompts, with one target and one answer each."""
    answers = tuple(
        replace(answer, segment=None if target is None else segments.by_target(target.target_id))
        for answer, target in zip(answers, touched, strict=True)
    )
    ids = ids or [0 if target is None else target.target_id for target in touched]
    message = "; ".join(dict.fromkeys(answer.message for answer in answers if answer.message))
    return StartResult(replace(segments, answers=answers, message=message), tuple(ids), answers)
