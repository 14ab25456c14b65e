# SPDX-License-Identifier: Apache-2.0
"""What a batch asks, as arrays: what every slot holds, and what is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OBJECTS = 24  # objects per frame that the object queries are held against
# What a slot of the first round asks. The first three are gone on with, click by click.
SLOTS = ("click", "box", "mixed", "text", "text or nothing", "reference", "memory", "composed")
NONE, CLICK, CLICKS, BOX, SCRIBBLE, REGION, MEMORY = range(7)


@dataclass
class AskPlan:
    """N frames x P asks as arrays; see `SLOTS`.

    Attributes:
        kind: [N, P] int8 geometry, NONE .. MEMORY.
        layer: [N, P] 0 = ids, 1 = ids of groups; target: [N, P] one of the right ids (0 = nothing is there).
        several: {(n, p): ids} where any of several is right.
        counted: [N, P] bool; there: [N, P] bool.
        text: [N, P] index into `texts`, -1 = none; texts: what is said.
        look: [N, P, 3] int (frame, layer, id) whose look is given, frame -1 = none; pooled: [N, P] bool.
        before: [N, P] frame whose mask is the memory, -1 = none; memory_of: [N, P, 2] (layer, id) of that mask.
        names: [N, 2, 256] int16 index of every id in the two banks, -1 = no name there.
        banks: the class names and the colour-and-class names, "background" last in both.
        objects: [N, OBJECTS, 2] (layer, id), id 0 = none; complete: [N] bool, what is unlabelled is background.
        things: [N, 256] bool.
    """

    kind: np.ndarray
    layer: np.ndarray
    target: np.ndarray
    several: dict[tuple[int, int], list[int]]
    counted: np.ndarray
    there: np.ndarray
    text: np.ndarray
    texts: list[str]
    look: np.ndarray
    pooled: np.ndarray
    before: np.ndarray
    memory_of: np.ndarray
    names: np.ndarray
    banks: tuple[tuple[str, ...], tuple[str, ...]]
    objects: np.ndarray
    complete: np.ndarray
    things: np.ndarray
