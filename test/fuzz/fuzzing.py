# SPDX-License-Identifier: Apache-2.0
"""Throws hostile input at one part of seem_ros after another, and tells what broke.

    python test/fuzz/fuzzing.py --minutes 60                 # all targets in turn, a process each
    python test/fuzz/fuzzing.py --target services --seed 7 --first 1234 --count 1     # one find again

Every input follows from the target's name, the seed and its number. What breaks is written to --finds, one line each;
a line that is copied to finds.txt is tried by every test run from then on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "perception"), str(ROOT)]

from hostile import Dice  # noqa: E402

KNOWN_FINDS = HERE / "finds.txt"


class Target(Protocol):
    """A part that is fuzzed."""

    def one(self, rng: Dice) -> str:
        """Try one input; the kind of answer. Raises what a user must never see."""

    def close(self) -> None:
        """Take it down."""


def targets() -> dict[str, Callable[[], Target]]:
    """All targets by name."""
    import targets_files
    import targets_node

    return {**targets_node.TARGETS, **targets_files.TARGETS}


def run(name: str, seed: int, first: int, count: int, seconds: float, progress: Path | None) -> dict[str, object]:
    """Fuzzes one target in this process.

    Args:
        name: Of the target.
        seed, first, count: Which inputs.
        seconds: Stop after so long.
        progress: File that says which input is tried now, for a process that dies.

    Returns:
        Figures: tried, kinds of answers, and finds (number and traceback).
    """
    target = targets()[name]()
    kinds: Counter[str] = Counter()
    finds: list[dict[str, object]] = []
    end = time.monotonic() + seconds
    number = first
    try:
        for number in range(first, first + count):
            if time.monotonic() > end or len(finds) >= 20:
                break
            if progress is not None:
                progress.write_text(str(number))
            rng = Dice((zlib.crc32(name.encode()), seed, number))
            try:
                kinds[target.one(rng)] += 1
            except Exception:
                finds.append({"target": name, "seed": seed, "number": number, "trace": traceback.format_exc()[-3000:]})
    finally:
        target.close()
    return {"target": name, "tried": sum(kinds.values()) + len(finds), "kinds": dict(kinds), "finds": finds}


def run_apart(name: str, seed: int, seconds: float, first: int = 0, count: int = 10**9) -> dict[str, object]:
    """`run` in a process of its own; a death is a find, too."""
    with tempfile.TemporaryDirectory() as folder:
        report, progress = Path(folder) / "report.json", Path(folder) / "progress"
        command = [
            sys.executable, str(HERE / "fuzzing.py"), "--target", name, "--seed", str(seed), "--seconds", str(seconds),
            "--first", str(first), "--count", str(count), "--report", str(report), "--progress", str(progress),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120)
            ended = f"exit status {done.returncode}\n{done.stdout[-500:]}{done.stderr[-2500:]}"
        except subprocess.TimeoutExpired:
            ended = "hung"
        if report.is_file():
            return json.loads(report.read_text())
        number = int(progress.read_text() or 0) if progress.is_file() else first
        find = {"target": name, "seed": seed, "number": number, "trace": f"the process died: {ended}"}
        return {"target": name, "tried": number - first + 1, "kinds": {}, "finds": [find], "died": True}


def known_finds() -> list[tuple[str, int, int]]:
    """Target, seed and number of what broke once."""
    lines = (line.split("#")[0].split() for line in KNOWN_FINDS.read_text().splitlines())
    return [(words[0], int(words[1]), int(words[2])) for words in lines if words]


def main() -> int:
    """Command line; 1 where something broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="for all targets together")
    parser.add_argument("--target", help="this one alone, in this process")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--progress", type=Path)
    parser.add_argument("--finds", type=Path, default=ROOT / "out" / "fuzz_finds.txt")
    options = parser.parse_args()
    if options.target:
        seconds = options.seconds if options.seconds is not None else 60 * options.minutes
        found = run(options.target, options.seed, options.first, options.count, seconds, options.progress)
        if options.report:
            options.report.write_text(json.dumps(found))
        else:
            print(json.dumps({k: v for k, v in found.items() if k != "finds"}))
            print("\n".join(str(find["trace"]) for find in found["finds"]))
        return 0 if options.report or not found["finds"] else 1
    names = list(targets())
    share_s = 60 * options.minutes / len(names)
    total, finds, deaths = 0, [], 0
    for name in names:
        figures = run_apart(name, options.seed, share_s)
        total, deaths = total + int(figures["tried"]), deaths + bool(figures.get("died"))
        finds += figures["finds"]
        print(f"{name:12} {figures['tried']:>8} tried, {len(figures['finds'])} broke   {figures['kinds']}", flush=True)
    print(f"{total} tried with seed {options.seed}: {deaths} deaths, {len(finds)} finds")
    if finds:
        options.finds.parent.mkdir(parents=True, exist_ok=True)
        with options.finds.open("a") as stream:
            for find in finds:
                stream.write(f"{find['target']} {find['seed']} {find['number']}\n")
                print(f"--- {find['target']} {find['seed']} {find['number']}\n{find['trace']}")
        print(f"written: {options.finds}")
    return 1 if finds else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # DDS's threads, which the spinning thread may still be in, can keep an interpreter from ending
