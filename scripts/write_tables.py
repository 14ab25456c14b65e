#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write config/seem.yaml and the README's tables from the code; a test fails when they differ from it."""

import sys
from pathlib import Path

from seem_ros.ros.interface_docs import readme_tables, replace_tables, yaml_text

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Rewrite both files."""
    (ROOT / "config" / "seem.yaml").write_text(yaml_text())
    readme = ROOT / "README.md"
    readme.write_text(replace_tables(readme.read_text(), readme_tables()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
