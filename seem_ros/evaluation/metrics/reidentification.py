# SPDX-License-Identifier: Apache-2.0
"""Does a tracker remember the right thing? Re-finds while it is hidden, finds after it, swaps with a twin.

J&F alone hides these: a tracker that jumps to an equal object, or that invents the mug behind the arm, loses a few
hundredths of J&F and the planner's trust.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.iou import iou


@dataclass
class MemoryScores:
    """Sums over tracked objects.

    * hidden_frames / false_finds: frames in which the object, seen before, is wholly hidden or outside the
      picture; and those among them in which the tracker claimed a mask.
    * returns / refound: ends of a hidden spell; and those after which IoU >= 0.5 was reached within `patience` frames.
    * twin_frames / twin_taken: frames in which an equal object is visible; and those in which the answer lies more on
      a twin than on the object itself (IoU with the twin larger, and at least 0.3).
    * switches: how often an answer went from the object to a twin between two frames.
    """

    hidden_frames: int = 0
    false_finds: int = 0
    returns: int = 0
    refound: int = 0
    twin_frames: int = 0
    twin_taken: int = 0
    switches: int = 0
    tracks: int = 0

    def add(
        self,
        predictions: Sequence[np.ndarray],
        truths: Sequence[np.ndarray],
        twins: Sequence[Sequence[np.ndarray]] | None = None,
        patience: int = 10,
    ) -> None:
        """Count one object over a clip.

        Args:
            predictions: bool [H, W] per frame, empty where the tracker says "not seen".
            truths: bool [H, W] per frame; the first must not be empty (the prompt was given there).
            twins: per frame the masks bool [H, W] of the other objects that share its name.
            patience: frames allowed for finding it again.

        Raises:
            DataError: lists of different lengths, or an object not visible in its first frame.
        """
        if len(predictions) != len(truths) or (twins is not None and len(twins) != len(truths)):
            raise DataError(f"{len(predictions)} predicted and {len(truths)} true masks: one each per frame")
        if not len(truths) or not truths[0].any():
            raise DataError("the object must be visible in the first frame: its prompt is given there")
        self.tracks += 1
        visible = [bool(truth.any()) for truth in truths]
        on_twin_before = False
        for index in range(1, len(truths)):
            if not visible[index]:
                self.hidden_frames += 1
                self.false_finds += bool(predictions[index].any())
            elif not visible[index - 1]:
                stretch = range(index, min(index + patience, len(truths)))
                self.returns += 1
                self.refound += any(visible[k] and iou(predictions[k], truths[k]) >= 0.5 for k in stretch)
            others = [twin for twin in twins[index] if twin.any()] if twins is not None else []
            if others:
                self.twin_frames += 1
                best = max(iou(predictions[index], twin) for twin in others)
                own = iou(predictions[index], truths[index]) if visible[index] else 0.0
                on_twin = best > own and best >= 0.3
                self.twin_taken += on_twin
                self.switches += on_twin and not on_twin_before
                on_twin_before = on_twin

    def summary(self) -> dict[str, float]:
        """Shares (NaN where there was no occasion) and counts."""

        def share(part: int, whole: int) -> float:
            return part / whole if whole else float("nan")

        return {
            "false_finds_while_hidden": share(self.false_finds, self.hidden_frames),
            "hidden_frames": self.hidden_frames,
            "found_again": share(self.refound, self.returns),
            "returns": self.returns,
            "frames_on_twin": share(self.twin_taken, self.twin_frames),
            "twin_frames": self.twin_frames,
            "id_switches": self.switches,
            "tracks": self.tracks,
        }
