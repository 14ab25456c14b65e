# SPDX-License-Identifier: Apache-2.0
"""The click simulation of the interactive-segmentation literature, and the numbers counted with it.

The user always clicks the centre of the largest error: the pixel farthest from the border of the missed region
(positive click) or of the wrongly taken region (negative click), whichever distance is larger; the picture's edge
counts as a border (Xu et al., Deep Interactive Object Selection, CVPR 2016; the form with the two distance transforms
is that of Sofiiuk et al., RITM, 2021). The first click therefore lies in the object's middle. Pixels already clicked
and void pixels are never clicked.

* 1-IoU: IoU after the first click.
* NoC@t: mean number of clicks until IoU >= t; objects that never get there count as the largest number allowed (20).
* K-NoC@t: the same with at most K clicks (K = 5, 10, 20 in the SEEM paper): objects not done after K count as K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.iou import iou, require_same_shape

MAX_CLICKS = 20


@dataclass(frozen=True)
class SimulatedClick:
    """A pixel of the source picture: column x, row y; positive = "this belongs to it"."""

    x: int
    y: int
    positive: bool


def next_click(
    prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None, clicked: np.ndarray | None = None
) -> SimulatedClick | None:
    """Where the simulated user clicks next, or None when there is no error left to click on.

    Args:
        prediction: bool [H, W], the mask so far (empty before the first click).
        truth: bool [H, W].
        void: bool [H, W] or None: neither an error nor a place to click.
        clicked: bool [H, W] or None: pixels used by earlier clicks.

    Raises:
        DataError: shapes differ.
    """
    require_same_shape(prediction, truth, void)
    missed, wrong = truth & ~prediction, prediction & ~truth
    if void is not None:
        missed, wrong = missed & ~void, wrong & ~void
    deepest = [_deepest(region, clicked) for region in (missed, wrong)]
    (missed_depth, missed_at), (wrong_depth, wrong_at) = deepest
    if max(missed_depth, wrong_depth) <= 0:
        return None
    row, column = missed_at if missed_depth > wrong_depth else wrong_at
    return SimulatedClick(column, row, missed_depth > wrong_depth)


def _deepest(region: np.ndarray, clicked: np.ndarray | None) -> tuple[float, tuple[int, int]]:
    """Largest distance to the region's border in px and where (row, column); 0 for an empty region."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if not rows.size:
        return 0.0, (0, 0)
    top, left = int(rows[0]), int(columns[0])
    # Only the region's box is transformed, with a border of zeros: equal to the whole picture and much cheaper.
    inside = region[top : rows[-1] + 1, left : columns[-1] + 1]
    padded = np.pad(inside.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    if clicked is not None:
        depth = np.where(clicked[top : rows[-1] + 1, left : columns[-1] + 1], 0, depth)
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    return float(depth[row, column]), (top + row, left + column)


class ClickSession:
    """One object being refined by simulated clicks: ask for `next()`, answer with `update(mask)`."""

    def __init__(self, truth: np.ndarray, void: np.ndarray | None = None, max_clicks: int = MAX_CLICKS) -> None:
        """Args: truth, void: bool [H, W]; max_clicks: how often the user clicks at most.

        Raises:
            DataError: nothing to click on, or max_clicks below 1.
        """
        if max_clicks < 1:
            raise DataError(f"max_clicks is {max_clicks}: at least 1 is needed")
        if not (truth & ~void if void is not None else truth).any():
            raise DataError("the true mask is empty: there is nothing to click on")
        self.truth, self.void, self.max_clicks = truth, void, max_clicks
        self.mask = np.zeros_like(truth)
        self.clicks: list[SimulatedClick] = []
        self.ious: list[float] = []
        self._clicked = np.zeros_like(truth)

    def next(self) -> SimulatedClick | None:
        """The next click, or None when the clicks are used up or no error is left."""
        if len(self.ious) >= self.max_clicks or len(self.clicks) > len(self.ious):
            return None
        click = next_click(self.mask, self.truth, self.void, self._clicked)
        if click is not None:
            self.clicks.append(click)
            self._clicked[click.y, click.x] = True
        return click

    def update(self, mask: np.ndarray) -> float:
        """Take the model's answer (bool [H, W]) to the newest click and return its IoU."""
        value = iou(mask, self.truth, self.void)
        self.mask = mask
        self.ious.append(value)
        return value

    def iou_after(self, clicks: int) -> float:
        """IoU after that many clicks; if the session ended earlier (no error left), its last IoU."""
        if not self.ious:
            raise DataError("no click has been answered yet")
        return self.ious[min(clicks, len(self.ious)) - 1]


def number_of_clicks(ious: Sequence[float], threshold: float, max_clicks: int = MAX_CLICKS) -> int:
    """Clicks needed by one object: index of the first IoU >= threshold, plus one; max_clicks if never reached.

    Args:
        ious: IoU after click 1, 2, ...; only the first max_clicks are looked at.
    """
    reached = np.flatnonzero(np.asarray(ious[:max_clicks], np.float64) >= threshold)
    return int(reached[0]) + 1 if reached.size else max_clicks


def click_summary(all_ious: Sequence[Sequence[float]], max_clicks: int = MAX_CLICKS) -> dict[str, float]:
    """1-IoU, NoC@85, NoC@90, K-NoC@90 for K = 5, 10, 20 (not above max_clicks), and the share never reaching 0.90.

    Args:
        all_ious: per object, the IoU after each click; sequences may end early when no error was left.
    """
    if not all_ious:
        return {"n": 0}

    def mean(threshold: float, limit: int) -> float:
        return float(np.mean([number_of_clicks(ious, threshold, limit) for ious in all_ious]))

    result = {
        "1-IoU": float(np.mean([ious[0] for ious in all_ious])),
        "NoC@85": mean(0.85, max_clicks),
        "NoC@90": mean(0.90, max_clicks),
    }
    result |= {f"{k}-NoC@90": mean(0.90, k) for k in (5, 10, 20) if k <= max_clicks}
    result["never@90"] = float(np.mean([max(ious[:max_clicks]) < 0.90 for ious in all_ious]))
    return result | {"max_clicks": max_clicks, "n": len(all_ious)}
