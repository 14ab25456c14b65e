# SPDX-License-Identifier: Apache-2.0
"""What a wheel carries: every file that the code reads, and one version."""

import re
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

import seem_ros

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_data_file_below_the_package_is_installed_with_it():
    installed = set()
    for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items():
        folder = ROOT / package.replace(".", "/")
        for pattern in patterns:
            installed.update(folder.glob(pattern))
    left_out = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "seem_ros").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path not in installed
    ]
    assert left_out == []


def test_package_xml_has_the_version_of_the_code():
    (version,) = re.findall(r"<version>(.*?)</version>", (ROOT / "package.xml").read_text())
    assert version == seem_ros.__version__, "run scripts/write_reference.py"
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "seem_ros.__version__"}


def test_what_rosdep_has_a_key_for_is_in_both_lists():
    keys = {"numpy": "python3-numpy", "opencv-python-headless": "python3-opencv", "pyyaml": "python3-yaml"}
    xml = (ROOT / "package.xml").read_text()
    names = {re.split(r"[\s<>=!;\[]", line, maxsplit=1)[0] for line in PROJECT["project"]["dependencies"]}
    for name, key in keys.items():
        assert name in names and f">{key}<" in xml, (name, key)
