# SPDX-License-Identifier: Apache-2.0
"""The annotated video and the contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.perception.structures.segments import Segment, Segments
from seem_ros.perception.visualize import contact_sheet, draw_overlay

_MIN_WIDTH_PX = 640
_BAR_PX = 34


def annotate(rgb: np.ndarray, segments: Segments | None, caption: str) -> np.ndarray:
    """A picture with its segments and a line of text below, at least 640 pixels wide.

    Args:
        rgb: uint8 [H, W, 3].
        segments: Of this picture; None = nothing was published for it.
        caption: One line.

    Returns:
        uint8 [h, w, 3], sides even, as video encoders want them.
    """
    scale = max(1, -(-_MIN_WIDTH_PX // rgb.shape[1]))
    if scale > 1:
        rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        segments = _scaled(segments, scale) if segments is not None else None
    picture = draw_overlay(rgb, segments, alpha=0.45) if segments is not None else rgb.copy()
    bar = np.full((_BAR_PX, picture.shape[1], 3), 24, np.uint8)
    text = caption.encode("ascii", "replace").decode()
    cv2.putText(bar, text[:90], (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    picture = np.concatenate([picture, bar])
    return np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])


def _scaled(segments: Segments, scale: int) -> Segments:
    labels = segments.labels.repeat(scale, axis=0).repeat(scale, axis=1)
    records = tuple(_scaled_record(one, scale) for one in segments)
    return replace(segments, labels=labels, segments=records, answers=())


def _scaled_record(segment: Segment, scale: int) -> Segment:
    x0, y0, x1, y1 = segment.box_xyxy_px
    x, y = segment.centroid_xy_px
    return replace(
        segment,
        box_xyxy_px=(scale * x0, scale * y0, scale * x1, scale * y1),
        area_px=segment.area_px * scale * scale,
        centroid_xy_px=(scale * x, scale * y),
    )


def write_sheet(path: Path, pictures: Sequence[np.ndarray]) -> None:
    """A contact sheet of some pictures as PNG.

    Raises:
        DataError: It cannot be written.
    """
    sheet = contact_sheet(list(pictures), columns=3, width_px=1500)
    if not cv2.imwrite(str(path), sheet[:, :, ::-1]):
        raise DataError(f"{path} cannot be written")
