# SPDX-License-Identifier: Apache-2.0
"""What a segmenter can be told besides the prompts."""

from __future__ import annotations

from dataclasses import dataclass

from seem_ros.errors import PromptError

UNKNOWN_WORDS = ("resolve", "refuse", "use")


@dataclass(frozen=True)
class SegmenterConfig:
    """Attributes:
    presence_threshold: Below it "nothing found" is the answer, 0..1; None takes the model's own.
    unknown_words: What happens to text with words the model was never trained on: ``resolve`` asks for
        a name that it knows by a plural, synonym, narrower or broader word and says so, and refuses where there is
        none; ``refuse`` answers "nothing found" (or goes on without the text where the prompt has other parts);
        ``use`` asks all the same. All report them.
    panoptic_score: Class probability a panoptic segment needs, 0..1; None takes the model's own.
    panoptic_overlap: Part of its own mask that a panoptic segment must keep, 0..1; None takes the model's own.
    max_texts_cached: Text features kept.
    max_references_cached: Reference pictures whose tokens are kept.
    name_prompts: Prompts without text are named from the vocabulary.
    drop_strays: Leave out parts of a prompt's mask that do not touch where it points, and specks. Only for the
        built-in model; the masks of official models stay as they are.
    min_part: Parts below this share of the largest part are specks, 0..1: they would stretch the box and pull the
        centre away.
    follow_edges: Move the borders of masks to the picture's edges nearby, where the model's package asks for that
        (``PostprocessConfig.edge_radius``). It costs half a millisecond per small mask, more at 1080p.
    look_closer: Look a second time at small things that a box or several clicks point at, where the model's package
        asks for that (``PostprocessConfig.closer_look``). Each costs one more encode.
    one_thing: Refuse texts that ask for several things. Off where texts are names of a data set.
    """

    presence_threshold: float | None = None
    unknown_words: str = "resolve"
    panoptic_score: float | None = None
    panoptic_overlap: float | None = None
    max_texts_cached: int = 512
    max_references_cached: int = 16
    name_prompts: bool = True
    drop_strays: bool = True
    min_part: float = 0.05
    follow_edges: bool = True
    look_closer: bool = True
    one_thing: bool = True

    def __post_init__(self) -> None:
        for name in ("presence_threshold", "panoptic_score", "panoptic_overlap", "min_part"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise PromptError(f"{name} must lie in 0..1, got {value!r}")
        if self.unknown_words not in UNKNOWN_WORDS:
            raise PromptError(f"unknown_words must be one of {UNKNOWN_WORDS}, got {self.unknown_words!r}")
        for name in ("max_texts_cached", "max_references_cached"):
            if getattr(self, name) < 1:
                raise PromptError(f"{name} must be at least 1, got {getattr(self, name)}")
