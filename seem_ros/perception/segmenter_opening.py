# SPDX-License-Identifier: Apache-2.0
"""A segmenter for whatever a command line names: a package, an official model, or a checkpoint's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.segmenter_config import SegmenterConfig


def open_segmenter(
    model: str, backend: str = "auto", config: SegmenterConfig | None = None, **options: Any
) -> Segmenter:
    """Opens it.

    Args:
        model: A checkpoint where such a file is there, else a package by name or folder.
        backend: That runs a package.
        config: Of the segmenter.
        options: For a package's backend.

    Raises:
        SeemError: It cannot be used.
    """
    if Path(model).is_file():
        return Segmenter.from_checkpoint(model, config=config)
    return Segmenter.load(model, backend=backend, config=config, **options)
