# SPDX-License-Identifier: Apache-2.0
"""A teacher by hand that knows colours, and a short film of two squares for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

FRAMES = 24


def _film(folder: Path, late: int = 0, flash: int = -1) -> Path:
    """A red and a blue square that move; a green one comes at `late`, and is there at `flash` alone."""
    from colour_backend import scene

    folder.mkdir(parents=True)
    for number in range(FRAMES):
        blobs = {(20 + 2 * number, 30): "red", (100 - 2 * number, 70): "blue"}
        if (late and number >= late) or number == flash:
            blobs[60, 15] = "green"
        cv2.imwrite(str(folder / f"{number:03d}.png"), scene(blobs)[..., ::-1])
    return folder


@pytest.fixture
def film():
    """Writes such a film: film(folder, late=0, flash=-1)."""
    return _film


@pytest.fixture
def teacher():
    """A segmenter over the colour model."""
    from colour_backend import ColourBackend

    from seem_ros.perception.segmenter import Segmenter

    return Segmenter(ColourBackend())


@pytest.fixture
def truth():
    """Where a square is in a frame: truth("red", 5) is bool [H, W]."""
    from colour_backend import scene

    def of(name: str, number: int) -> np.ndarray:
        at = {"red": (20 + 2 * number, 30), "blue": (100 - 2 * number, 70), "green": (60, 15)}[name]
        return (scene({at: name}) != 90).any(-1)

    return of


@pytest.fixture
def labelled(tmp_path, film, teacher):
    """A set made of one film: the set and its picture files in order."""
    from seem_ros.labelling.label_set import LabelSet
    from seem_ros.labelling.labelling import label_source
    from seem_ros.labelling.teacher import LabelConfig

    config = LabelConfig(("red", "blue", "green"), every=4, least_px=20)
    labels = LabelSet(tmp_path / "labels", {"model": "colour", "things": ["red", "blue", "green"]})
    outcome = label_source(teacher, config, labels, str(film(tmp_path / "film")), progress=False)
    assert outcome.error == ""
    labels.merge()
    return labels, [item["file"] for record in labels.records() for item in record["items"]]
