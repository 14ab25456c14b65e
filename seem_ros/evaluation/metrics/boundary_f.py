# SPDX-License-Identifier: Apache-2.0
"""Region similarity J, contour accuracy F and their mean, as the DAVIS benchmark defines them.

Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation, CVPR 2016. J is the IoU.
F compares the two contours: a contour pixel is right when the other contour passes within a tolerance of 0.008 of the
picture's diagonal (rounded up to whole pixels); F is the harmonic mean of the contours' precision and recall. The
matching is done by dilating each contour with a disc, the benchmark's own approximation of bipartite matching.

Void pixels are set to background in both masks, as the benchmark does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.iou import iou, require_same_shape

TOLERANCE_OF_DIAGONAL = 0.008


def contour(mask: np.ndarray) -> np.ndarray:
    """Pixels where the mask changes towards the right, below or the lower right neighbour.

    Args:
        mask: bool [H, W].

    Returns:
        bool [H, W]. Beyond the picture's edge the mask is taken to go on unchanged: an object cut by the edge has no
        contour there.
    """
    extended = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, across = extended[:-1, 1:], extended[1:, :-1], extended[1:, 1:]
    return (mask ^ right) | (mask ^ below) | (mask ^ across)


def boundary_f(
    prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None, tolerance: float = TOLERANCE_OF_DIAGONAL
) -> float:
    """Contour accuracy F of two bool [H, W] masks in 0..1.

    Args:
        tolerance: share of the diagonal if below 1, else pixels.

    Both masks without a contour give 1, one of them alone 0.

    Raises:
        DataError: shapes differ.
    """
    require_same_shape(prediction, truth, void)
    if void is not None:
        prediction, truth = prediction & ~void, truth & ~void
    ours, theirs = contour(prediction), contour(truth)
    n_ours, n_theirs = np.count_nonzero(ours), np.count_nonzero(theirs)
    if not n_ours or not n_theirs:
        return 1.0 if n_ours == n_theirs else 0.0
    radius = int(tolerance) if tolerance >= 1 else math.ceil(tolerance * math.hypot(*truth.shape))
    # Nothing happens away from the contours: only their common box is dilated, which is much cheaper and equal.
    either = ours | theirs
    rows, columns = np.flatnonzero(either.any(1)), np.flatnonzero(either.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    ours, theirs = ours[window], theirs[window]
    offsets = np.arange(-radius, radius + 1)
    disc = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2).astype(np.uint8)
    precision = np.count_nonzero(ours & (cv2.dilate(theirs.astype(np.uint8), disc) > 0)) / n_ours
    recall = np.count_nonzero(theirs & (cv2.dilate(ours.astype(np.uint8), disc) > 0)) / n_theirs
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass(frozen=True)
class TrackScores:
    """J and F of one object on every scored frame, float [T] each."""

    j: tuple[float, ...]
    f: tuple[float, ...]

    @property
    def j_mean(self) -> float:
        return float(np.mean(self.j))

    @property
    def f_mean(self) -> float:
        return float(np.mean(self.f))

    @property
    def j_and_f(self) -> float:
        """The benchmark's headline: the mean of mean J and mean F."""
        return (self.j_mean + self.f_mean) / 2

    @property
    def j_recall(self) -> float:
        """Share of frames with J above 0.5."""
        return float(np.mean(np.asarray(self.j) > 0.5))

    @property
    def j_decay(self) -> float:
        """Mean J of the first quarter of the frames minus that of the last: how much quality is lost over time."""
        quarters = np.array_split(np.asarray(self.j), 4)
        return float(quarters[0].mean() - quarters[-1].mean()) if len(self.j) >= 4 else 0.0


def score_track(
    predictions: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    voids: Sequence[np.ndarray | None] | None = None,
    skip_last: bool = True,
) -> TrackScores:
    """Score one object over a clip.

    The first frame (where the prompt is given) is never scored; the last is left out as well unless told otherwise, as
    in DAVIS. A frame in which the object is hidden counts: an empty answer gives J = F = 1, any other 0.

    Args:
        predictions, truths: bool [H, W] for each frame of the clip, first frame included.
        voids: bool [H, W] or None for each frame.

    Raises:
        DataError: the lists differ in length, or no frame is left to score.
    """
    if len(predictions) != len(truths) or (voids is not None and len(voids) != len(truths)):
        raise DataError(f"{len(predictions)} predicted and {len(truths)} true masks: one of each per frame is needed")
    end = len(truths) - 1 if skip_last else len(truths)
    if end <= 1:
        raise DataError(
            f"a clip of {len(truths)} frames leaves nothing to score: "
            f"the first frame{' and the last' * skip_last} never count"
        )
    j, f = [], []
    for index in range(1, end):
        void = voids[index] if voids is not None else None
        j.append(iou(predictions[index], truths[index], void))
        f.append(boundary_f(predictions[index], truths[index], void))
    return TrackScores(tuple(j), tuple(f))


def track_summary(tracks: Sequence[TrackScores]) -> dict[str, float]:
    """Means over objects: J&F, J, F, J recall, J decay."""
    if not tracks:
        return {"n": 0}
    names = {"J&F": "j_and_f", "J": "j_mean", "F": "f_mean", "J_recall": "j_recall", "J_decay": "j_decay"}
    return {key: float(np.mean([getattr(t, name) for t in tracks])) for key, name in names.items()} | {"n": len(tracks)}
