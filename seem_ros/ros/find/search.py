# SPDX-License-Identifier: Apache-2.0
"""What is waited for on one camera: all searches are asked in one decode a frame, and each ends in one way.

Everything here runs on the inference thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seem_ros.errors import PromptError, SeemError
from seem_ros.perception.prediction import Prediction
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.tracking.target import TargetInfo
from seem_ros.perception.tracking.tracker import Tracker

MAX_SEARCHES = 16  # a camera's frame gets slower with every one
#: Log odds above the threshold that the pictures in a row which show a thing must have together: one of .95 is enough,
#: or two of .82, or six of .62. Who waits looks at many pictures, and each may be mistaken: of 64 names that were not
#: there in 30 pictures of simulated clips, one at .5 ended the wait for 45 % of them, this for 20 %; 44 that were there
#: were all found, .36 pictures later in the mean.
ENOUGH = 3.0
_LEAST = 1e-6  # a threshold of 0 or 1 has no odds


@dataclass(frozen=True, eq=False)
class Sighting:
    """The picture in which something was found.

    Attributes:
        header: Of the source image.
        segments: The targets that were found in it.
        target: The target that was started, or lived already.
    """

    header: Any
    segments: Segments
    target: TargetInfo


@dataclass(eq=False)
class Search:
    """One thing that is waited for.

    Attributes:
        prompt: What.
        label: The user's name for the target; "" = none.
        timeout_s: How long.
        is_cancelled: Asked again and again.
        on_progress: Called after every picture.
        on_end: Called once: with the sighting, or None and why there is none.
        frames: Pictures looked at so far.
        best_presence: The highest so far, 0..1.
        evidence: Log odds above the threshold, summed over the newest pictures in a row that show it.
    """

    prompt: Prompt
    label: str
    timeout_s: float
    is_cancelled: Callable[[], bool]
    on_progress: Callable[[Search], None]
    on_end: Callable[[Search, Sighting | None, str], None]
    frames: int = 0
    best_presence: float = 0.0
    evidence: float = 0.0
    began_s: float = 0.0

    def weigh(self, prediction: Prediction, threshold: float) -> bool:
        """Takes in what a picture shows; whether that is enough now."""
        self.frames += 1
        self.best_presence = max(self.best_presence, prediction.presence)
        if not prediction.found:
            self.evidence = 0.0
            return False
        self.evidence += _log_odds(prediction.presence) - _log_odds(threshold)
        return self.evidence >= ENOUGH

    @property
    def is_overdue(self) -> bool:
        """Whether its time is over, by a clock that never stands still."""
        return time.monotonic() - self.began_s >= self.timeout_s


class Searches:
    """The searches on one camera.

    Args:
        segmenter: Asked for all of them at once.
        tracker: Starts a target for what is found.
        on_new_target: Told the id of a target and the user's name for it.
        describe: Says why no picture comes, where none does.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        tracker: Tracker,
        on_new_target: Callable[[int, str], None],
        describe: Callable[[], str],
    ) -> None:
        self._segmenter, self._tracker = segmenter, tracker
        self._on_new_target, self._describe = on_new_target, describe
        self._open: list[Search] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self, search: Search) -> None:
        """Begin to wait.

        Raises:
            PromptError: The prompt can never be found, or too much is waited for.
        """
        if len(self._open) >= MAX_SEARCHES:
            raise PromptError(f"{MAX_SEARCHES} things are waited for on this camera already")
        hopeless = self._segmenter.cannot_find(search.prompt)
        if hopeless:
            raise PromptError(hopeless)
        search.began_s = time.monotonic()
        self._open.append(search)

    def look(self, encoded: EncodedFrame, header: Any) -> None:
        """Ask for everything that is waited for in a picture; what is found becomes a target, and its wait ends.

        Raises:
            SeemError: The picture cannot be used; all go on waiting.
        """
        asked = [search for search in self._open if not search.is_cancelled()]
        if not asked:
            return
        predictions = self._segmenter.predict([search.prompt for search in asked], encoded)
        needed = self._segmenter.presence_threshold
        found = [search for search, one in zip(asked, predictions, strict=True) if search.weigh(one, needed)]
        if found:
            self._start(found, encoded, header)
        for search in asked:
            if search in self._open:
                search.on_progress(search)

    def _start(self, found: Sequence[Search], encoded: EncodedFrame, header: Any) -> None:
        try:
            started = self._tracker.start([search.prompt for search in found], encoded)
        except SeemError as error:  # no room for another target
            for search in found:
                self._end(search, None, f"it is seen, but cannot be followed: {error}")
            return
        for search, target_id in zip(found, started.target_ids, strict=True):
            if target_id:
                self._on_new_target(target_id, search.label)
                target = self._tracker.target(target_id)
                self._end(search, Sighting(header, started.segments, target), "")

    def has_ended(self) -> bool:
        """Whether somebody's time is over, or somebody does not want to wait any longer."""
        return any(search.is_overdue or search.is_cancelled() for search in tuple(self._open))

    def end_overdue(self) -> None:
        """Tell those whose time is over, and those who do not want to wait any longer."""
        for search in list(self._open):
            if search.is_cancelled():
                self._end(search, None, f"cancelled after {search.frames} frames")
            elif search.is_overdue:
                self._end(search, None, self._not_found(search))

    def end_all(self, why: str) -> None:
        """Nobody needs to wait any longer."""
        for search in list(self._open):
            self._end(search, None, why)

    def _not_found(self, search: Search) -> str:
        if not search.frames:
            return f"not seen within {search.timeout_s:g} s: no frame was looked at; {self._describe()}"
        needed = self._segmenter.presence_threshold
        often = ", in too few pictures in a row" if search.best_presence >= needed else ""
        return (
            f"not seen within {search.timeout_s:g} s: {search.frames} frames were looked at, best presence "
            f"{search.best_presence:.2f}, {needed:.2f} needed{often}"
        )

    def _end(self, search: Search, sighting: Sighting | None, why: str) -> None:
        self._open.remove(search)
        search.on_end(search, sighting, why)


def _log_odds(probability: float) -> float:
    """Of a probability 0..1; finite at both ends."""
    kept = min(max(probability, _LEAST), 1.0 - _LEAST)
    return math.log(kept / (1.0 - kept))


class EndedSearches:
    """Ends what is overdue or cancelled while no frame comes too; the inference thread serves it beside the cameras."""

    def __init__(self, searches: Callable[[], Sequence[Searches]]) -> None:
        self._searches = searches

    def has_frame(self) -> bool:
        """Nothing that could become ready soon."""
        return False

    def is_ready(self) -> bool:
        """Whether something has ended."""
        return any(one.has_ended() for one in self._searches())

    def process(self) -> None:
        """Tell those who wait."""
        for one in self._searches():
            one.end_overdue()
