# SPDX-License-Identifier: Apache-2.0
"""Codes that travel in prompt tensors, the same for model, runtimes and perception; free of torch."""

from enum import IntEnum


class SelectBy(IntEnum):
    """What an element's answer is chosen by among the model's queries."""

    POINTS = 0
    REFERENCE = 1
    TEXT = 2


class PriorKind(IntEnum):
    """What an element's prior box was made of; the row of the model's embedding of kinds."""

    NONE = 0
    CLICK = 1
    REGION = 2
    BOX = 3
    MASK = 4
