# SPDX-License-Identifier: Apache-2.0
"""Small libraries that a process loads before all others, made from the C files of this folder."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def preloaded_library(name: str, folder: Path, purpose: str) -> Path:
    """Compiles ``name``.c into a folder; skips the test where that cannot be done."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip(f"{purpose} needs Linux and a C compiler")
    library = folder / f"{name}.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, HERE / f"{name}.c", "-ldl"], check=True)
    return library
