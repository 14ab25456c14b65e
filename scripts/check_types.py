#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks types with mypy, and that no room of seem_ros/ has more errors than pyproject.toml allows it.

python scripts/check_types.py            # what CI asks
python scripts/check_types.py --all      # every error, also the allowed ones
python scripts/check_types.py --lower    # write the numbers down where there are fewer errors than allowed
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "pyproject.toml"
ERROR = re.compile(r"^(?P<path>[\w/]+\.pyi?):\d+: error: ")


def room_of(path: str, rooms: list[str]) -> str:
    """The longest of the rooms that a file lies in, else its folder."""
    inside = [room for room in rooms if path.startswith(f"{room}/")]
    return max(inside, key=len) if inside else path.rpartition("/")[0]


def errors() -> list[tuple[str, str]]:
    """Path and line of every error that mypy finds.

    Raises:
        SystemExit: mypy itself failed.
    """
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"mypy failed:\n{done.stdout}{done.stderr}")
    matches = [(ERROR.match(line), line) for line in done.stdout.splitlines()]
    return [(match["path"], line) for match, line in matches if match is not None]


def lowered(text: str, counts: Counter[str]) -> str:
    """pyproject.toml with the numbers of rooms that became better; clean rooms leave the list."""

    def line(match: re.Match[str]) -> str:
        room, allowed = match[1], int(match[2])
        left = min(allowed, counts[room])
        return f'"{room}" = {left}\n' if left else ""

    return re.sub(r'"(seem_ros[\w/]*)" = (\d+)\n', line, text)


def main() -> int:
    """0 where no room has more errors than it may have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="print the allowed errors, too")
    parser.add_argument("--lower", action="store_true", help="write numbers down in pyproject.toml")
    options = parser.parse_args()
    allowed = tomllib.loads(PROJECT.read_text())["tool"]["seem_ros"]["type_errors"]
    found = [(room_of(path, list(allowed)), line) for path, line in errors()]
    counts = Counter(room for room, _ in found)
    worse = {room for room in counts if counts[room] > allowed.get(room, 0)}
    for room, line in found:
        if options.all or room in worse:
            print(line)
    for room in sorted(worse):
        print(f"{room} has {counts[room]} type errors, {allowed.get(room, 0)} are allowed")
    better = {room: counts[room] for room in allowed if counts[room] < allowed[room]}
    if better and options.lower:
        PROJECT.write_text(lowered(PROJECT.read_text(), counts))
    elif better:
        print(f"better than allowed: {', '.join(sorted(better))}; --lower writes it down")
    print(f"{sum(counts.values())} type errors, {sum(allowed.values())} are allowed, {len(worse)} rooms got worse")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
