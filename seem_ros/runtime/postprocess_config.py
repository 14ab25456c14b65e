# SPDX-License-Identifier: Apache-2.0
"""What a model package says about reading its answers: thresholds of its own scores, and which corrections it needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from seem_ros.errors import ModelError

WHOLE = ("edge_radius", "clicks_at_once")  # whole numbers among the thresholds


@dataclass(frozen=True)
class PostprocessConfig:
    """Numbers that belong to one model's scores; the ``thresholds`` of ``model.yaml`` and of a model card.

    Attributes:
        presence_found: Presence from which something counts as found, 0..1. The default is for models whose scores were
            never measured.
        presence_lost: Presence below which a tracked target is not seen, 0..1.
        panoptic_score: Class probability a panoptic segment needs, 0..1. The official demo's by default.
        panoptic_overlap: Part of its own mask that a panoptic segment must keep beside surer ones, 0..1. The official
            0.8 by default.
        name_found: Probability among all names of the vocabulary from which the best one is given to what was found
            without words, 0..1; 0 where the best one is always given, as the official demo does.
        text_slope, text_middle: Logistic curve by which the object queries answer texts; None where texts are left to
            the decoder. Both or neither.
        edge_radius: How far the guided filter may move a border to the picture's edges, network pixels; 0 where masks
            stay as they are.
        click_tolerance_px: How far a click or stroke may lie on the wrong side of a mask's border, network pixels; None
            where masks that contradict the user stay as they are.
        box_agreement: Least intersection over union of a box and the mask's extent, 0..1; 0 where boxes are left to the
            model.
        box_vote: Least intersection over union of a box and the extent of what model and colours say together, from
            which that is taken, 0..1; 0 where only the model is asked.
        clicks_at_once: Clicks of a prompt that are asked together; each further one is a round of its own, with the
            mask before it as memory. 0 where all are asked together.
        closer_look: How many times larger a thing must be seen by itself for a second look at it, where a box or
            several clicks say where it is; 0 where there is one look alone.

    Raises:
        ModelError: A number is outside its range, or one of the text curve's is missing.
    """

    presence_found: float = 0.5
    presence_lost: float = 0.35
    panoptic_score: float = 0.4
    panoptic_overlap: float = 0.8
    name_found: float = 0.0
    text_slope: float | None = None
    text_middle: float | None = None
    edge_radius: int = 0
    click_tolerance_px: float | None = None
    box_agreement: float = 0.0
    box_vote: float = 0.0
    clicks_at_once: int = 0
    closer_look: float = 0.0

    def __post_init__(self) -> None:
        for name in (
            "presence_found",
            "presence_lost",
            "panoptic_score",
            "panoptic_overlap",
            "name_found",
            "box_agreement",
            "box_vote",
        ):
            if not 0.0 <= getattr(self, name) <= 1.0:  # NaN fails too
                raise ModelError(f"thresholds: {name} must lie in 0..1, got {getattr(self, name)!r}")
        if self.presence_lost > self.presence_found:
            raise ModelError(
                f"thresholds: presence_lost must not exceed presence_found, got {self.presence_lost:g} and "
                f"{self.presence_found:g}"
            )
        if (self.text_slope is None) != (self.text_middle is None):
            raise ModelError("thresholds: text_slope and text_middle belong together, got only one of them")
        for name in ("text_slope", "text_middle"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ModelError(f"thresholds: {name} must be finite, got {value!r}")
        for name in WHOLE:
            if not 0 <= getattr(self, name) <= 100:
                raise ModelError(f"thresholds: {name} must lie in 0..100, got {getattr(self, name)!r}")
        if self.closer_look != 0 and not 1.0 < self.closer_look <= 100.0:
            raise ModelError(f"thresholds: closer_look must be 0, or above 1 and at most 100, got {self.closer_look!r}")
        if self.click_tolerance_px is not None and not 0.0 <= self.click_tolerance_px <= 100.0:
            raise ModelError(f"thresholds: click_tolerance_px must lie in 0..100, got {self.click_tolerance_px!r}")

    @classmethod
    def from_mapping(cls, plain: Mapping[str, Any]) -> PostprocessConfig:
        """Reads what a package or a card says.

        Raises:
            ModelError: A name is unknown, or a value is no number or outside its range.
        """
        known = [one.name for one in fields(cls)]
        unknown = sorted(str(name) for name in plain if name not in known)
        if unknown:
            raise ModelError(f"unknown thresholds {unknown}; known are {', '.join(known)}")
        values: dict[str, Any] = {}
        for name, value in plain.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ModelError(f"thresholds: {name} must be a number, got {value!r}")
            if name in WHOLE and value != int(value):
                raise ModelError(f"thresholds: {name} must be a whole number, got {value!r}")
            values[name] = int(value) if name in WHOLE else float(value)
        if "presence_found" in values:  # whoever names the one alone means both
            values.setdefault("presence_lost", min(cls.presence_lost, values["presence_found"]))
        return cls(**values)

    def to_mapping(self) -> dict[str, float]:
        """What `from_mapping` reads: everything that is not the default."""
        return {
            one.name: float(getattr(self, one.name)) for one in fields(self) if getattr(self, one.name) != one.default
        }
