# SPDX-License-Identifier: Apache-2.0
"""What `import seem_ros` gives, and what it costs."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import seem_ros

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", seem_ros.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(seem_ros, name).__doc__


def test_what_a_type_checker_sees_is_what_is_imported():
    tree = ast.parse((ROOT / "seem_ros" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert sorted(seen) == sorted(seem_ros.__all__)
    for name, module in seen.items():
        assert getattr(importlib.import_module(module), name) is getattr(seem_ros, name)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, seem_ros; dir(seem_ros)\n"
        "heavy = {'numpy', 'cv2', 'torch', 'onnxruntime', 'rclpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Segmentor"):
        _ = seem_ros.Segmentor
