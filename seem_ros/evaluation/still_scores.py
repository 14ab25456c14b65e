# SPDX-License-Identifier: Apache-2.0
"""Clicks, boxes and strokes on single pictures: what interactive segmentation is judged by.

An answer counts as a user gets it: "not there" is an empty mask, IoU 0. "if_always_answered" is what the same masks
would score without that judgement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seem_ros.datasets.interactive import TrueObject
from seem_ros.evaluation.contact_sheet import Case, ContactSheet
from seem_ros.evaluation.metrics.by_size import SizedMean
from seem_ros.evaluation.metrics.iou import iou
from seem_ros.evaluation.metrics.number_of_clicks import MAX_CLICKS, ClickSession, click_summary
from seem_ros.evaluation.predictors.protocol import Guess, Predictor
from seem_ros.evaluation.report import Report
from seem_ros.evaluation.simulated_user import as_click, true_box, true_scribble
from seem_ros.perception.structures.prompts import Prompt

# Rounds go on at least this long, so that "after three clicks" means three clicks for every object.
_LEAST_CLICKS = 3
_ENOUGH_IOU = 0.90


class StillScores:
    """Asks one predictor about the objects of many pictures and sums its answers."""

    def __init__(self, predictor: Predictor, sheet: ContactSheet | None = None, max_clicks: int = MAX_CLICKS) -> None:
        self.predictor = predictor
        self._sheet = sheet
        self._max_clicks = max_clicks
        self._sized = {kind: SizedMean() for kind in ("1 click", "3 clicks", "box", "scribble")}
        self._always: dict[str, list[float]] = {}
        self._sessions: list[list[float]] = []

    def add(self, name: str, rgb: np.ndarray, objects: Sequence[TrueObject], seen: bool = False) -> None:
        """Ask about every object of one picture.

        Args:
            rgb: uint8 [H, W, 3].
            seen: the predictor has already been shown this picture.
        """
        if not objects:
            return
        if not seen:
            self.predictor.look(rgb)
        if "click" in self.predictor.abilities:
            self._click(name, rgb, objects)
        kinds = [
            (kind, draw)
            for kind, draw in (("box", true_box), ("scribble", true_scribble))
            if kind in self.predictor.abilities
        ]
        asked = [(kind, thing, draw(thing.mask)) for kind, draw in kinds for thing in objects]
        for (kind, thing, prompt), guess in zip(asked, self.predictor.ask([prompt for *_, prompt in asked])):
            self._count(kind, name, rgb, thing, prompt, guess)

    def _click(self, name: str, rgb: np.ndarray, objects: Sequence[TrueObject]) -> None:
        sessions = [ClickSession(thing.mask, thing.void, self._max_clicks) for thing in objects]
        prompts: dict[int, Prompt] = {}
        guesses: list[Guess | None] = [None] * len(sessions)
        while True:
            going = []
            for index, session in enumerate(sessions):
                done = len(session.ious) >= min(_LEAST_CLICKS, self._max_clicks) and max(session.ious) >= _ENOUGH_IOU
                click = None if done else session.next()
                if click is not None:
                    more = Prompt(clicks=(as_click(click),))
                    # A first click is always positive; later ones may be negative only, which a Prompt allows.
                    prompts[index] = prompts[index].joined(more) if index in prompts else more
                    going.append(index)
            if not going:
                break
            answers = self.predictor.ask([prompts[i] for i in going], [guesses[i] for i in going])
            for index, answer in zip(going, answers):
                guesses[index] = answer
                sessions[index].update(answer.mask)
                if len(sessions[index].ious) == 1:
                    self._count("1 click", name, rgb, objects[index], prompts[index], answer)
        for session, thing in zip(sessions, objects):
            self._sized["3 clicks"].add(session.iou_after(_LEAST_CLICKS), thing.mask)
            self._sessions.append(session.ious)

    def _count(self, kind: str, name: str, rgb: np.ndarray, thing: TrueObject, prompt: Prompt, guess: Guess) -> None:
        value = iou(guess.mask, thing.mask, thing.void)
        self._sized[kind].add(value, thing.mask)
        if guess.best_mask is not None:
            self._always.setdefault(kind, []).append(iou(guess.best_mask, thing.mask, thing.void))
        if self._sheet is not None:
            self._sheet.offer(
                f"{self.predictor.name} {kind}",
                Case(rgb, thing.mask, guess.mask, prompt, f"{name} {thing.name}", value),
            )

    def report(self, report: Report, section: str) -> None:
        """Write IoUs by size and the click numbers of this predictor."""
        for kind, values in self._sized.items():
            if values.values:
                report.add(f"{section}: IoU", f"{self.predictor.name}, {kind}", values.summary())
            if kind in self._always:
                report.add(
                    f"{section}: IoU",
                    f"{self.predictor.name}, {kind}",
                    {"if_always_answered": float(np.mean(self._always[kind]))},
                )
        if self._sessions:
            report.add(f"{section}: clicks", self.predictor.name, click_summary(self._sessions, self._max_clicks))
