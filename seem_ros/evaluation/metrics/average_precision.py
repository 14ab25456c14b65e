# SPDX-License-Identifier: Apache-2.0
"""Mask AP of instances, computed by pycocotools (the COCO reference implementation)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.iou import require_same_shape


@dataclass(frozen=True)
class ScoredInstance:
    """One object: mask bool [H, W], class index, score in 0..1 (predictions) and crowd flag (truth)."""

    mask: np.ndarray
    class_index: int
    score: float = 1.0
    is_crowd: bool = False


class InstancePrecision:
    """Collects instances of many pictures and runs COCOeval over them."""

    def __init__(self, class_names: Sequence[str]) -> None:
        """Raises DataError without classes."""
        if not class_names:
            raise DataError("average precision needs at least one class name")
        self.class_names = tuple(class_names)
        self._images: list[dict] = []
        self._truth: list[dict] = []
        self._predictions: list[dict] = []

    def add(
        self, predictions: Sequence[ScoredInstance], truth: Sequence[ScoredInstance], size_hw: tuple[int, int]
    ) -> None:
        """Count one picture.

        Args:
            predictions, truth: its instances, masks of size_hw.
            size_hw: (height, width) in pixels.

        Raises:
            DataError: a mask has another size, or a class index is unknown.
        """
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "height": size_hw[0], "width": size_hw[1]})
        frame = np.empty(size_hw, bool)
        for instances, rows in ((truth, self._truth), (predictions, self._predictions)):
            for instance in instances:
                require_same_shape(instance.mask, frame)
                if not 0 <= instance.class_index < len(self.class_names):
                    raise DataError(
                        f"class {instance.class_index} is unknown, allowed are 0 to {len(self.class_names) - 1}"
                    )
                row = {
                    "id": len(rows) + 1,
                    "image_id": image_id,
                    "category_id": instance.class_index + 1,
                    "segmentation": _encode(instance.mask),
                    "area": int(np.count_nonzero(instance.mask)),
                    "bbox": _box_xywh(instance.mask),
                    "iscrowd": int(instance.is_crowd),
                }
                rows.append(row | {"score": float(instance.score)} if rows is self._predictions else row)

    def summary(self) -> dict[str, float]:
        """AP (mean over IoU 0.50:0.05:0.95), AP50, AP75, AP of small/medium/large objects (COCO's 32^2 and 96^2 px).

        NaN where COCO reports -1 (no such object in the truth). Without any prediction AP is 0.
        """
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
        if not self._truth:
            return dict.fromkeys(names, float("nan"))
        if not self._predictions:
            return dict.fromkeys(names, 0.0)
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            truth = COCO()
            truth.dataset = {
                "images": self._images,
                "annotations": self._truth,
                "info": {},
                "categories": [{"id": i + 1, "name": n} for i, n in enumerate(self.class_names)],
            }
            truth.createIndex()
            evaluation = COCOeval(truth, truth.loadRes(self._predictions), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return {name: float(value) if value >= 0 else float("nan") for name, value in zip(names, evaluation.stats[:6])}


def _encode(mask: np.ndarray) -> dict:
    from pycocotools import mask as codec

    return codec.encode(np.asfortranarray(mask, np.uint8))


def _box_xywh(mask: np.ndarray) -> list[float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return [0.0, 0.0, 0.0, 0.0]
    return [float(columns[0]), float(rows[0]), float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1)]
