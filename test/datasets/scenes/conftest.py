# SPDX-License-Identifier: Apache-2.0
"""Small folders of labelled pictures, written the way people keep them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

HEIGHT_PX, WIDTH_PX = 96, 128


def _write_labels(folder: Path, frames: int = 0) -> Path:
    """A folder of two stills (or of a video's frames) with a red and a blue square; returns it."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    items = []
    for number in range(frames or 2):
        rgb = np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8)
        ids = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
        for value, left, colour in ((1, 20 + number, (200, 20, 20)), (2, 80, (20, 20, 200))):
            rgb[30:60, left : left + 30], ids[30:60, left : left + 30] = colour, value
        ids[:4] = 255
        cv2.imwrite(str(folder / f"images/{number}.png"), rgb[..., ::-1])
        cv2.imwrite(str(folder / f"masks/{number}.png"), ids)
        objects = [{"id": 1, "name": "mug"}, {"id": 2, "name": "box"}]
        item = {
            "file": f"images/{number}.png",
            "mask": f"masks/{number}.png",
            "width": WIDTH_PX,
            "height": HEIGHT_PX,
            "objects": objects,
            "split": "train",
            "exhaustive": False,
        }
        items.append(item | ({"sequence": "a", "frame": number} if frames else {}))
    items[0]["groups"] = [{"name": "toy", "ids": [1, 2]}]
    index = {"classes": {"mug": len(items), "box": len(items)}, "exhaustive_for_its_classes": True, "items": items}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def write_labels():
    """Writes such a folder: write_labels(folder, frames=0)."""
    return _write_labels


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A folder of two labelled stills."""
    return _write_labels(tmp_path / "labels")


@pytest.fixture
def change_index(labels: Path):
    """Rewrites the index of `labels` through a function."""

    def change(edit) -> Path:
        content = json.loads((labels / "index.json").read_text())
        edit(content)
        (labels / "index.json").write_text(json.dumps(content))
        return labels

    return change
