# SPDX-License-Identifier: Apache-2.0
"""What the documentation says about command lines is what they say about themselves."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("seem_ros.msg")  # the demo's and the console's command lines know ROS
pytest.importorskip("torch")


def test_the_reference_lists_every_option_of_every_command_line():
    written = runpy.run_path(str(ROOT / "scripts" / "write_reference.py"))
    text = (ROOT / "docs" / "reference" / "command_lines.md").read_text()
    assert text == written["command_lines_page"](), "run scripts/write_reference.py"
