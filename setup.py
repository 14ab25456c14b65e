# SPDX-License-Identifier: Apache-2.0
"""The model packages as data files below share/seem_ros, where the runtime looks for them by name.

Everything else is in pyproject.toml. On a robot `colcon build` installs the package by CMakeLists.txt.
"""

from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
FOLDERS = sorted({path.parent.relative_to(ROOT) for path in (ROOT / "models").rglob("*") if path.is_file()})

setup(
    data_files=[
        (
            f"share/seem_ros/{folder}",
            [str(path.relative_to(ROOT)) for path in sorted((ROOT / folder).iterdir()) if path.is_file()],
        )
        for folder in FOLDERS
    ]
)
