#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the CMake files of the ROS wheels point to this environment.

The wheels' exported CMake files name the folders of the machine they were built on, below /opt/python/cp311-cp311:
include/python3.11 and lib/python3.11/site-packages, and in it the headers of NumPy 2. Run with the environment's own
Python, again after another NumPy came; twice changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

INCLUDE = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")
NUMPY_HEADERS = re.compile(r"(?<=/numpy/)_?core(?=/include)")
SITE_PACKAGES = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages")


def main() -> int:
    """Patch every CMake file below the environment's share folder and report how many changed."""
    if sys.prefix == sys.base_prefix:
        print("patch_ros_wheels: run me with the Python of a virtual environment", file=sys.stderr)
        return 2
    include, site_packages = sysconfig.get_path("include"), sysconfig.get_path("purelib")
    numpy_core = Path(numpy.get_include()).parent.name
    changed = 0
    for path in sorted(Path(sys.prefix, "share").rglob("*.cmake")):
        text = path.read_text()
        patched = SITE_PACKAGES.sub(site_packages, INCLUDE.sub(include, text))
        patched = NUMPY_HEADERS.sub(numpy_core, patched)
        if patched != text:
            path.write_text(patched)
            changed += 1
    print(f"patched {changed} CMake files of the ROS wheels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
