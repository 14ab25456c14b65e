# SPDX-License-Identifier: Apache-2.0
"""A checkpoint with flipped bits is read or refused, never an error of another kind."""

from __future__ import annotations

import random
import warnings

import pytest
import torch

from seem_ros.errors import CheckpointError
from seem_ros.model.checkpoints import read_state


def test_flipped_bits_of_a_checkpoint_are_a_checkpoint_error_or_nothing(tmp_path):
    path, rng = tmp_path / "weights.pt", random.Random(0)
    torch.save({"a.weight": torch.ones(4, 4), "b.bias": torch.zeros(3)}, path)
    good, refused = path.read_bytes(), 0
    for _ in range(1500):
        spoilt = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_state(path)
            except CheckpointError:
                refused += 1
    assert refused > 100


def test_a_state_that_its_reader_refuses_by_an_assertion_is_a_checkpoint_error(tmp_path, monkeypatch):
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.ones(2)}, path)

    def asserting(*_, **__):
        raise AssertionError("saved_id must be a tuple, got int")

    monkeypatch.setattr(torch, "load", asserting)
    with pytest.raises(CheckpointError, match="saved_id must be a tuple"):
        read_state(path)
