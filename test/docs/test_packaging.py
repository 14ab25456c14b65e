# SPDX-License-Identifier: Apache-2.0
"""What a wheel carries: every file that the code reads, and one version."""

import contextlib
import importlib.metadata
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

import seem_ros
from seem_ros.extras import EXTRA_OF, EXTRAS, pip_line

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
    for extra, requirements in EXTRAS.items():
        assert [line for line in parts[extra] if not line.startswith("seem_ros[")] == list(requirements), extra
    for module, extra in EXTRA_OF.items():
        assert any(re.match(rf"{module}\b", line) for line in EXTRAS[extra]), module
    assert pip_line("video") == "pip install 'av>=11,<19'"


def test_whatever_a_page_or_a_message_says_to_install_is_there_to_be_installed():
    # seem_ros is not on PyPI, and an installation by colcon has no extras: its name brings nothing
    code = [path for folder in ("seem_ros", "bench") for path in (ROOT / folder).rglob("*.py")]
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"]
    assert [path for path in (*pages, *code) if re.search(r"pip install ['\"]?seem_ros", path.read_text())] == []
    parts = PROJECT["project"]["optional-dependencies"].values()
    names = {Requirement(line).name for line in (*PROJECT["project"]["dependencies"], *itertools.chain(*parts))}
    for page in pages:
        for words in re.findall(r"pip install ([^`\n#|)]+)", page.read_text()):
            for word in shlex.split(words):
                if word[0] not in "-./…":
                    assert Requirement(word).name in {*names, "ultralytics"}, f"{page}: pip install {words}"


def test_the_requirements_of_a_part_are_printed_without_those_that_every_installation_has():
    command = [sys.executable, ROOT / "scripts" / "requirements.py"]
    alone = subprocess.run([*command, "--only", "console"], capture_output=True, text=True, check=True).stdout
    assert alone.split() == list(EXTRAS["console"])
    whole = subprocess.run([*command, "console"], capture_output=True, text=True, check=True).stdout
    assert whole.split() == [*PROJECT["project"]["dependencies"], *alone.split()]
