# SPDX-License-Identifier: Apache-2.0
"""The worker that prepares official models, whose Focal-T is narrow: the released one has 659 MB and takes minutes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import torch
from narrow_models import narrow_model

import seem_ros.runtime.checkpoint
from seem_ros.export.official import main
from seem_ros.model.checkpoints import filled_model, read_state
from seem_ros.model.deterministic import deterministic_state
from seem_ros.model.official_keys import official_shapes
from seem_ros.model.seem import Seem
from seem_ros.runtime.spec import ModelSpec

MODEL = "focalt_v1"


def released_file() -> bytes:
    """The checkpoint as its authors would have released it: official names, deterministic numbers."""
    shapes = official_shapes(narrow_model(MODEL).state_dict())
    stream = io.BytesIO()
    torch.save(deterministic_state(shapes), stream)
    return stream.getvalue()


def open_narrow(path: Path, input_hw: Any = None, rules: str | None = None) -> tuple[Seem, ModelSpec]:
    """`open_checkpoint` for the narrow architecture: every tensor is read from the file, strictly."""
    config = narrow_model(MODEL).config
    assert rules == config.decoder.rules
    spec = ModelSpec.of_config(config, (64, 96), max_points=8, max_references=8, prompt_buckets=(1,), small_slots=0)
    return filled_model(config, read_state(Path(path)), path), spec


if __name__ == "__main__":
    seem_ros.runtime.checkpoint.open_checkpoint = open_narrow  # type: ignore[assignment]
    sys.exit(main(*sys.argv[1:]))
