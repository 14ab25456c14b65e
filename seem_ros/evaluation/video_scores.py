# SPDX-License-Identifier: Apache-2.0
"""Objects followed through clips: J, F, J&F, and what the memory does when they hide or have a twin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from seem_ros.datasets.davis import VideoFrame
from seem_ros.errors import DataError
from seem_ros.evaluation.contact_sheet import Case, ContactSheet
from seem_ros.evaluation.metrics.boundary_f import TrackScores, score_track, track_summary
from seem_ros.evaluation.metrics.by_size import size_stratum
from seem_ros.evaluation.metrics.number_of_clicks import next_click
from seem_ros.evaluation.metrics.reidentification import MemoryScores
from seem_ros.evaluation.predictors.protocol import VideoPredictor
from seem_ros.evaluation.report import Report
from seem_ros.evaluation.simulated_user import as_click, true_box
from seem_ros.perception.structures.prompts import Mask, Prompt

PROMPTS = ("click", "box", "mask")
# Of our first answer, of the prompt itself, or of the true first mask.
STARTS = ("prompt", "true mask", "our mask")


@dataclass(frozen=True)
class FollowedClip:
    """A named clip: frames in order; names of the objects (may be empty); ids that are not to be followed (stuff)."""

    name: str
    frames: Sequence[VideoFrame] | Iterable[VideoFrame]
    names: Mapping[int, str] = field(default_factory=dict)
    ignored: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Contender:
    """Someone to follow objects: a fresh predictor for each clip, and what it is given on the first frame."""

    make: Callable[[], VideoPredictor]
    start: str = "prompt"

    def __post_init__(self) -> None:
        if self.start not in STARTS:
            raise DataError(f"a contender may start from {', '.join(STARTS)}, got {self.start!r}")


def first_prompt(mask: np.ndarray, void: np.ndarray, kind: str) -> Prompt:
    """The prompt of the first frame for a true mask bool [H, W]: its middle clicked, its box, or the mask itself.

    Raises:
        DataError: unknown kind, or nothing of the mask outside void.
    """
    if kind == "click":
        click = next_click(np.zeros_like(mask), mask, void)
        if click is None:
            raise DataError("the object's first mask lies wholly under void: it cannot be clicked")
        return Prompt(clicks=(as_click(click),))
    if kind == "box":
        return true_box(mask)
    if kind == "mask":
        return Prompt(masks=(Mask(mask),))
    raise DataError(f"the first prompt may be {', '.join(PROMPTS)}, got {kind!r}")


class VideoScores:
    """Runs all contenders over clips and sums J, F and memory scores for each.

    Every object of a clip's first frame that covers at least `min_share` of the picture is followed, all at once.
    Objects that come later are not asked about. The number of all three is reported.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        prompt: str = "click",
        min_share: float = 0.0,
        sheet: ContactSheet | None = None,
    ) -> None:
        self._contenders = list(contenders)
        self._prompt, self._min_share, self._sheet = prompt, min_share, sheet
        self._tracks: dict[str, list[TrackScores]] = {}
        self._sized: dict[str, dict[str, list[float]]] = {}
        self._memory: dict[str, MemoryScores] = {}
        self._per_clip: dict[str, dict[str, float]] = {}
        self.followed = self.too_small = self.come_later = self.frames = 0

    def add(self, clip: FollowedClip) -> None:
        """Follow the objects of one clip.

        Raises:
            DataError: the clip has no frame, no object in its first frame, or frames of different sizes.
        """
        frames = list(clip.frames)
        if not frames:
            raise DataError(f"the clip {clip.name} has no frame")
        first = frames[0]
        if any(frame.labels.shape != first.labels.shape for frame in frames):
            raise DataError(f"the clip {clip.name} has frames of different sizes")
        ids = [int(v) for v in np.unique(first.labels) if v and int(v) not in clip.ignored]
        kept = [v for v in ids if np.count_nonzero(first.labels == v) >= max(1, self._min_share * first.labels.size)]
        self.too_small += len(ids) - len(kept)
        later = {int(v) for frame in frames[1:] for v in np.unique(frame.labels)} - {0, *ids, *clip.ignored}
        self.come_later += len(later)
        if not kept:
            raise DataError(f"the first frame of {clip.name} shows no object to follow")
        self.followed += len(kept)
        self.frames += len(frames)
        truths = {v: [frame.labels == v for frame in frames] for v in kept}
        voids = [frame.void if frame.void.any() else None for frame in frames]
        twins = _twins(frames, kept, clip)
        prompts = {v: first_prompt(truths[v][0], first.void, self._prompt) for v in kept}
        started: dict[int, np.ndarray] | None = None
        for contender in self._contenders:
            predictor = contender.make()
            given = prompts
            if contender.start == "true mask":
                given = {v: Prompt(masks=(Mask(truths[v][0]),)) for v in kept}
            elif contender.start == "our mask":
                if started is None:
                    raise DataError("a contender starting from our first mask must come after our own")
                given = {v: Prompt(masks=(Mask(mask),)) for v, mask in started.items() if mask.any()}
            answers = self._run(predictor, frames, given, kept)
            if contender.start == "prompt" and started is None:
                started = {v: answers[v][0] for v in kept}
            self._count(predictor.name, clip, frames, answers, truths, voids, twins, prompts)

    @staticmethod
    def _run(
        predictor: VideoPredictor, frames: Sequence[VideoFrame], prompts: Mapping[int, Prompt], kept: Sequence[int]
    ) -> dict[int, list[np.ndarray]]:
        nothing = np.zeros(frames[0].labels.shape, bool)
        answers: dict[int, list[np.ndarray]] = {v: [] for v in kept}
        for index, frame in enumerate(frames):
            if not prompts:
                masks: dict[int, np.ndarray] = {}
            else:
                masks = predictor.start(frame.rgb, prompts) if index == 0 else predictor.step(frame.rgb)
            for v in kept:
                answers[v].append(masks.get(v, nothing))
        return answers

    def _count(
        self,
        name: str,
        clip: FollowedClip,
        frames: Sequence[VideoFrame],
        answers: Mapping[int, list[np.ndarray]],
        truths: Mapping[int, list[np.ndarray]],
        voids: Sequence[np.ndarray | None],
        twins: Mapping[int, list[list[np.ndarray]]],
        prompts: Mapping[int, Prompt],
    ) -> None:
        of_clip = []
        for v, answer in answers.items():
            scores = score_track(answer, truths[v], voids)
            of_clip.append(scores)
            self._sized.setdefault(name, {}).setdefault(size_stratum(truths[v][0]), []).append(scores.j_and_f)
            self._memory.setdefault(name, MemoryScores()).add(answer, truths[v], twins.get(v))
            if self._sheet is not None:
                worst = 1 + int(np.argmin(scores.j))
                self._sheet.offer(
                    f"{name} video",
                    Case(
                        frames[worst].rgb,
                        truths[v][worst],
                        answer[worst],
                        None,
                        f"{clip.name} {clip.names.get(v, v)}: J&F; shown is its worst frame, {worst}",
                        scores.j_and_f,
                    ),
                )
        self._tracks.setdefault(name, []).extend(of_clip)
        self._per_clip.setdefault(name, {})[clip.name] = track_summary(of_clip)["J&F"]

    def report(self, report: Report, section: str, per_clip: bool = False) -> None:
        """Write J&F with sizes, and the memory's qualities."""
        for name, tracks in self._tracks.items():
            sizes = {size: float(np.mean(values)) for size, values in self._sized[name].items()}
            ordered = {f"J&F_{size}": sizes[size] for size in ("small", "medium", "large") if size in sizes}
            report.add(f"{section}: J&F from a first-frame {self._prompt}", name, track_summary(tracks) | ordered)
            report.add(f"{section}: memory", name, self._memory[name].summary())
            if per_clip:
                for clip, value in self._per_clip[name].items():
                    report.add(f"{section}: J&F by clip", clip, {name: value})
        report.add(
            f"{section}: asked about",
            "all",
            {
                "objects": self.followed,
                "too_small_to_ask": self.too_small,
                "come_later_not_asked": self.come_later,
                "frames": self.frames,
            },
        )


def _twins(frames: Sequence[VideoFrame], kept: Sequence[int], clip: FollowedClip) -> dict[int, list[list[np.ndarray]]]:
    """Per followed object the masks, frame by frame, of the other objects with its name; only where there are any."""
    result = {}
    for v in kept:
        name = clip.names.get(v)
        others = [w for w, other in clip.names.items() if w != v and other == name and w not in clip.ignored]
        if name is not None and others:
            result[v] = [[frame.labels == w for w in others] for frame in frames]
    return result
