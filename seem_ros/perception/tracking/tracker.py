# SPDX-License-Identifier: Apache-2.0
"""Targets across the frames of one camera: started by prompts, followed by memory, lost and found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seem_ros.errors import PromptError, TargetError
from seem_ros.perception.masks.compositing import answer_message
from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.prompting.prompt_encoder import ReferenceTokens
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Answer, Round, Segments
from seem_ros.perception.tracking import association
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.observation import Seen, compose, look, read_appearances, separated
from seem_ros.perception.tracking.target import IdAllocator, Look, Place, Target, TargetInfo, TargetState
from seem_ros.perception.tracking.verification import confirmed
from seem_ros.runtime.interface import PromptBatch


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
        new targets alone are followed through them. A prompt that points at a living target is answered with its id.

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
        room = min(self.config.max_targets - len(self._targets), self._ids.free)
        if len(prompts) > room:
            raise TargetError(
                f"{len(prompts)} more targets were asked for, room is left for {room} "
                f"({len(self._targets)} live, max_targets is {self.config.max_targets})"
            )
        prompts, notes = self._segmenter.resolve(prompts, encoded)
        batch, unknown = self._segmenter.ask(prompts, encoded.geometry)
        seen = look(self._segmenter, encoded, batch, prompts=prompts)
        labels = self._segmenter.label(prompts, unknown, seen.result)
        asked = prompt_encoder.asks_something(batch)
        threshold = self._segmenter.presence_threshold
        good = [
            i
            for i in range(len(prompts))
            if asked[i] and seen.result.presence[i] >= threshold and seen.places[i] is not None
        ]
        seen = separated(seen, good)
        good = [i for i in good if seen.places[i] is not None]
        references = dict(zip(good, read_appearances(self._segmenter, seen, good), strict=True))
        answers, touched, alone = [], [], not self._targets
        for i, prompt in enumerate(prompts):
            presence = float(seen.result.presence[i]) if asked[i] else 0.0
            found = i in references
            target, note = None, ""
            if found:
                target = self._same(seen.places[i], encoded.frame.stamp_ns)
                if target is not None:
                    note = f"this is target {target.target_id} already"
                else:
                    target = self._new(prompt, labels[i], seen, i, references[i])
            touched.append(target)
            said = answer_message(prompt, bool(asked[i]), found, True, presence, threshold, unknown[i])
            said = "; ".join(part for part in (self._segmenter.said_of(prompt), notes[i], said) if part)
            answers.append(
                Answer(
                    prompt,
                    found,
                    presence,
                    float(seen.scores[i]) if found else 0.0,
                    labels[i][0] if found else "",
                    min(max(labels[i][1], 0.0), 1.0) if found else 0.0,
                    unknown[i],
                    "; ".join(part for part in (said, note) if part),
                )
            )
        if alone:  # nobody was followed before: time begins here
            last = replay[-1] if replay else encoded.frame
            self._last_stamp_ns, self._last_size = last.stamp_ns, (last.height, last.width)
        return self._finish(encoded, touched, answers, replay)

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
        (prompt,), (note,) = self._segmenter.resolve([prompt], encoded)
        same_frame = encoded.frame.stamp_ns == target.round_stamp_ns
        size = encoded.geometry.source_hw
        asked_prompt = target.prompt.joined(prompt) if same_frame else prompt
        asked_prompt.check_image(*size, refining=True)
        batch, unknown = self._segmenter.ask([asked_prompt], encoded.geometry)
        if not prompt.is_positive and not prompt_encoder.asks_something(batch)[0]:
            # only negative parts: they are about the object that is known already
            if target.text is not None:
                prompt_encoder.put_text(batch, 0, target.text, 0)
            appearance = target.appearance(self.config, self._segmenter.spec.max_references)
            prompt_encoder.put_reference(batch, 0, appearance or target.reference)
        if same_frame and target.round is not None and target.round.geometry == encoded.geometry:
            prompt_encoder.put_round(batch, 0, target.round, prompt)
        elif (
            target.place is not None
            and target.place.geometry_key == size
            and encoded.frame.stamp_ns == target.last_seen_ns
        ):
            prompt_encoder.put_previous(batch, 0, target.place.mask_logits, target.place.normalised)
        seen = look(self._segmenter, encoded, batch, prompts=[asked_prompt])
        asked = bool(prompt_encoder.asks_something(batch)[0])
        presence, threshold = float(seen.result.presence[0]) if asked else 0.0, self._segmenter.presence_threshold
        found = asked and presence >= threshold and seen.places[0] is not None
        joined = target.prompt.joined(prompt) if same_frame else _moved_on(target.prompt, prompt)
        if found:
            label = (
                self._segmenter.label([Prompt(text=prompt.text)], unknown, seen.result)[0]
                if prompt.text
                else target.label
            )
            target.before_a_round()
            target.prompt, target.label = joined, label
            if prompt.text and batch.has_text[0]:
                target.text = self._segmenter.text_features(prompt.text)
            self._anchor(target, seen, 0, read_appearances(self._segmenter, seen, [0])[0])
        said = answer_message(asked_prompt, asked, found, True, presence, threshold, unknown[0])
        answer = Answer(
            joined,
            found,
            presence,
            float(seen.scores[0]) if found else 0.0,
            *(target.label if found else ("", 0.0)),
            unknown_words=unknown[0],
            message="; ".join(part for part in (note, said) if part),
        )
        return self._finish(encoded, [target if found else None], [answer], replay, [target_id])

    def undo_stamp_ns(self, target_id: int) -> int:
        """Stamp of the frame that a target was last looked for in before its newest round: where `undo` starts best.

        Raises:
            TargetError: No living target has this id, or there is no round to take back.
        """
        return self._get(target_id).before_its_last_round().stamp_ns

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
        if encoded.frame.stamp_ns != before.stamp_ns:
            known = before.place.geometry_key if before.place is not None else None
            if known != encoded.geometry.source_hw or encoded.frame.stamp_ns < before.stamp_ns:
                before.forget_place(keep_hint=known == encoded.geometry.source_hw)
            self._follow(encoded, [before])
        answer = Answer(
            before.prompt,
            before.mask_logits is not None,
            min(max(before.presence, 0.0), 1.0),
            before.mask_score if before.mask_logits is not None else 0.0,
            *before.label,
        )
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
        if target.mask_logits is None or target.last_seen_ns != encoded.frame.stamp_ns:
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

    def _same(self, place: Place, stamp_ns: int) -> Target | None:
        """The living target that was seen in this very frame at this place."""
        for target in self._targets.values():
            if (
                target.state is TargetState.TRACKED
                and target.place is not None
                and target.last_seen_ns == stamp_ns
                and target.place.mask.shape == place.mask.shape
                and association.overlap(target.place.mask, place.mask) >= self.config.same_target
            ):
                return target
        return None

    def _new(
        self, prompt: Prompt, label: tuple[str, float], seen: Seen, row: int, reference: ReferenceTokens
    ) -> Target:
        target_id, value = self._ids.take()
        stamp = seen.encoded.frame.stamp_ns
        target = Target(
            target_id,
            value,
            prompt,
            stamp,
            reference,
            label=(label[0], min(max(label[1], 0.0), 1.0)),
            first_seen_ns=stamp,
        )
        if seen.batch.has_text[row]:
            target.text = self._segmenter.text_features(prompt.text)
        self._anchor(target, seen, row, reference)
        self._targets[target_id] = target
        return target

    def _anchor(self, target: Target, seen: Seen, row: int, reference: ReferenceTokens) -> None:
        """A prompt said where the target is: its appearance was read anew there."""
        target.reference = reference
        target.bank.clear()
        target.likeness = target.likeness_of(seen.result.appearance_embedding[row])
        target.area = float(np.count_nonzero(seen.result.mask_logits[row] > 0))
        target.stamp_ns = target.round_stamp_ns = seen.encoded.frame.stamp_ns
        target.round = Round(
            seen.result.memory_mask[row].copy(),
            seen.encoded.geometry,
            seen.batch.prior_box[row].copy(),
            int(seen.batch.prior_kind[row]),
        )
        target.look = Look.MEMORY
        target.sure, target.unproven = None, 0
        self._see(target, seen, row, target.likeness)

    def _finish(
        self,
        encoded: EncodedFrame,
        touched: Sequence[Target | None],
        answers: Sequence[Answer],
        replay: Sequence[Frame],
        ids: Sequence[int] | None = None,
    ) -> StartResult:
        wanted = list(dict.fromkeys(target for target in touched if target is not None))
        segments = compose(self._segmenter, encoded, wanted, self._ids.wide)
        for frame in replay:
            if not wanted:
                break
            segments = self._follow(self._segmenter.encode(frame), wanted)
        answers = tuple(
            replace(answer, segment=None if target is None else segments.by_target(target.target_id))
            for answer, target in zip(answers, touched, strict=True)
        )
        ids = ids or [0 if target is None else target.target_id for target in touched]
        message = "; ".join(dict.fromkeys(answer.message for answer in answers if answer.message))
        return StartResult(replace(segments, answers=answers, message=message), tuple(ids), answers)

    # ----------------------------------------------------------------- frames

    def step(self, frame: Frame | np.ndarray | EncodedFrame) -> Segments:
        """Follows all targets into the next frame: one batched decode, one element each.

        A frame that is older than the last one (a bag that loops, a simulator reset), that comes after a gap longer
        than ``max_gap_s``, or that has another size makes places meaningless: appearance is kept, places are forgotten,
        and targets are found again by what they look like.
        """
        encoded = self._segmenter.encode(frame)
        stamp, size = encoded.frame.stamp_ns, encoded.geometry.source_hw
        if self._last_stamp_ns is not None:
            gap_s = (stamp - self._last_stamp_ns) * 1e-9
            if gap_s < 0 or gap_s > self.config.max_gap_s:
                self.time_jumps += 1
                self._forget_places(keep_hint=size == self._last_size)
            elif size != self._last_size:
                self._forget_places(keep_hint=False)
        self._last_stamp_ns, self._last_size = stamp, size
        self._frames += 1
        self.last = self._follow(encoded, list(self._targets.values()))
        return self.last

    def _forget_places(self, keep_hint: bool) -> None:
        for target in self._targets.values():
            target.forget_place(keep_hint)

    def _follow(self, encoded: EncodedFrame, targets: list[Target]) -> Segments:
        active = [target for target in targets if self._is_looked_for(target)]
        if active:
            batch = PromptBatch.empty(self._segmenter.spec, len(active), points=min(9, self._segmenter.spec.max_points))
            looks = [target.next_look(self.config) for target in active]
            for row, target in enumerate(active):
                target.put(batch, row, self.config, looks[row])
            seen = look(self._segmenter, encoded, batch, active if self.config.use_previous_mask else ())
            claims = [seen.claim(target, row) for row, target in enumerate(active)]
            accepted = [
                association.accept(target, claim, how, self.config)
                for target, claim, how in zip(active, claims, looks, strict=True)
            ]
            accepted = confirmed(self._segmenter, encoded, active, claims, accepted, looks, self.config)
            seen = separated(seen, [row for row, yes in enumerate(accepted) if yes], active)
            claims = [seen.claim(target, row) for row, target in enumerate(active)]
            accepted = [yes and claim is not None for yes, claim in zip(accepted, claims, strict=True)]
            kept = association.settle(active, claims, accepted, self.config)
            for row, target in enumerate(active):
                target.presence = float(seen.result.presence[row])
                if kept[row]:
                    self._see(target, seen, row, claims[row].likeness)
                    target.look = Look.POINT if looks[row] is Look.POINT else Look.MEMORY
                else:
                    self._miss(target)
        for target in targets:
            target.stamp_ns = encoded.frame.stamp_ns
            if target not in active:
                self._miss(target)
        return compose(self._segmenter, encoded, targets, self._ids.wide)

    def _is_looked_for(self, target: Target) -> bool:
        return target.state is not TargetState.LOST or target.frames_unseen % self.config.lost_every == 0

    def _see(self, target: Target, seen: Seen, row: int, likeness: float) -> None:
        result, config = seen.result, self.config
        if target.state is not TargetState.TRACKED:
            target.unproven, target.against, target.found_at = target.to_prove(config), 0, target.frames_tracked
        target.state, target.frames_unseen = TargetState.TRACKED, 0
        target.presence = float(result.presence[row])
        target.frames_tracked += 1
        target.last_seen_ns = seen.encoded.frame.stamp_ns
        target.candidates.clear()
        target.hint = None
        # a copy: a backend may write its next answer over this one, and it would keep the whole batch alive
        target.mask_logits, target.mask_score = result.mask_logits[row].copy(), float(seen.scores[row])
        area = np.count_nonzero(target.mask_logits > 0)
        if area > 0.8 * target.area:  # less is a part of it
            target.area += 0.1 * (area - target.area)
        target.frames_since_bank += 1
        usual = likeness >= target.likeness - config.similarity_margin / 2
        sure = usual and not target.unproven and target.presence >= config.presence_bank
        if sure:
            target.likeness += 0.05 * (likeness - target.likeness)
            if config.bank_size and target.frames_since_bank >= config.bank_every:
                target.remember(result.appearance_tokens[row], result.appearance_embedding[row], config)
        target.place = seen.places[row]
        if target.sure is None or (sure and area > 0.6 * target.area):
            target.sure = target.place

    def _miss(self, target: Target) -> None:
        target.frames_unseen += 1
        target.mask_logits = None
        if target.frames_unseen >= self.config.lost_after:
            target.state = TargetState.LOST
        elif target.frames_unseen >= self.config.occlude_after:
            target.state = TargetState.OCCLUDED


def _moved_on(earlier: Prompt, later: Prompt) -> Prompt:
    """What a target was asked by after a round on another frame: clicks of the earlier frame mean nothing there."""
    if not later.is_positive and not earlier.text and earlier.reference is None:
        return earlier
    return replace(later, text=later.text or earlier.text, reference=later.reference or earlier.reference)
