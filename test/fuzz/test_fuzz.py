# SPDX-License-Identifier: Apache-2.0
"""A few seconds of each fuzzer, and everything that ever broke; hours of it: `make fuzz MINUTES=60`."""

from __future__ import annotations

import pytest
from fuzzing import known_finds, run_apart

pytest.importorskip("rclpy")
pytest.importorskip("seem_ros.msg")
SECONDS = 4.0
NAMES = ("services", "topics", "parameters", "lifecycle", "packages", "caches", "checkpoints", "tools")


@pytest.mark.parametrize("name", NAMES)
def test_hostile_input_is_answered_and_breaks_nothing(name):
    figures = run_apart(name, seed=1, seconds=SECONDS)
    assert not figures["finds"], f"{figures['finds'][0]['trace']}\n{len(figures['finds'])} of {figures['tried']}"
    assert figures["tried"] > 0


@pytest.mark.parametrize(("name", "seed", "number"), known_finds())
def test_what_broke_once_does_not_break_again(name, seed, number):
    figures = run_apart(name, seed, seconds=60.0, first=number, count=1)
    assert not figures["finds"], figures["finds"][0]["trace"]
