# SPDX-License-Identifier: Apache-2.0
"""What is laid over a picture of a training batch: other things, neighbours that touch, prints, a second colour."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seem_ros.training.batched.picture_store import PackedPictures

FIRST_PASTED = 200
LAYERS = 10  # most things pasted over one picture
CHANGED = 3  # most of a photograph's own things that may get a print, or another colour
LEAST_PX, MOST_PX = 24.0, 200.0  # of a neighbour's longest side, in the view
# Names that are no things to lift out of a picture: parts of a person, and ground.
NOT_PASTED = frozenset({"skin", "hair", "sidewalk", "stockings", "tights", "socks", None})


class Layer(NamedTuple):
    """One thing that is laid over both views of a scene.

    Attributes:
        row: Of the object table.
        maps: float [2, 2, 3], output -> source pixel of the two views.
        light: Gain of its colours.
        like: Id of a thing in the scene whose mean colour it takes; 0 = its own colour.
    """

    row: np.ndarray
    maps: np.ndarray
    light: float
    like: int = 0


class Print(NamedTuple):
    """What is printed on a thing of a scene, and the thing's id."""

    mark: Layer
    thing: int


class Tone(NamedTuple):
    """One side of a thing in another colour.

    Attributes:
        thing: Its id.
        line: float32 [2, 3], for each view (a, b, c): pixels with a x + b y + c > 0 are painted.
        colour: float32 [3], gains of the grey of each pixel.
    """

    thing: int
    line: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True)
class SourceMix:
    """How scenes are drawn: weight per source, and how its pictures are used."""

    weights: dict[str, float]
    plain: float = 0.5  # of the textures, exchanged for one even colour: a thing on white paper, as shops show it
    whole: float = 0.45
    turned: float = 0.18
    grey: float = 0.08
    printed: float = 0.3  # of the things, which get a print: a click on it means the thing
    toned: float = 0.12  # of the things, one side of which gets another colour: a handle is the tool's
    beside: float = 0.3  # of the photographs, in which a thing gets another one that touches it ...
    alike: float = 0.6  # ... of these, and half as many in piles, those that take its colour: two red things are two


def middle_of(row: np.ndarray) -> np.ndarray:
    """The middle x, y of a thing's box, in its picture."""
    return np.array([(row[2] + row[4]) / 2, (row[3] + row[5]) / 2])


def sides_of(row: np.ndarray) -> np.ndarray:
    """Width and height of a thing's box."""
    return np.array([row[4] - row[2], row[5] - row[3]], np.float64)


def placed(row: np.ndarray, at: np.ndarray, size: float, angle: float, flip: float) -> np.ndarray:
    """How a thing is laid on a view: output -> source pixel, float64 [2, 3].

    Args:
        row: Of the object table.
        at: x, y of its middle in the view.
        size: Its longest side there.
        angle: By which it is turned.
        flip: -1 mirrors it, else 1.
    """
    long = sides_of(row).max()
    cos, sin = math.cos(angle) * long / size, math.sin(angle) * long / size
    linear = np.array([[cos * flip, sin], [-sin * flip, cos]])
    return np.column_stack((linear, middle_of(row) - linear @ at))


class Overlays:
    """Draws them; everything in numbers, nothing in pixels.

    Args:
        store: The pictures.
        mix: How often.
        height, width: Of a view.

    Attributes:
        objects_of: Rows of the object table by picture.
    """

    def __init__(self, store: PackedPictures, mix: SourceMix, height: int, width: int) -> None:
        self.store, self.mix, self.h, self.w = store, mix, height, width
        table, pictures = store.boxes, store.pictures
        usable = [
            k
            for k, row in enumerate(table)
            if row[6] >= 500
            and pictures[row[0]].objects[row[1]].name not in NOT_PASTED
            and not pictures[row[0]].objects[row[1]].simulated
        ]
        self.lifted = table[usable]
        kind = np.array([pictures[i].source for i in self.lifted[:, 0]])
        weight = np.ones(len(kind))
        for source in np.unique(kind):
            weight[kind == source] = (kind == source).sum() ** -0.6
        self.lifted_steps = np.cumsum(weight / weight.sum())
        self.marks = table[[k for k, row in enumerate(table) if pictures[row[0]].source == "cutout"]]
        self.objects_of: dict[int, list[int]] = {}
        for k, row in enumerate(table):
            self.objects_of.setdefault(int(row[0]), []).append(k)

    def _lifted(self, rng: np.random.Generator) -> np.ndarray:
        at_step = int(np.searchsorted(self.lifted_steps, rng.random()))
        return self.lifted[min(at_step, len(self.lifted) - 1)]

    def _things(
        self, rng: np.random.Generator, index: int, maps: np.ndarray, pasted: list[Layer]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        """Some of a scene's own things and all pasted ones: row, maps and id."""
        own = [self.store.boxes[k] for k in self.objects_of.get(index, ())]
        for k in rng.permutation(len(own))[:CHANGED]:
            yield own[k], maps, int(own[k][1])
        for k, layer in enumerate(pasted):
            yield layer.row, layer.maps, FIRST_PASTED + k

    def pastes(self, rng: np.random.Generator, index: int, even: bool) -> list[Layer]:
        """What is pasted on a scene."""
        picture = self.store.pictures[index]
        if not len(self.lifted):
            return []
        if even:
            count = int(rng.integers(1, 6))
        elif picture.source == "texture":
            count = int(rng.integers(4, LAYERS + 1))
        elif picture.clip is not None:
            count = int(rng.integers(1, 4)) if rng.random() < 0.15 else 0
        else:
            kind = rng.random()
            count = 0 if kind < 0.5 else int(rng.integers(1, 4)) if kind < 0.8 else int(rng.integers(4, LAYERS + 1))
        pile = count > 3 and rng.random() < 0.65
        middle = np.array([self.w, self.h]) * rng.uniform(0.3, 0.7, 2)
        size0 = math.exp(rng.uniform(math.log(40), math.log(110)))
        same = None
        found: list[Layer] = []
        for _ in range(count):
            if same is None or rng.random() > 0.3:
                same = self._lifted(rng)
            row = same
            if pile:
                size = size0 * math.exp(rng.normal(0, 0.25))
                at = middle + rng.normal(0, 1, 2) * size0 * math.sqrt(count) * 0.45
                angle = rng.uniform(-math.pi, math.pi) if rng.random() < 0.6 else rng.normal(0, 0.3)
            else:
                size = math.exp(
                    rng.uniform(*((math.log(40), math.log(330)) if even else (math.log(26), math.log(190))))
                )
                at = rng.uniform(0.05, 0.95, 2) * (self.w, self.h)
                angle = rng.normal(0, 0.3) if rng.random() < 0.8 else rng.uniform(-math.pi, math.pi)
            size = min(size, 2.5 * sides_of(row).max())
            flip = -1.0 if rng.random() < 0.5 else 1.0
            maps = np.empty((2, 2, 3))
            gone = int(rng.random() < 0.2) * int(rng.integers(1, 3))
            for view in range(2):
                if view:
                    at, angle = at + rng.normal(0, 14, 2), angle + rng.normal(0, 0.14)
                    size = size * math.exp(rng.normal(0, 0.08))
                maps[view] = placed(row, at + (1e5 if gone == view + 1 else 0), size, angle, flip)
            like = FIRST_PASTED + len(found) - 1 if pile and found and rng.random() < self.mix.alike / 2 else 0
            found.append(Layer(row, maps, float(rng.uniform(0.75, 1.2)), like))
        return found

    def prints(self, rng: np.random.Generator, index: int, maps: np.ndarray, pasted: list[Layer]) -> list[Print]:
        """What is printed on things of a scene, and the id of the thing."""
        found: list[Print] = []
        if not len(self.marks) or self.store.pictures[index].clip is not None:
            return []
        for row, where, thing in self._things(rng, index, maps, pasted):
            if rng.random() >= self.mix.printed:
                continue
            mark = self.marks[rng.integers(len(self.marks))]
            sides = sides_of(row)
            on_thing = np.array([row[2], row[3]]) + sides * rng.uniform(0.35, 0.65, 2)
            size = sides.min() * rng.uniform(0.25, 0.8)
            # output -> thing's picture -> print: turned with the thing
            print_of = placed(mark, on_thing, size, rng.normal(0, 0.2), 1.0)
            both = print_of[:, :2] @ where
            both[:, :, 2] += print_of[:, 2]
            found.append(Print(Layer(mark, both, float(rng.uniform(0.75, 1.2))), thing))
        return found

    def neighbours(self, rng: np.random.Generator, index: int, maps: np.ndarray) -> list[Layer]:
        """A thing that touches or covers a part of one of a photograph's own things, often of the same colour."""
        own = self.objects_of.get(index)
        simulated = self.store.pictures[index].clip is not None
        if simulated or not own or not len(self.lifted) or rng.random() >= self.mix.beside:
            return []
        box, row = self.store.boxes[own[rng.integers(len(own))]], self._lifted(rng)
        sides = sides_of(box)
        zoom = 1 / math.sqrt(abs(np.linalg.det(maps[0, :, :2])))  # view pixels per source pixel
        wanted = sides.max() * zoom * math.exp(rng.uniform(math.log(0.4), math.log(1.6)))
        wanted = min(wanted, 2.5 * sides_of(row).max(), MOST_PX)
        if wanted < LEAST_PX:
            return []
        way, angle = rng.uniform(-math.pi, math.pi), rng.normal(0, 0.4)
        step = np.array([math.cos(way), math.sin(way)])
        # from the edge of its box by more than nothing, and less than half, of the neighbour
        reach = min(sides / 2 / np.maximum(np.abs(step), 1e-6)) + wanted / zoom * rng.uniform(0.0, 0.45)
        at = middle_of(box) + step * reach
        flip = -1.0 if rng.random() < 0.5 else 1.0
        warp = np.empty((2, 2, 3))
        for view in range(2):
            out = np.linalg.solve(maps[view, :, :2], at - maps[view, :, 2]) + view * rng.normal(0, 3, 2)
            warp[view] = placed(row, out, wanted, angle, flip)
        like = int(box[1]) if rng.random() < self.mix.alike else 0
        return [Layer(row, warp, float(rng.uniform(0.85, 1.15)), like)]

    def tones(self, rng: np.random.Generator, index: int, maps: np.ndarray, pasted: list[Layer]) -> list[Tone]:
        """Things of a scene of which a side gets another colour: paint, or a metal's grey."""
        found: list[Tone] = []
        if self.store.pictures[index].clip is not None:  # colours have names there
            return found
        for row, where, thing in self._things(rng, index, maps, pasted):
            if rng.random() >= self.mix.toned:
                continue
            sides = sides_of(row)
            turn = (0.0 if sides[0] >= sides[1] else math.pi / 2) + rng.normal(0, 0.5) + math.pi * rng.integers(2)
            across = np.array([math.cos(turn), math.sin(turn)])
            on_thing = np.array([row[2], row[3]]) + sides * rng.uniform(0.3, 0.7, 2)
            line = np.empty((2, 3), np.float32)
            line[:, :2] = across @ where[:, :, :2]
            line[:, 2] = (where[:, :, 2] - on_thing) @ across
            metal = rng.random() < 0.4
            colour = rng.uniform(0.5, 1.7) * rng.uniform(0.93, 1.07, 3) if metal else rng.uniform(0.15, 1.9, 3)
            found.append(Tone(thing, line, colour.astype(np.float32)))
        return found
