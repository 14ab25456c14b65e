#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print what pyproject.toml asks for, one requirement a line: `requirements.py [--only] [EXTRA ...]`.

`pip install -r` of this installs the dependencies without the package itself, which the Makefile runs from the source
tree; extras that name extras of their own are followed. With --only the extras' alone: a robot has OpenCV by apt, which
pip does not know, so that it would bring another one.
"""

import re
import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
OWN_EXTRAS = re.compile(r"seem_ros\[([\w, ]+)\]")


def requirements(extras: list[str], only: bool = False) -> list[str]:
    """The package's dependencies (not with ``only``) and those of the extras, each once.

    Raises:
        SystemExit: An extra is not in pyproject.toml.
    """
    project = tomllib.loads(PROJECT.read_text())["project"]
    known = project["optional-dependencies"]
    found = dict.fromkeys([] if only else project["dependencies"])
    waiting = list(extras)
    while waiting:
        extra = waiting.pop(0)
        if extra not in known:
            sys.exit(f"pyproject.toml has no extra {extra!r}; it has {', '.join(sorted(known))}")
        for requirement in known[extra]:
            own = OWN_EXTRAS.fullmatch(requirement)
            if own:
                waiting += re.split(r", *", own.group(1))
            else:
                found[requirement] = None
    return list(found)


if __name__ == "__main__":
    given = sys.argv[1:]
    print("\n".join(requirements([one for one in given if one != "--only"], "--only" in given)))
