# SPDX-License-Identifier: Apache-2.0
"""How well one mask covers another: intersection over union, and its sums over a data set.

Void: pixels whose truth is not known (label 255 in VOC and DAVIS, 128 in GrabCut) are taken out of both masks before
anything is counted, so an answer there is neither rewarded nor punished.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from seem_ros.errors import DataError


def require_same_shape(prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> None:
    """Refuse masks that are not one picture's.

    Args:
        prediction, truth: bool [H, W]; void: bool [H, W] or None.

    Raises:
        DataError: the shapes differ or are not two-dimensional.
    """
    if prediction.ndim != 2 or prediction.shape != truth.shape:
        raise DataError(f"the predicted mask is {prediction.shape}, the true one {truth.shape}: both must be [H, W]")
    if void is not None and void.shape != truth.shape:
        raise DataError(f"the void mask is {void.shape}, the true mask {truth.shape}: both must be [H, W]")


@dataclass(frozen=True)
class Overlap:
    """Pixel counts of one prediction against one truth, void left out."""

    intersection_px: int
    union_px: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1.0 when both masks are empty (nothing was there and nothing was claimed)."""
        return self.intersection_px / self.union_px if self.union_px else 1.0


def overlap(prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> Overlap:
    """Count intersection and union of two masks.

    Args:
        prediction: bool [H, W].
        truth: bool [H, W].
        void: bool [H, W], True where the truth is unknown, or None.

    Raises:
        DataError: the shapes differ.
    """
    require_same_shape(prediction, truth, void)
    if void is not None and void.any():
        known = ~void
        prediction, truth = prediction & known, truth & known
    both = int(np.count_nonzero(prediction & truth))
    return Overlap(both, int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth)) - both)


def iou(prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> float:
    """Intersection over union of two bool [H, W] masks, void left out; see `overlap`."""
    return overlap(prediction, truth, void).iou


@dataclass
class MaskScores:
    """Sums of many single-mask answers: the numbers of the referring-expression literature.

    * cIoU: sum of intersections over sum of unions (large objects weigh more).
    * mIoU: mean of the single IoUs.
    * AP50 and precision@t: the share of answers with IoU >= t. With one answer per phrase "AP50" of the SEEM and
      RefCOCO tables is this same share.
    """

    intersections_px: list[int] = field(default_factory=list)
    unions_px: list[int] = field(default_factory=list)

    def add(self, prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> float:
        """Count one answer (bool [H, W] each) and return its IoU.

        Raises:
            DataError: shapes differ, or the truth is empty (a phrase that names nothing belongs to presence, not here).
        """
        one = overlap(prediction, truth, void)
        if not (truth & ~void if void is not None else truth).any():
            raise DataError("the true mask is empty: count phrases for absent objects with PresenceScores")
        self.intersections_px.append(one.intersection_px)
        self.unions_px.append(one.union_px)
        return one.iou

    def __len__(self) -> int:
        return len(self.unions_px)

    @property
    def ious(self) -> np.ndarray:
        """float64 [N]: IoU of each answer, in the order of `add`."""
        return np.asarray(self.intersections_px, np.float64) / np.asarray(self.unions_px, np.float64)

    @property
    def cumulative_iou(self) -> float:
        """Sum of intersections over sum of unions; NaN before the first answer."""
        return float(sum(self.intersections_px) / sum(self.unions_px)) if self.unions_px else float("nan")

    @property
    def mean_iou(self) -> float:
        """Mean IoU; NaN before the first answer."""
        return float(self.ious.mean()) if self.unions_px else float("nan")

    def precision_at(self, threshold: float) -> float:
        """Share of answers with IoU >= threshold; NaN before the first answer."""
        return float((self.ious >= threshold).mean()) if self.unions_px else float("nan")

    def summary(self) -> dict[str, float]:
        """cIoU, mIoU, AP50 and the precisions at 0.5 to 0.9."""
        result = {"cIoU": self.cumulative_iou, "mIoU": self.mean_iou, "AP50": self.precision_at(0.5)}
        result |= {f"precision@{t:.1f}": self.precision_at(t) for t in (0.5, 0.6, 0.7, 0.8, 0.9)}
        return result | {"n": len(self)}
