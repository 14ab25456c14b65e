# SPDX-License-Identifier: Apache-2.0
"""Follows what a teacher finds through a stretch of frames, forward and backward, and keeps what agrees.

The teacher looks at the key frames alone and finds things by name; memory carries each find through the frames between.
The same is done backward in time. A label is kept where both directions and a box around it give the same region, which
is what three independent answers would rarely do by mistake.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seem_ros.errors import DataError
from seem_ros.perception.masks.overlap import overlap
from seem_ros.perception.prompting.vocabulary import BACKGROUND
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Box, Mask, Prompt
from seem_ros.perception.tracking.tracker import Tracker


@dataclass(frozen=True)
class LabelConfig:
    """What is found, and what is believed.

    Attributes:
        things: names that are looked for.
        texts: further phrases, "the red mug": found once in a picture at most.
        every: each so many-th frame is a key frame: looked at by the teacher and written.
        window: key frames that are followed backward together.
        agreement: overlap (IoU) that forward and backward masks need, and the box's answer with them.
        least_px: smaller regions are no label.
    """

    things: tuple[str, ...]
    texts: tuple[str, ...] = ()
    every: int = 10
    window: int = 8
    agreement: float = 0.8
    least_px: int = 60

    def __post_init__(self) -> None:
        if not self.things and not self.texts:
            raise DataError("nothing to label: give names with --things, or phrases with --text")
        if self.every < 1 or self.window < 2 or self.least_px < 1:
            raise DataError(
                f"every and least_px are at least 1, window at least 2, got {self.every}, "
                f"{self.least_px}, {self.window}"
            )
        if not 0 < self.agreement <= 1:
            raise DataError(f"agreement lies above 0 and up to 1, got {self.agreement}")


@dataclass(frozen=True, eq=False)
class Find:
    """One region of one key frame, before it is believed.

    Attributes:
        mask: bool [H, W].
        name: what it is.
        track: which followed object it belongs to.
        fresh: it was found in this very frame and not carried here from another one.
    """

    mask: np.ndarray
    name: str
    track: int
    fresh: bool


@dataclass(frozen=True, eq=False)
class Label:
    """One believed region.

    Attributes:
        mask: bool [H, W].
        name: what it is.
        track: the same number in every frame of the source for the same object.
        doubt: 0 (all answers gave the same region) to 1.
    """

    mask: np.ndarray
    name: str
    track: int
    doubt: float


@dataclass(frozen=True, eq=False)
class Drop:
    """A region that was not believed: mask bool [H, W], which track and name, why, and how far from agreement."""

    mask: np.ndarray
    track: int
    name: str
    reason: str
    doubt: float


@dataclass(frozen=True, eq=False)
class KeyFrame:
    """What became of one key frame: its frame, what is kept, what was dropped."""

    frame: Frame
    labels: tuple[Label, ...]
    drops: tuple[Drop, ...]


class Teacher:
    """Labels one source, window by window; tracks go on from one to the next.

    Args:
        segmenter: the teacher.
        config: what to look for.
    """

    def __init__(self, segmenter: Segmenter, config: LabelConfig) -> None:
        self._segmenter, self._config = segmenter, config
        self._forward = Tracker(segmenter, wide_labels=True)
        self._names: dict[int, Counter[str]] = defaultdict(Counter)

    def label(self, frames: Sequence[Frame], fresh: int = 0) -> list[KeyFrame]:
        """Labels a stretch of frames, the first of which is a key frame.

        Args:
            frames: in order of time, one size.
            fresh: from this index on they are new; those before were seen in the last stretch.

        Returns:
            The key frames among the new ones.
        """
        keys = list(range(0, len(frames), self._config.every))
        found = {key: self._detect(frames[key]) for key in keys}
        forward = dict(self._walk(self._forward, frames, keys, found, fresh))
        last = len(frames) - 1
        # A tracker refuses to go back in time: the reversed frames get times that run forward.
        turned = [replace(frame, stamp_ns=frames[last].stamp_ns - frame.stamp_ns) for frame in reversed(frames)]
        turned_found = {last - key: finds for key, finds in found.items()}
        backwards = Tracker(self._segmenter, wide_labels=True)
        backward = dict(self._walk(backwards, turned, [last - key for key in keys], turned_found, 0))
        return [
            self._judge(frames[key], forward[key], backward[last - key], len(keys) > 1) for key in keys if key >= fresh
        ]

    # Finding ----------------------------------------------------------------------------------------------------

    def _detect(self, frame: Frame) -> list[tuple[np.ndarray, str]]:
        """What the teacher sees in one frame: masks bool [H, W] with names; no two of them overlap much."""
        segmenter, config = self._segmenter, self._config
        encoded = segmenter.encode(frame)
        found: list[tuple[np.ndarray, str]] = []
        if config.things and segmenter.spec.object_queries:
            names = [*config.things, *(name for name in segmenter.vocabulary if name not in config.things)]
            segments = segmenter.panoptic([name for name in names if name != BACKGROUND], encoded, wide=True)
            found = [(segments.mask(one.value), one.label) for one in segments if one.label in config.things]
        texts = [*config.texts, *config.things]
        if texts:  # asked one by one: an answer must not take pixels from another
            for text in texts:
                segments = segmenter.segment([Prompt(text=text)], encoded)
                answer = segments.answers[0]
                if answer.found and answer.segment is not None:
                    mask = segments.mask(answer.segment.value)
                    if all(overlap(mask, other) < 0.3 for other, _ in found):
                        found.append((mask, text))
        return [(mask, name) for mask, name in found if np.count_nonzero(mask) >= config.least_px]

    def _walk(
        self,
        tracker: Tracker,
        frames: Sequence[Frame],
        keys: Sequence[int],
        found: dict[int, list[tuple[np.ndarray, str]]],
        fresh: int,
    ) -> list[tuple[int, list[Find]]]:
        """Follows through the frames in the order given; returns what is followed at the key frames."""
        result = []
        names = self._names if tracker is self._forward else defaultdict(Counter)
        for index, frame in enumerate(frames):
            segments = tracker.last if index < fresh and tracker.last is not None else tracker.step(frame)
            if index not in keys:
                continue
            if index >= fresh:
                masks = {one.target_id: segments.mask(one.value) for one in segments}
                news = []
                for mask, name in found[index]:
                    same = max(masks, key=lambda track: overlap(masks[track], mask), default=0)
                    if same and overlap(masks[same], mask) >= 0.5:
                        names[same][name] += 1
                    else:
                        news.append((mask, name))
                begun = self._begin(tracker, frame, news, names)
                masks |= begun
            else:
                masks, begun = {}, {}
            result.append(
                (
                    index,
                    [
                        Find(mask, names[track].most_common(1)[0][0], track, track in begun)
                        for track, mask in masks.items()
                        if mask.any() and names[track]
                    ],
                )
            )
        return result

    def _begin(
        self, tracker: Tracker, frame: Frame, news: list[tuple[np.ndarray, str]], names: dict[int, Counter[str]]
    ) -> dict[int, np.ndarray]:
        """Starts targets for new finds, as far as there is room; returns their masks by track."""
        room = max(0, tracker.config.max_targets - len(tracker))
        if not news[:room]:
            return {}
        started = tracker.start([Prompt(masks=(Mask(mask),)) for mask, _ in news[:room]], frame)
        masks = {}
        for track, (mask, name) in zip(started.target_ids, news, strict=False):
            if track:
                names[track][name] += 1
                masks[track] = mask
        return masks

    # Believing --------------------------------------------------------------------------------------------------

    def _judge(self, frame: Frame, forward: list[Find], backward: list[Find], moving: bool) -> KeyFrame:
        """Keeps the regions that both directions and a box agree on; the majority of the three is the label."""
        labels, drops = [], []
        boxed = self._boxed(frame, forward)
        for find, by_box in zip(forward, boxed, strict=True):
            near = max(backward, key=lambda other: overlap(other.mask, find.mask), default=None)
            both = 0.0 if near is None else overlap(near.mask, find.mask)
            box = overlap(by_box, find.mask)
            doubt = 1.0 - min(both, box)
            reason = ""
            if both < self._config.agreement:
                reason = f"forward and backward agree by {both:.2f} only"
            elif moving and find.fresh and (near is None or near.fresh):
                reason, doubt = "seen in one key frame only", 1.0
            elif near is not None and near.name != find.name:
                reason, doubt = f"it is a {find.name} forward and a {near.name} backward", 1.0
            elif box < self._config.agreement:
                reason = f"a box around it gives another region ({box:.2f})"
            majority = (find.mask.astype(np.uint8) + by_box + (near.mask if near is not None else 0)) >= 2
            if not reason and np.count_nonzero(majority) < self._config.least_px:
                reason = "too small"
            if reason:
                drops.append(Drop(find.mask, find.track, find.name, reason, float(doubt)))
            else:
                labels.append(Label(majority, find.name, find.track, float(doubt)))
        return KeyFrame(frame, tuple(labels), tuple(drops))

    def _boxed(self, frame: Frame, finds: list[Find]) -> list[np.ndarray]:
        """What the teacher answers to the box around each find."""
        if not finds:
            return []
        encoded = self._segmenter.encode(frame)
        answers = []
        for find in finds:
            ys, xs = np.nonzero(find.mask)
            box = Box(float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
            segments = self._segmenter.segment([Prompt(boxes=(box,))], encoded)
            answers.append(segments.labels > 0)
        return answers
