# SPDX-License-Identifier: Apache-2.0
"""A contact sheet of the worst and the best answers side by side: picture with prompt, truth, answer."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.perception.structures.prompts import Prompt

_PANEL_WIDTH_PX = 200
_CAPTION_PX = 16
_TRUE_COLOUR, _OUR_COLOUR = (40, 200, 90), (240, 150, 30)
_POSITIVE, _NEGATIVE = (30, 230, 60), (240, 40, 40)


@dataclass(frozen=True, eq=False)
class Case:
    """One answer worth looking at: rgb uint8 [H, W, 3]; truth, answer bool [H, W]; what was asked, how it went."""

    rgb: np.ndarray
    truth: np.ndarray
    answer: np.ndarray
    prompt: Prompt | None
    caption: str
    score: float


class ContactSheet:
    """Keeps the few worst and best cases of every kind while an evaluation runs, then draws them."""

    def __init__(self, per_kind: int = 2) -> None:
        self._per_kind = per_kind
        self._worst: dict[str, list[tuple[float, int, Case]]] = defaultdict(list)
        self._best: dict[str, list[tuple[float, int, Case]]] = defaultdict(list)
        self._count = 0

    def offer(self, kind: str, case: Case) -> None:
        """Keep a case if it is among the worst or best of its kind so far. Arrays are copied only then."""
        self._count += 1
        for heap, key in ((self._worst[kind], -case.score), (self._best[kind], case.score)):
            if len(heap) < self._per_kind or key > heap[0][0]:
                kept = replace(case, rgb=case.rgb.copy(), truth=case.truth.copy(), answer=case.answer.copy())
                (heapq.heappush if len(heap) < self._per_kind else heapq.heapreplace)(heap, (key, self._count, kept))

    @property
    def empty(self) -> bool:
        """Whether nothing was offered."""
        return not self._worst

    def draw(self) -> np.ndarray:
        """uint8 [H, W, 3] RGB: per kind a row of cases, failures on the left, successes on the right.

        Raises:
            DataError: no case was offered.
        """
        if not self._worst:
            raise DataError("there is no case to draw")
        rows = []
        for kind in self._worst:
            worst = [case for _, _, case in sorted(self._worst[kind], key=lambda entry: -entry[0])]
            best = [case for _, _, case in sorted(self._best[kind], key=lambda entry: -entry[0])]
            seen = {id(case.rgb) for case in worst}
            for left, right in zip(worst, best):
                cells = [
                    _triptych(case, f"{kind}: {word}")
                    for case, word in ((left, "worst"), (right, "best"))
                    if case is left or id(case.rgb) not in seen
                ]
                height = max(cell.shape[0] for cell in cells)
                cells = [np.pad(cell, ((0, height - len(cell)), (0, 0), (0, 0)), constant_values=255) for cell in cells]
                rows.append(np.concatenate([cells[0], np.full((height, 8, 3), 255, np.uint8), cells[-1]], 1))
        return np.concatenate(rows, 0)

    def write(self, path: Path | str) -> None:
        """Save as PNG. Raises DataError when it cannot be written."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), cv2.cvtColor(self.draw(), cv2.COLOR_RGB2BGR)):
            raise DataError(f"the contact sheet {path} cannot be written")


def _triptych(case: Case, heading: str) -> np.ndarray:
    scale = _PANEL_WIDTH_PX / case.rgb.shape[1]
    size = (_PANEL_WIDTH_PX, max(1, round(case.rgb.shape[0] * scale)))
    picture = cv2.resize(case.rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    asked = picture.copy()
    if case.prompt is not None:
        _draw_prompt(asked, case.prompt, scale)
    panels = [
        asked,
        _tint(picture, _resized(case.truth, size), _TRUE_COLOUR),
        _tint(picture, _resized(case.answer, size), _OUR_COLOUR),
    ]
    body = np.concatenate(panels, 1)
    caption = np.full((_CAPTION_PX, body.shape[1], 3), 255, np.uint8)
    text = "".join(c if c.isascii() else "?" for c in f"{heading} {case.score:.2f}  {case.caption}")
    cv2.putText(caption, text[:110], (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([caption, body], 0)


def _resized(mask: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    return cv2.resize(mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST) > 0


def _tint(picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    out = picture.copy()
    out[mask] = (0.45 * out[mask] + 0.55 * np.array(colour)).astype(np.uint8)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, outlines, -1, colour, 1)
    return out


def _draw_prompt(picture: np.ndarray, prompt: Prompt, scale: float) -> None:
    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * scale - 0.5), round(y * scale - 0.5)

    for click in prompt.clicks:
        colour = _NEGATIVE if click.negative else _POSITIVE
        cv2.circle(picture, at(click.x, click.y), 4, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, at(click.x, click.y), 3, colour, -1, cv2.LINE_AA)
    for box in prompt.boxes:
        cv2.rectangle(picture, at(box.x0, box.y0), at(box.x1, box.y1), _NEGATIVE if box.negative else _POSITIVE, 1)
    for scribble in prompt.scribbles:
        points = np.array([at(x, y) for x, y in scribble.points_xy], np.int32)
        cv2.polylines(picture, [points], False, _NEGATIVE if scribble.negative else _POSITIVE, 2, cv2.LINE_AA)
    if prompt.reference is not None:  # the reference in the corner
        reference = prompt.reference.image
        size = (picture.shape[1] // 3, max(1, picture.shape[1] // 3 * reference.shape[0] // reference.shape[1]))
        small = cv2.resize(reference, size, interpolation=cv2.INTER_AREA)
        for shape in prompt.reference.shapes:
            if hasattr(shape, "mask"):
                small = _tint(small, _resized(shape.mask, size), _POSITIVE)
        picture[: size[1], -size[0] :] = small
