# SPDX-License-Identifier: Apache-2.0
"""Text, presence and reference pictures: what is asked about one tabletop frame, and what it must answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seem_ros.datasets.tabletop import WorldInstance
from seem_ros.sim.vocabulary import COLOURS, SHAPES


def fits(phrase: str, thing: WorldInstance) -> bool:
    """Whether all words of a phrase are true of a thing: "red mug" fits a "small striped red mug"."""
    return set(phrase.split()) <= set(thing.full_name.split())


def names_one(phrase: str, thing: WorldInstance, visible: Sequence[WorldInstance]) -> bool:
    """Whether a phrase fits this thing and no other visible one."""
    return fits(phrase, thing) and not any(
        fits(phrase, other) for other in visible if other.instance_id != thing.instance_id
    )


def absent_phrases(visible: Sequence[WorldInstance], rng: np.random.Generator) -> list[tuple[str, str]]:
    """A near and a far phrase that fit nothing in the picture, as (kind, phrase).

    near: the colour of one visible thing and the shape of another kind, or the reverse; far: neither the colour nor
    the shape is there. A kind for which the picture leaves nothing is left out.
    """
    colours = {thing.colour for thing in visible if thing.is_thing}
    shapes = {thing.shape for thing in visible if thing.is_thing}
    free = [
        (colour, shape)
        for colour in COLOURS
        for shape in SHAPES
        if not any(fits(f"{colour} {shape}", thing) for thing in visible)
    ]
    near = [pair for pair in free if pair[0] in colours or pair[1] in shapes]
    far = [pair for pair in free if pair[0] not in colours and pair[1] not in shapes]
    return [
        (kind, " ".join(pairs[int(rng.integers(len(pairs)))]))
        for kind, pairs in (("near", near), ("far", far))
        if pairs
    ]
