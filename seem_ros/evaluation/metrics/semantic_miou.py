# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation: a confusion matrix and the mean IoU over classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seem_ros.errors import DataError

VOID_LABEL = 255


class SemanticScores:
    """Counts labelled pixels over many pictures.

    Pixels whose *truth* is void (255) are not counted at all. Pixels that the *prediction* leaves unlabelled (255) are
    counted as missed for their true class and as claimed for none.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        """Raises DataError for no classes or more than 255 (255 is void)."""
        if not 0 < len(class_names) <= VOID_LABEL:
            raise DataError(f"{len(class_names)} classes: allowed are 1 to {VOID_LABEL} (label {VOID_LABEL} is void)")
        self.class_names = tuple(class_names)
        size = len(class_names)
        # Row: truth; column: prediction, the last one for "left unlabelled".
        self.confusion_px = np.zeros((size, size + 1), np.int64)

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Count one picture.

        Args:
            prediction, truth: integer [H, W] class labels 0..C-1, or 255 for void.

        Raises:
            DataError: shapes differ or a label is neither a class nor 255.
        """
        if prediction.shape != truth.shape or truth.ndim != 2:
            raise DataError(f"predicted labels are {prediction.shape}, true ones {truth.shape}: both must be [H, W]")
        size = len(self.class_names)
        for labels, which in ((prediction, "predicted"), (truth, "true")):
            wrong = labels[((labels < 0) | (labels >= size)) & (labels != VOID_LABEL)]
            if wrong.size:
                raise DataError(
                    f"{which} label {int(wrong[0])} is not a class: allowed are 0 to {size - 1}, "
                    f"or {VOID_LABEL} for void"
                )
        known = truth != VOID_LABEL
        rows = truth[known].astype(np.int64)
        columns = prediction[known].astype(np.int64)
        columns[columns == VOID_LABEL] = size
        self.confusion_px += np.bincount(rows * (size + 1) + columns, minlength=size * (size + 1)).reshape(size, -1)

    def ious(self) -> np.ndarray:
        """float64 [C]: IoU per class; NaN for classes that never occur in the truth."""
        hit = np.diag(self.confusion_px[:, :-1]).astype(np.float64)
        true_px = self.confusion_px.sum(1)
        union = true_px + self.confusion_px[:, :-1].sum(0) - hit
        return np.where(true_px > 0, hit / np.maximum(union, 1), np.nan)

    def summary(self) -> dict[str, float]:
        """mIoU over the classes that occur in the truth (as detectron2 reports it) and pixel accuracy; NaN if none."""
        ious = self.ious()
        total = self.confusion_px.sum()
        return {
            "mIoU": float(np.nanmean(ious)) if np.isfinite(ious).any() else float("nan"),
            "pixel_accuracy": float(np.trace(self.confusion_px[:, :-1]) / total) if total else float("nan"),
            "classes": int(np.isfinite(ious).sum()),
        }
