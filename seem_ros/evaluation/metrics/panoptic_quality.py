# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality (Kirillov et al., Panoptic Segmentation, CVPR 2019), with COCO's rules for void and crowds.

A predicted and a true segment of one class match when their IoU is above 0.5 (then no other pair can). Void pixels of
the truth are taken out of a prediction's area before its IoU is computed; an unmatched prediction that lies for more
than half on void, or on a crowd of its own class, is not counted as false. Crowd segments of the truth are never
counted as missed.  SQ = mean IoU of the matches, RQ = TP / (TP + FP/2 + FN/2), PQ = SQ * RQ; each is computed per
class and averaged over the classes that occur (in truth or prediction).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seem_ros.errors import DataError

VOID_ID = 0


@dataclass(frozen=True)
class SegmentInfo:
    """One segment of a panoptic picture: its id in the id image, its class (index into the class list), crowd flag."""

    segment_id: int
    class_index: int
    is_crowd: bool = False


@dataclass(frozen=True)
class ClassQuality:
    """Counts and qualities of one class."""

    true_positives: int
    false_positives: int
    false_negatives: int
    iou_sum: float

    @property
    def occurs(self) -> bool:
        """Whether the class was seen in truth or prediction: others are left out of averages."""
        return self.true_positives + self.false_positives + self.false_negatives > 0

    @property
    def sq(self) -> float:
        """Segmentation quality: mean IoU of the matched segments (0 without a match)."""
        return self.iou_sum / self.true_positives if self.true_positives else 0.0

    @property
    def rq(self) -> float:
        """Recognition quality: the F1 score of the matches (0 if the class does not occur)."""
        weight = self.true_positives + 0.5 * self.false_positives + 0.5 * self.false_negatives
        return self.true_positives / weight if weight else 0.0

    @property
    def pq(self) -> float:
        """Panoptic quality, SQ times RQ."""
        return self.sq * self.rq


class PanopticQuality:
    """Sums panoptic pictures and gives PQ, SQ, RQ for all classes, things, stuff and each class."""

    def __init__(self, class_names: Sequence[str], is_thing: Sequence[bool]) -> None:
        """Args: class_names [C]; is_thing [C], in the same order.

        Raises:
            DataError: no classes, or the two lists differ in length.
        """
        if not class_names or len(class_names) != len(is_thing):
            raise DataError(f"{len(class_names)} class names and {len(is_thing)} thing flags: need one flag per class")
        self.class_names = tuple(class_names)
        self.is_thing = np.asarray(is_thing, bool)
        self._tp = np.zeros(len(class_names), np.int64)
        self._fp = np.zeros(len(class_names), np.int64)
        self._fn = np.zeros(len(class_names), np.int64)
        self._iou = np.zeros(len(class_names), np.float64)

    def add(
        self,
        predicted_ids: np.ndarray,
        predicted: Sequence[SegmentInfo],
        true_ids: np.ndarray,
        truth: Sequence[SegmentInfo],
    ) -> None:
        """Count one picture.

        Args:
            predicted_ids, true_ids: int [H, W]; 0 is void (nothing said, truth unknown), others are segment ids.
            predicted, truth: one record per id that may occur in the picture.

        Raises:
            DataError: shapes differ, an id in a picture has no record, a record has no pixel, a class is unknown or an
                id is listed twice.
        """
        if predicted_ids.shape != true_ids.shape or true_ids.ndim != 2:
            raise DataError(f"predicted ids are {predicted_ids.shape}, true ids {true_ids.shape}: both must be [H, W]")
        pairs, areas = _count_pairs(true_ids, predicted_ids)
        true_area: dict[int, int] = {}
        predicted_area: dict[int, int] = {}
        common: dict[tuple[int, int], int] = {}
        for t, p, area in zip(pairs[0].tolist(), pairs[1].tolist(), areas.tolist()):
            true_area[t] = true_area.get(t, 0) + area
            predicted_area[p] = predicted_area.get(p, 0) + area
            common[t, p] = area
        true_by_id = self._records(truth, true_area, "true")
        predicted_by_id = self._records(predicted, predicted_area, "predicted")

        matched_true: set[int] = set()
        matched_predicted: set[int] = set()
        for (t, p), area in common.items():
            if t == VOID_ID or p == VOID_ID:
                continue
            one, other = true_by_id[t], predicted_by_id[p]
            if one.is_crowd or one.class_index != other.class_index:
                continue
            union = true_area[t] + predicted_area[p] - area - common.get((VOID_ID, p), 0)
            if 2 * area > union:
                self._tp[one.class_index] += 1
                self._iou[one.class_index] += area / union
                matched_true.add(t)
                matched_predicted.add(p)

        crowds = {record.class_index: record.segment_id for record in truth if record.is_crowd}
        for record in truth:
            if not record.is_crowd and record.segment_id not in matched_true:
                self._fn[record.class_index] += 1
        for record in predicted:
            if record.segment_id in matched_predicted:
                continue
            excused = common.get((VOID_ID, record.segment_id), 0)
            if record.class_index in crowds:
                excused += common.get((crowds[record.class_index], record.segment_id), 0)
            if 2 * excused <= predicted_area[record.segment_id]:
                self._fp[record.class_index] += 1

    def _records(self, records: Sequence[SegmentInfo], areas: Mapping[int, int], which: str) -> dict[int, SegmentInfo]:
        by_id = {record.segment_id: record for record in records}
        if len(by_id) != len(records):
            raise DataError(f"a {which} segment id is listed twice")
        for record in records:
            if not 0 <= record.class_index < len(self.class_names):
                raise DataError(
                    f"{which} segment {record.segment_id} has class {record.class_index}, "
                    f"allowed are 0 to {len(self.class_names) - 1}"
                )
            if record.segment_id == VOID_ID or record.segment_id not in areas:
                raise DataError(f"{which} segment {record.segment_id} is listed but has no pixel (0 means void)")
        unknown = sorted(set(areas) - set(by_id) - {VOID_ID})
        if unknown:
            raise DataError(f"the {which} id image holds ids without a record: {unknown[:5]}")
        return by_id

    def per_class(self) -> dict[str, ClassQuality]:
        """Counts of every class, also of those that did not occur."""
        return {
            name: ClassQuality(int(self._tp[i]), int(self._fp[i]), int(self._fn[i]), float(self._iou[i]))
            for i, name in enumerate(self.class_names)
        }

    def summary(self) -> dict[str, float]:
        """PQ, SQ, RQ averaged over occurring classes, for all, things ("_th") and stuff ("_st"); shares in 0..1.

        A group none of whose classes occurs gives NaN.
        """
        qualities = list(self.per_class().values())
        result: dict[str, float] = {}
        for suffix, members in (("", np.ones(len(qualities), bool)), ("_th", self.is_thing), ("_st", ~self.is_thing)):
            group = [q for q, member in zip(qualities, members) if member and q.occurs]
            for name in ("pq", "sq", "rq"):
                values = [getattr(q, name) for q in group]
                result[name.upper() + suffix] = float(np.mean(values)) if values else float("nan")
            result["classes" + suffix] = len(group)
        return result


def _count_pairs(true_ids: np.ndarray, predicted_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct (true, predicted) id pairs int64 [2, N] with pixel counts [N]; both ids must be below 2**31."""
    codes, areas = np.unique(true_ids.astype(np.int64) << 32 | predicted_ids.astype(np.int64), return_counts=True)
    return np.stack([codes >> 32, codes & 0xFFFFFFFF]), areas
