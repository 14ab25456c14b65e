# SPDX-License-Identifier: Apache-2.0
r"""How long a user waits for the first answer, and how much memory the node then holds.

    python bench/start.py --rounds 5

From the start of the node's process to the answer of a `~/segment` call that brings its own picture, over ROS, with a
client that is already up and asks again until it is served. Then the same picture again, and what is resident a second
later. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

import numpy as np

from seem_ros.datasets.recorded_clip import RecordedClip, find_clip
from seem_ros.demo.stage import ROOT, cpu_s, memory_mb
from seem_ros.errors import SeemError, ServiceError
from seem_ros.ros.client import SeemClient, SegmentReply
from seem_ros.ros.discovery import stay_on_this_machine

ASK_AGAIN_S = 0.05  # a node that has not found the client yet cannot answer it
LIMIT_S = 60.0
REST_S = 1.0  # a node at rest has given back what a call needs for a moment


def first_answer(client: SeemClient, picture: np.ndarray, process: subprocess.Popen[bytes]) -> SegmentReply:
    """The first answer of a node that is starting.

    Raises:
        SeemError: It ended, or gave none in time.
    """
    end_s = time.monotonic() + LIMIT_S
    asked: set[Future[SegmentReply]] = set()
    while time.monotonic() < end_s and process.poll() is None:
        if len(asked) < 4:  # as many as may wait at the node
            asked.add(client.segment_async(["the red mug"], picture=picture))
        done, asked = wait(asked, ASK_AGAIN_S, return_when=FIRST_COMPLETED)
        for one in done:
            if one.exception() is None:
                return one.result()
            if not isinstance(one.exception(), ServiceError):
                raise one.exception()
        if done:
            time.sleep(0.01)  # it was told that the node is not active yet
    raise SeemError("the node gave no answer")


def measure(arguments: argparse.Namespace, picture: np.ndarray) -> dict[str, float]:
    """One start: seconds and megabytes."""
    words = [word for one in arguments.parameter for word in ("-p", one)]
    with SeemClient(timeout_s=LIMIT_S) as client:
        time.sleep(1.0)  # the client is up
        begin = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / "seem"), "--ros-args", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            first_answer(client, picture, process)
            took, used = time.monotonic() - begin, cpu_s(process.pid)
            begin = time.monotonic()
            client.segment(["the red mug"], picture=picture)
            again = time.monotonic() - begin
            time.sleep(REST_S)
            resident, own = memory_mb(process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(15)
    return {
        "first answer, s": took,
        "processor time until then, s": used,
        "the same again, s": again,
        "resident, MB": resident,
        "of that its own, MB": own,
    }


def main() -> int:
    """Measure, print, and write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME:=VALUE", help="of the node")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("out/bench/start.json"))
    arguments = parser.parse_args()
    stay_on_this_machine(101 + os.getpid() % 100)
    picture = RecordedClip(find_clip("tabletop")).read(0).rgb
    rounds = [measure(arguments, picture) for _ in range(arguments.rounds)]
    for name in rounds[0]:
        values = sorted(one[name] for one in rounds)
        print(f"{name:<32} {' '.join(f'{value:8.2f}' for value in values)}   median {np.median(values):.2f}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(rounds, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
