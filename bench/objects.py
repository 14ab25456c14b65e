# SPDX-License-Identifier: Apache-2.0
r"""How often taught objects are found again on other pictures, and how often something else is taken for them.

    python bench/objects.py --things 20 --pictures 3 --views 1 3

Twenty things of the simulated tabletop are taught from one side or three. Each is then looked for in pictures with
other things, another place, another light, from 25 % nearer to 30 % farther: found again counts where the mask's
overlap with the truth is above one half. Every other taught name is asked for in the same pictures: a look-alike is a
picture with a thing of the same shape or of the same colour, and nothing of that name. Needs EGL.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from seem_ros import Frame, Prompt, SeemError, Segmenter
from seem_ros.perception.objects.memory import ObjectMemory
from seem_ros.perception.objects.taught import TaughtView
from seem_ros.sim.scene.spec import ObjectSpec, SceneSpec, random_objects
from seem_ros.sim.scene.viewpoint import Viewpoint
from seem_ros.sim.world import World

SIDES_RAD = (0.0, -0.7, 0.7)
MIN_AREA_PX = 500  # less of it is seen: it stands behind another thing
FIRST_SEED = 3000
WIDTHS = (5, 13, 13, 14, 15, 10)


@dataclass(frozen=True)
class Picture:
    """A picture and what is true about it.

    Attributes:
        rgb: uint8 [H, W, 3].
        mask: bool [H, W], where the thing is that this picture is about.
        kinds: Colour and shape of every thing in it.
    """

    rgb: np.ndarray
    mask: np.ndarray
    kinds: frozenset[tuple[str, str]]


def viewpoint(side_rad: float, elevation_deg: float, distance_m: float) -> Viewpoint:
    """Towards the middle of the table."""
    return Viewpoint(np.array([0.0, 0.0, 0.03]), side_rad - np.pi / 2, np.radians(elevation_deg), distance_m, 0.0, 42.0)


def different(count: int, unlike: ObjectSpec, rng: np.random.Generator) -> list[ObjectSpec]:
    """Things that have another name than one thing."""
    drawn: list[ObjectSpec] = []
    while len(drawn) < count:
        drawn += [one for one in random_objects(rng, count) if (one.colour, one.shape) != (unlike.colour, unlike.shape)]
    return drawn[:count]


def shoot(world: World) -> Picture:
    """What the camera of a world sees now; the thing that it is about is its first."""
    frame = world.render()
    kinds = frozenset((one.colour, one.shape) for one in frame.instances if one.isthing)
    return Picture(frame.rgb, frame.ids == 1, kinds)


def lesson(thing: ObjectSpec, seed: int, rng: np.random.Generator) -> list[Picture]:
    """A thing among three others, from three sides."""
    things = (replace(thing, xy_m=(0.0, -0.05)), *different(3, thing, rng))
    distance_m = 0.9
    scene = SceneSpec(things, seed, 480, 640, viewpoint(0.0, 40.0, distance_m))
    with World(scene) as world:
        pictures = []
        for side_rad in SIDES_RAD:
            world.viewpoint = viewpoint(side_rad, 40.0, distance_m)
            pictures.append(shoot(world))
        return pictures


def elsewhere(thing: ObjectSpec, seed: int, count: int, rng: np.random.Generator) -> Iterator[Picture]:
    """The same thing (the seed gives it its proportions and its shade) in other scenes."""
    made = 0
    while made < count:
        view = viewpoint(rng.uniform(-0.5, 0.5), rng.uniform(33, 48), 0.9 * rng.uniform(0.75, 1.3))
        scene = SceneSpec((thing, *different(5, thing, rng)), seed, 480, 640, view)
        try:
            with World(scene) as world:
                picture = shoot(world)
        except SeemError:
            continue  # no room on the table
        if np.count_nonzero(picture.mask) >= MIN_AREA_PX:
            made += 1
            yield picture


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--things", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=3, help="of each thing")
    parser.add_argument("--views", type=int, nargs="+", default=[1, 3], help="that each thing is taught from")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args()
    rng = np.random.default_rng(77)
    things: list[ObjectSpec] = []
    while len(things) < options.things:
        one = random_objects(rng, 1)[0]
        if one.size != "small" and (one.colour, one.shape) not in {(other.colour, other.shape) for other in things}:
            things.append(one)
    lessons = [lesson(thing, FIRST_SEED + number, rng) for number, thing in enumerate(things)]
    tests = [
        (number, picture)
        for number, thing in enumerate(things)
        for picture in elsewhere(thing, FIRST_SEED + number, options.pictures, rng)
    ]
    names = [f"thing {number}" for number in range(len(things))]
    print(f"{len(things)} things, {len(tests)} pictures, {options.model}")
    print(
        f"{'views':>5}{'found again':>13}{'look-alikes':>13}{'of one shape':>14}{'of one colour':>15}{'anything':>10}"
    )
    with Segmenter.load(options.model, options.backend) as segmenter:
        for count in options.views:
            memory = segmenter.objects = ObjectMemory()
            for name, pictures in zip(names, lessons, strict=True):
                for number, picture in enumerate(pictures[:count]):
                    memory.teach(name, TaughtView(picture.rgb, picture.mask, number))
            print(f"{count:>{WIDTHS[0]}}" + row(segmenter, names, things, tests), flush=True)
    return 0


def row(segmenter: Segmenter, names: list[str], things: list[ObjectSpec], tests: list[tuple[int, Picture]]) -> str:
    """One line of the table."""
    again, wrong, shape, colour = [], [], [], []
    for number, picture in tests:
        frame = Frame(picture.rgb)
        segments = segmenter.segment([Prompt(text=names[number])], frame)
        answer = segments.answers[0]
        mask = segments.labels == answer.segment.value if answer.segment is not None else np.zeros_like(picture.mask)
        overlap = np.count_nonzero(mask & picture.mask) / np.count_nonzero(mask | picture.mask)
        again.append(answer.found and overlap > 0.5)
        absent = [i for i, one in enumerate(things) if (one.colour, one.shape) not in picture.kinds]
        predictions = segmenter.predict([Prompt(text=names[i]) for i in absent], frame)
        for i, prediction in zip(absent, predictions, strict=True):
            wrong.append(prediction.found)
            shape.append(things[i].shape in {kind[1] for kind in picture.kinds})
            colour.append(things[i].colour in {kind[0] for kind in picture.kinds})
    taken, same_shape, same_colour = np.array(wrong), np.array(shape), np.array(colour)
    shares = (taken[same_shape | same_colour], taken[same_shape], taken[same_colour], taken)
    cells = [f"{np.mean(again):.0%}", *(f"{one.mean():.1%}" for one in shares)]
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS[1:], strict=True))


if __name__ == "__main__":
    sys.exit(main())
