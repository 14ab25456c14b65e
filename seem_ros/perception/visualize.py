# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: coloured masks with names over the camera's image, and contact sheets."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.perception.structures.segments import Segment, Segments

_GOLDEN = 0.6180339887498949
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def colour(number: int) -> tuple[int, int, int]:
    """An (r, g, b) colour for an id, always the same one; neighbouring ids lie far apart on the colour circle."""
    hue = (0.02 + number * _GOLDEN) % 1.0
    value = (1.0, 0.8, 0.92)[number % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.85, 0.95, 0.6)[number // 3 % 3], value)
    return round(red * 255), round(green * 255), round(blue * 255)


def colour_of(segment: Segment) -> tuple[int, int, int]:
    """A segment's colour: its target's, else its pixel value's."""
    return colour(segment.target_id or segment.value)


def _title(segment: Segment) -> str:
    number = f"{segment.target_id} " if segment.target_id else ""
    # OpenCV's strokes know ASCII only
    label = segment.label.encode("ascii", "replace").decode()
    if len(label) > 32:
        label = label[:31] + "~"
    return f"{number}{label} {100 * segment.presence:.0f}%".strip()


def draw_overlay(
    rgb: np.ndarray, segments: Segments, alpha: float = 0.5, names: bool = True, out: np.ndarray | None = None
) -> np.ndarray:
    """Draws segments over their picture.

    Only the boxes of segments are blended, so that the cost follows their area and not the picture's.

    Args:
        rgb: uint8 [H, W, 3].
        segments: Of this picture.
        alpha: Weight of the colours, 0..1.
        names: Write target id, label and presence beside each segment.
        out: uint8 [H, W, 3] to draw into, e.g. from the last frame; must not be ``rgb``.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DataError: The sizes differ.
    """
    if rgb.shape[:2] != segments.labels.shape or (out is not None and out.shape != rgb.shape):
        raise DataError(f"picture and label image must have one size, got {rgb.shape[:2]} and {segments.labels.shape}")
    if out is None:
        out = rgb.copy()
    else:
        np.copyto(out, rgb)
    thickness = max(1, round(min(rgb.shape[:2]) / 360))
    for segment in segments:
        x0, y0, x1, y1 = segment.box_xyxy_px
        window = out[y0:y1, x0:x1]
        # cv2.compare takes a single pixel for a scalar
        mask = (segments.labels[y0:y1, x0:x1] == segment.value).view(np.uint8) * np.uint8(255)
        tint = np.empty_like(window)
        tint[:] = colour_of(segment)
        cv2.addWeighted(window, 1.0 - alpha, tint, alpha, 0.0, dst=tint)
        cv2.copyTo(tint, mask, window)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(out, contours, -1, colour_of(segment), thickness, offset=(x0, y0))
    if names:
        for segment in segments:
            _write(out, segment)
    return out


def _write(out: np.ndarray, segment: Segment) -> None:
    height, width = out.shape[:2]
    scale = max(0.35, min(height, width) / 900)
    thickness = max(1, round(scale * 1.6))
    text = _title(segment)
    (text_w, text_h), base = cv2.getTextSize(text, _FONT, scale, thickness)
    x = int(min(max(segment.box_xyxy_px[0], 0), max(width - text_w - 4, 0)))
    y = segment.box_xyxy_px[1] - 4
    if y - text_h - base < 0:
        y = min(segment.box_xyxy_px[3] + text_h + 6, height - base - 1)
    shade = colour_of(segment)
    cv2.rectangle(out, (x, y - text_h - 3), (x + text_w + 4, y + base), shade, -1)
    dark = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] < 140
    cv2.putText(out, text, (x + 2, y), _FONT, scale, (255,) * 3 if dark else (0,) * 3, thickness, cv2.LINE_AA)


def contact_sheet(
    images: Sequence[np.ndarray], columns: int = 4, width_px: int = 1600, titles: Sequence[str] = ()
) -> np.ndarray:
    """Pictures side by side in rows.

    Args:
        images: uint8 [h, w, 3] each, of any sizes; every cell has the first one's aspect.
        columns: Cells in a row.
        width_px: Width of the sheet.
        titles: Written into the cells, ASCII; may be shorter than ``images``.

    Returns:
        uint8 [H, width_px, 3].

    Raises:
        DataError: There are no pictures or no columns.
    """
    if not len(images) or columns < 1 or width_px < columns * 8:
        raise DataError(f"a contact sheet needs pictures and columns, got {len(images)} and {columns}")
    cell_w = width_px // columns
    cell_h = max(1, round(cell_w * images[0].shape[0] / images[0].shape[1]))
    sheet = np.full((cell_h * -(-len(images) // columns), width_px, 3), 32, np.uint8)
    for i, image in enumerate(images):
        scale = min((cell_w - 4) / image.shape[1], (cell_h - 4) / image.shape[0])
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        y, x = i // columns * cell_h + 2, i % columns * cell_w + 2
        sheet[y : y + size[1], x : x + size[0]] = small
        if i < len(titles):
            text = titles[i].encode("ascii", "replace").decode()
            for shade, thickness in ((0, 3), (255, 1)):
                cv2.putText(sheet, text, (x + 5, y + 16), _FONT, 0.45, (shade,) * 3, thickness, cv2.LINE_AA)
    return sheet
