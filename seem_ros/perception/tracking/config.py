# SPDX-License-Identifier: Apache-2.0
"""The tracker's numbers, each with its range and what it does, so that a node can offer them as parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, NamedTuple

from seem_ros.errors import TargetError
from seem_ros.runtime.postprocess_config import PostprocessConfig


def _number(default: float, low: float, high: float, text: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "text": text})


def _switch(default: bool, text: str) -> Any:
    return field(default=default, metadata={"text": text})


class Described(NamedTuple):
    """One field: its name, type, default, least and greatest value (None for switches) and what it does."""

    name: str
    kind: type
    default: Any
    minimum: float | None
    maximum: float | None
    description: str


@dataclass(frozen=True)
class TrackerConfig:
    """How targets are remembered, lost and found again; every field describes itself, see ``describe``.

    Raises:
        TargetError: A value has another type or is outside its range, or two of them contradict each other.
    """

    max_targets: int = _number(64, 1, 1024, "targets kept at once; one more is refused")
    use_reference: bool = _switch(True, "memory: tokens of the frame where the user pointed (appearance)")
    use_previous_mask: bool = _switch(True, "memory: the last confident mask (place)")
    use_bank: bool = _switch(False, "memory: appearance of recent confident frames")
    use_text: bool = _switch(False, "a target found by text keeps the text as a further token")
    presence_found: float = _number(0.5, 0.0, 1.0, "presence a target that is not tracked needs to be found")
    presence_lost: float = _number(0.35, 0.0, 1.0, "presence below which a tracked target is not seen")
    presence_bank: float = _number(0.8, 0.0, 1.0, "presence a frame needs to enter the bank")
    occlude_after: int = _number(1, 1, 100, "frames in a row without the target before it counts as OCCLUDED")
    refind_after: int = _number(2, 1, 100, "frames in a row that must agree before a target is found at another place")
    lost_after: int = _number(150, 1, 100000, "frames without the target before it counts as LOST")
    lost_every: int = _number(3, 1, 1000, "a LOST target is looked for in every n-th frame only")
    memory_frames: int = _number(3, 0, 10000, "unseen frames for which the last mask alone guides the search")
    bank_size: int = _number(4, 0, 32, "confident frames kept per target")
    bank_every: int = _number(5, 1, 1000, "frames between two entries of the bank")
    max_jump: float = _number(1.0, 0.0, 100.0, "way in object diagonals that a target may move between two frames")
    jump_growth: float = _number(0.05, 0.0, 10.0, "added to max_jump for every unseen frame")
    similarity_margin: float = _number(
        0.2, 0.0, 2.0, "how far below its usual likeness a found object may be, half of it at another place"
    )
    prove_after: int = _number(
        3, 0, 100, "frames in which the reference alone must agree with what was found again; 0 = it is trusted at once"
    )
    doubt_after: int = _number(
        2, 1, 100, "frames in a row in which the reference alone answers elsewhere before a find is taken back"
    )
    unchanged_difference: float = _number(
        18.0,
        0.0,
        255.0,
        "mean grey-level change below which something was there before: a far candidate that is a look-alike, or what "
        "a mask has taken in of a neighbour",
    )
    still_difference: float = _number(
        6.0,
        0.0,
        255.0,
        "change in grey levels, at a quarter of the network's resolution, below which nothing has moved: a tracked "
        "target around which nothing has moved keeps its answer; 0 = every target is asked for in every frame",
    )
    still_frames: int = _number(15, 0, 10000, "frames that an answer is kept for at most")
    duplicate_overlap: float = _number(0.5, 0.0, 1.0, "overlap with a surer target from which a target is not seen")
    same_target: float = _number(0.7, 0.0, 1.0, "overlap from which a new prompt means an existing target")
    max_gap_s: float = _number(2.0, 0.0, 3600.0, "gap between two frames after which places are forgotten")

    def __post_init__(self) -> None:
        for one in self.describe():
            value = getattr(self, one.name)
            if one.minimum is None or one.maximum is None:  # a switch
                if not isinstance(value, bool):
                    raise TargetError(f"tracker.{one.name} must be true or false, got {value!r}")
                continue
            if isinstance(value, bool) or not isinstance(value, (int,) if one.kind is int else (int, float)):
                raise TargetError(f"tracker.{one.name} must be of type {one.kind.__name__}, got {value!r}")
            if not one.minimum <= value <= one.maximum:  # NaN fails too
                raise TargetError(f"tracker.{one.name} must lie in {one.minimum:g}..{one.maximum:g}, got {value:g}")
        if self.presence_lost > self.presence_found:
            raise TargetError(
                f"tracker.presence_lost must not exceed presence_found, got {self.presence_lost:g} and "
                f"{self.presence_found:g}: a target would be found and lost in turn"
            )

    @classmethod
    def for_model(cls, postprocess: PostprocessConfig) -> TrackerConfig:
        """The defaults with what a model package says about its own presence score.

        Args:
            postprocess: Of the package; ``presence_found`` and ``presence_lost`` are read.
        """
        return cls(presence_found=postprocess.presence_found, presence_lost=postprocess.presence_lost)

    @classmethod
    def describe(cls) -> Iterator[Described]:
        """Every field with type, default, range and description."""
        for one in fields(cls):
            assert one.default is not MISSING
            meta = one.metadata
            yield Described(one.name, type(one.default), one.default, meta.get("low"), meta.get("high"), meta["text"])
