#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what is installed for seem_ros, with versions and licences, as a CycloneDX bill of materials.

    make sbom            # out/sbom.json

Also prints every licence with what has it, so that one that does not fit is seen.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def licence_of(package: importlib.metadata.Distribution) -> str:
    """The licence that a package's metadata name: its expression, else its classifiers, else its first line of text."""
    about = package.metadata
    if about.get("License-Expression"):
        return about["License-Expression"]
    classifiers = [
        one.rpartition(" :: ")[2] for one in about.get_all("Classifier") or () if one.startswith("License ::")
    ]
    if classifiers:
        return " AND ".join(sorted(set(classifiers)))
    lines = (about.get("License") or "").strip().splitlines()
    return lines[0][:80] if lines else "not said"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "sbom.json")
    options = parser.parse_args()
    components, by_licence = [], defaultdict(list)
    packages = {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one for one in importlib.metadata.distributions()}
    for name, package in sorted(packages.items()):
        licence = licence_of(package)
        by_licence[licence].append(name)
        components.append(
            {
                "type": "library",
                "name": name,
                "version": package.version,
                "purl": f"pkg:pypi/{name}@{package.version}",
                "licenses": [{"license": {"name": licence}}],
            }
        )
    document = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    for licence, names in sorted(by_licence.items(), key=lambda item: -len(item[1])):
        print(f"{licence}: {', '.join(names)}")
    print(f"{len(components)} packages: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
