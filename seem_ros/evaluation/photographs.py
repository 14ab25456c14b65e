# SPDX-License-Identifier: Apache-2.0
"""Clicks, boxes, names and words on labelled photographs, per source and by object size, cv2.grabCut beside it.

An answer counts as a user gets it: "not there" is an empty mask, IoU 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seem_ros.datasets.scenes.label_folder import EmptySplitError, LabelFolder
from seem_ros.datasets.scenes.picture import LabeledPicture
from seem_ros.datasets.scenes.scene import IGNORE
from seem_ros.errors import DataError
from seem_ros.evaluation.contact_sheet import Case, ContactSheet
from seem_ros.evaluation.metrics.by_size import STRATA, size_stratum
from seem_ros.evaluation.metrics.iou import iou
from seem_ros.evaluation.metrics.number_of_clicks import ClickSession
from seem_ros.evaluation.predictors.protocol import Guess, Predictor
from seem_ros.evaluation.report import Report
from seem_ros.evaluation.simulated_user import as_click, true_box
from seem_ros.perception.prompting.prompt_reader import UNNAMED
from seem_ros.perception.structures.prompts import Prompt

CLICKS = (1, 2, 3, 5)
#: So many objects of one picture are asked about, so that a bed of mushrooms does not outweigh all the rest.
_MOST_OBJECTS = 6
#: Fewer pixels are no object that one could click on: a 9-pixel square.
_LEAST_PX = 80
#: In a collection of folders a name counts as taught when this many objects of the training split carry it; in a folder
#: of one's own, which may have ten pictures, one is enough.
LEAST_TAUGHT = 30
ALL = "all sources"


@dataclass(frozen=True, eq=False)
class _Asked:
    """One object or whole of a picture: mask bool [H, W], caption, and its name where an answer's can be right."""

    mask: np.ndarray
    caption: str
    name: str | None = None


class PhotographScores:
    """Sums the answers of one or more predictors about many sources.

    Args:
        sheet: gets the worst and best answers; None keeps none.
    """

    def __init__(self, sheet: ContactSheet | None = None) -> None:
        self._sheet = sheet
        self._values: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._words: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._names: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)  # named, and rightly

    def add(
        self, predictor: Predictor, source: str, picture: LabeledPicture, taught: frozenset[str], names: Sequence[str]
    ) -> None:
        """Asks one predictor about one picture.

        Args:
            predictor: who is asked.
            source: row of the table.
            picture: what is asked about.
            taught: names whose words are measured.
            names: names of which absent ones are drawn, in a fixed order.
        """
        rng = np.random.default_rng(int(picture.ids.sum()))
        objects = _objects(picture, rng)
        predictor.look(picture.rgb)
        if objects:
            self._regions(predictor, source, picture, objects)
        if "text" in predictor.abilities:
            self._say(predictor, source, picture, taught, [name for name in names if name in taught], rng)

    def report(self, report: Report, title: str = "photographs") -> None:
        """Writes the table: a row per source, then per size; the first predictor's columns, then the others'.

        Then tables of the names that one click gets, and of words.
        """
        sources = list(dict.fromkeys(source for _, source, _ in self._values))
        first = next(iter(self._values), ("", "", ""))[0]
        for who in dict.fromkeys(who for who, _, _ in self._values):
            cells = [(source, size, values) for (one, source, size), values in self._values.items() if one == who]
            rows = {source: [values for place, _, values in cells if place == source] for source in sources}
            if len(sources) > 1:
                rows[ALL] = [values for *_, values in cells]
            rows |= {size: [values for _, stratum, values in cells if stratum == size] for size in STRATA}
            for row, values in rows.items():
                if values:
                    means = _means(values)
                    named = means if who == first else {f"{who} {key}": means[key] for key in means if key != "n"}
                    report.add(f"{title}: IoU of {first}", row, named)
        for (who, source), pairs in [*self._names.items(), *self._all_names()]:
            named, right = (sum(column) for column in zip(*pairs, strict=True))
            counts = {"n": len(pairs), "named": named / len(pairs), "rightly": right / named if named else float("nan")}
            report.add(f"{title}: names after one click", f"{source}, {who}", counts)
        for (who, source), words in self._words.items():
            absent = words["absent"]
            report.add(
                f"{title}: words",
                f"{source}, {who}",
                {
                    "IoU": float(np.mean(words["iou"])),
                    "n": len(words["iou"]),
                    "found": float(np.mean(words["found"])),
                    "wrongly_found": float(np.mean(absent)) if absent else float("nan"),
                    "n_absent": len(absent),
                },
            )

    def _all_names(self) -> Iterator[tuple[tuple[str, str], list[tuple[bool, bool]]]]:
        """Each predictor's names of all sources, where there are several."""
        for who in dict.fromkeys(who for who, _ in self._names):
            sources = [pairs for (one, _), pairs in self._names.items() if one == who]
            if len(sources) > 1:
                yield (who, ALL), [pair for pairs in sources for pair in pairs]

    def _regions(self, predictor: Predictor, source: str, picture: LabeledPicture, objects: Sequence[_Asked]) -> None:
        void = picture.ids == IGNORE
        prompts = [true_box(one.mask) for one in objects]
        if "box" in predictor.abilities:
            for one, prompt, guess in zip(objects, prompts, predictor.ask(prompts), strict=True):
                self._count(predictor, source, "box", one, picture, void, prompt, guess)
        if "click" not in predictor.abilities:
            return
        sessions = [ClickSession(one.mask, void, max(CLICKS)) for one in objects]
        said: dict[int, Prompt] = {}
        guesses: list[Guess | None] = [None] * len(sessions)
        while True:
            going = []
            for index, session in enumerate(sessions):
                click = session.next()
                if click is not None:
                    more = Prompt(clicks=(as_click(click),))
                    said[index] = said[index].joined(more) if index in said else more
                    going.append(index)
            if not going:
                break
            asked = [said[index] for index in going]
            for index, guess in zip(going, predictor.ask(asked, [guesses[i] for i in going]), strict=True):
                if guesses[index] is None and guess.found and guess.label and objects[index].name:
                    right = guess.label == objects[index].name
                    self._names[predictor.name, source].append((guess.label != UNNAMED, right))
                guesses[index] = guess
                sessions[index].update(guess.mask)
        for index, (one, session) in enumerate(zip(objects, sessions, strict=True)):
            row = self._values[predictor.name, source, size_stratum(one.mask)]
            for count in CLICKS:
                row[f"{count} click{'s' if count > 1 else ''}"].append(session.iou_after(count))
            last = guesses[index]
            if self._sheet is not None and last is not None:
                case = Case(picture.rgb, one.mask, last.mask, said[index], f"{source} {one.caption}", session.ious[-1])
                self._sheet.offer(f"{predictor.name} {max(CLICKS)} clicks", case)

    def _count(
        self,
        predictor: Predictor,
        source: str,
        kind: str,
        asked: _Asked,
        picture: LabeledPicture,
        void: np.ndarray,
        prompt: Prompt,
        guess: Guess,
    ) -> None:
        value = iou(guess.mask, asked.mask, void)
        self._values[predictor.name, source, size_stratum(asked.mask)][kind].append(value)
        if self._sheet is not None:
            case = Case(picture.rgb, asked.mask, guess.mask, prompt, f"{source} {asked.caption}", value)
            self._sheet.offer(f"{predictor.name} {kind}", case)

    def _say(
        self,
        predictor: Predictor,
        source: str,
        picture: LabeledPicture,
        taught: frozenset[str],
        names: Sequence[str],
        rng: np.random.Generator,
    ) -> None:
        """Every taught name that is there, and as many that are certainly not."""
        masks: dict[str, list[np.ndarray]] = defaultdict(list)
        for thing in picture.things:
            if thing.shape in taught:
                masks[thing.shape].append(picture.ids == thing.id)
        there = {thing.shape for thing in picture.things} | {group.name for group in picture.groups}
        absent = [name for name in names if name not in there and name in picture.exhaustive_for]
        drawn = [absent[int(place)] for place in rng.permutation(len(absent))[: len(masks)]]
        if not masks:
            return
        void, row = picture.ids == IGNORE, self._words[predictor.name, source]
        guesses = predictor.ask([Prompt(text=name) for name in [*masks, *drawn]])
        for (name, instances), guess in zip(masks.items(), guesses, strict=False):
            truths = [*instances, np.any(instances, axis=0)]
            value, truth = max(((iou(guess.mask, one, void), number) for number, one in enumerate(truths)))
            row["iou"].append(value)
            row["found"].append(float(guess.found))
            if self._sheet is not None:
                case = Case(picture.rgb, truths[truth], guess.mask, Prompt(text=name), f'{source} "{name}"', value)
                self._sheet.offer(f"{predictor.name} text", case)
        row["absent"].extend(float(guess.found) for guess in guesses[len(masks) :])


def open_photographs(folder: Path) -> list[tuple[LabelFolder, frozenset[str]]]:
    """Opens the val split of a folder with index.json, or of every such folder below one that has such a split.

    Returns:
        Each source and the names that its training split teaches; in a collection of folders only those of which it
        labels every instance.

    Raises:
        DataError: nothing is there, or a file does not fit.
    """
    places = [folder] if (folder / "index.json").is_file() else [p.parent for p in sorted(folder.glob("*/index.json"))]
    if not places:
        raise DataError(f"{folder} holds no index.json, nor a folder that does")
    opened, empty = [], []
    for place in places:
        try:
            pictures = LabelFolder(place, "val")
        except EmptySplitError as error:  # too small a set to keep any for measuring
            empty.append(error)
            continue
        counts = LabelFolder(place, None).counts("train")
        if place == folder:
            taught = frozenset(counts)
        else:
            taught = frozenset(name for name in pictures.exhaustive_for if counts.get(name, 0) >= LEAST_TAUGHT)
        opened.append((pictures, taught))
    if not opened:
        raise empty[0]
    return opened


def evaluate_photographs(
    predictors: Sequence[Predictor],
    sources: Iterable[tuple[LabelFolder, frozenset[str]]],
    choose: Callable[[int, str], Iterable[int]],
    report: Report,
    sheet: ContactSheet,
) -> None:
    """Asks every predictor about every source.

    Args:
        predictors: who is asked.
        sources: as `open_photographs` returns them.
        choose: number of pictures and the source's name -> the indices that are used, an iterable with a progress bar.
        report: gets the tables.
        sheet: gets the worst and best answers.
    """
    scores = PhotographScores(sheet)
    for pictures, taught in sources:
        for index in choose(len(pictures), pictures.name):
            picture = pictures.read(index)
            for predictor in predictors:
                scores.add(predictor, pictures.name, picture, taught, sorted(taught))
    scores.report(report)


def _objects(picture: LabeledPicture, rng: np.random.Generator) -> list[_Asked]:
    """A few objects and all wholes of a picture; of a whole one click may mean a part, so that its name is left out."""
    area = np.bincount(picture.ids.ravel(), minlength=256)
    things = [thing for thing in picture.things if area[thing.id] >= _LEAST_PX]
    kept = [things[int(place)] for place in sorted(rng.permutation(len(things))[:_MOST_OBJECTS])]
    found = [_Asked(picture.ids == one.id, f"{one.shape or UNNAMED} {one.id}", one.shape) for one in kept]
    for number, group in enumerate(picture.groups):
        found.append(_Asked(np.isin(picture.ids, list(group.ids)), f"whole {group.name} {number}"))
    return found


def _means(rows: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """Means of every measure over several collections of values, and the number of objects."""
    joined: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for measure, values in row.items():
            joined[measure] += values
    order = [f"{count} click{'s' if count > 1 else ''}" for count in CLICKS] + ["box"]
    means = {measure: float(np.mean(joined[measure])) for measure in order if joined[measure]}
    return {"n": max(len(values) for values in joined.values()), **means}
