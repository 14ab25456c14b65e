# SPDX-License-Identifier: Apache-2.0
"""Whole pictures: panoptic quality, semantic mIoU and instance AP from one panoptic answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.average_precision import InstancePrecision, ScoredInstance
from seem_ros.evaluation.metrics.panoptic_quality import PanopticQuality, SegmentInfo
from seem_ros.evaluation.metrics.semantic_miou import VOID_LABEL, SemanticScores
from seem_ros.evaluation.predictors.protocol import PanopticGuess
from seem_ros.evaluation.report import Report


class SceneryScores:
    """Sums panoptic answers over many pictures.

    AP is computed from the panoptic segments of things with their scores: one answer per pixel, so it is a lower bound
    of what the object queries could reach. mIoU is read off the same answer; void of the truth is not counted.
    """

    def __init__(self, class_names: Sequence[str], is_thing: Sequence[bool]) -> None:
        """Raises DataError for no or more than 254 classes."""
        self._names = list(class_names)
        self._is_thing = list(is_thing)
        self._panoptic = PanopticQuality(class_names, is_thing)
        self._semantic = SemanticScores(class_names)
        self._instances = InstancePrecision(class_names)
        self._pictures = 0

    def add(self, guess: PanopticGuess, true_ids: np.ndarray, truth: Sequence[SegmentInfo]) -> None:
        """Count one picture.

        Args:
            guess: the answer.
            true_ids: int32 [H, W], 0 = void.
            truth: one record per id.

        Raises:
            DataError: the answer uses a class name that was not in the vocabulary, or ids and records disagree.
        """
        unknown = sorted({name for _, name, _ in guess.segments} - set(self._names))
        if unknown:
            raise DataError(f"the answer names {unknown[0]!r}, not one of the {len(self._names)} asked for")
        predicted = [SegmentInfo(number, self._names.index(name)) for number, name, _ in guess.segments]
        self._panoptic.add(guess.ids, predicted, true_ids, truth)
        self._semantic.add(self._labels(guess.ids, predicted), self._labels(true_ids, truth))
        scores = {number: score for number, _, score in guess.segments}
        self._instances.add(
            [
                ScoredInstance(guess.ids == one.segment_id, one.class_index, scores[one.segment_id])
                for one in predicted
                if self._is_thing[one.class_index]
            ],
            [
                ScoredInstance(true_ids == one.segment_id, one.class_index, is_crowd=one.is_crowd)
                for one in truth
                if self._is_thing[one.class_index]
            ],
            true_ids.shape,
        )
        self._pictures += 1

    @staticmethod
    def _labels(ids: np.ndarray, segments: Sequence[SegmentInfo]) -> np.ndarray:
        """Class labels int32 [H, W] of an id picture; 255 where there is none."""
        known = np.array([0] + sorted(one.segment_id for one in segments))
        classes = {one.segment_id: one.class_index for one in segments}
        table = np.array([classes.get(number, VOID_LABEL) for number in known.tolist()], np.int32)
        return table[np.searchsorted(known, ids)]

    def report(self, report: Report, section: str, name: str) -> None:
        """Write the qualities, if any picture was counted."""
        if not self._pictures:
            return
        report.add(f"{section}: panoptic", name, self._panoptic.summary())
        report.add(f"{section}: panoptic", name, {"mIoU": self._semantic.summary()["mIoU"]} | self._instances.summary())
        for label, quality in self._panoptic.per_class().items():
            if quality.occurs:
                report.add(
                    f"{section}: panoptic by class, {name}",
                    label,
                    {
                        "PQ": quality.pq,
                        "SQ": quality.sq,
                        "RQ": quality.rq,
                        "TP": quality.true_positives,
                        "FP": quality.false_positives,
                        "FN": quality.false_negatives,
                    },
                )
