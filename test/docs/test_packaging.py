# SPDX-License-Identifier: Apache-2.0
"""What a wheel carries: every file that the code reads, and one version."""

import contextlib
import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

import seem_ros
from seem_ros.command_line import EXTRAS

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


def test_every_dependency_has_a_lower_and_an_upper_bound_and_what_is_installed_lies_within():
    listed = [*PROJECT["project"]["dependencies"]]
    for lines in PROJECT["project"]["optional-dependencies"].values():
        listed += lines
    unbounded, outside = [], []
    for requirement in map(Requirement, listed):
        if requirement.name.startswith("ros-") or requirement.name == "seem_ros":
            continue  # ROS's wheels follow ROS, whose releases pin each other
        signs = {one.operator for one in requirement.specifier}
        if "<" not in signs or (">=" not in signs and requirement.name != "empy"):  # of empy only the 3 is spoken
            unbounded.append(str(requirement))
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed = importlib.metadata.version(requirement.name)
            if not requirement.specifier.contains(installed, prereleases=True):
                outside.append(f"{requirement}: {installed}")
    assert not unbounded and not outside


def test_whatever_ships_beside_code_has_a_licence_in_the_guide():
    code = {".py", ".pyc", ".js", ".css", ".html", ".svg", ".md"}
    roots = (ROOT / "seem_ros", ROOT / "models", ROOT / "docs" / "assets")
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and (path.suffix not in code or "assets" in path.parts)
    }
    told = re.findall(r"`([\w/.]+)`", (ROOT / "docs" / "guides" / "security.md").read_text())
    listed = [one for one in told if (ROOT / one).is_dir()]
    strangers = [one for one in folders if not any(f"{one}/".startswith(f"{each}/") for each in listed)]
    assert strangers == ["models"], strangers  # itself: the cards' sources


def test_what_a_tool_says_to_install_brings_the_module_that_it_lacks():
    parts = PROJECT["project"]["optional-dependencies"]
    for module, extra in EXTRAS.items():
        assert any(re.match(rf"{module}\b", line.replace("-", "_")) for line in parts[extra]), module
