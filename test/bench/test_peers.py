# SPDX-License-Identifier: Apache-2.0
"""The comparison with peers: what it needs, and what its ratios are shares of."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is not None, reason="ultralytics is installed here")
def test_without_the_peers_library_one_line_says_what_to_install(tmp_path: Path):
    command = [sys.executable, str(BENCH / "peers.py"), "--no-official", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and "pip install ultralytics" in done.stderr


def test_a_row_is_compared_with_the_yardstick_of_its_own_precision():
    from peers import YARDSTICK, ratios

    found = ratios({"ours": {"fp32": 40.0, "bf16": 24.0, "int8": 15.0}, YARDSTICK: {"fp32": 80.0, "bf16": 60.0}})
    assert found["ours"] == {"fp32": 0.5, "bf16": 0.4, "int8": 0.25}  # int8 beside the peer's best float precision
