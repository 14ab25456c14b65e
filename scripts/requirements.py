#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print what pyproject.toml asks for, one requirement a line: `requirements.py [EXTRA ...]`.

`pip install -r` of this installs the dependencies without the package itself, which the Makefile runs from the source
tree; extras that name extras of their own are followed.
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


def requirements(extras: list[str]) -> list[str]:
    """The package's dependencies and those of the extras, each once.

    Raises:
        SystemExit: An extra is not in pyproject.toml.
    """
    project = tomllib.loads(PROJECT.read_text())["project"]
    known = project["optional-dependencies"]
    found = dict.fromkeys(project["dependencies"])
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
    print("\n".join(requirements(sys.argv[1:])))
