# SPDX-License-Identifier: Apache-2.0
r"""A picture and texts through `Segmenter`, with numpy's products on one thread and on as many as there are cores.

    python bench/texts.py
    python bench/texts.py --package lite out/slim --rounds 40

Medians in milliseconds. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

from measuring import calibration_ms
from threadpoolctl import threadpool_limits

from seem_ros import Frame, Prompt, Segmenter
from seem_ros.datasets.recorded_clip import RecordedClip, find_clip

TEXTS = ("the red mug", "the blue bowl", "the blue star", "the orange cone")


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", nargs="+", default=["builtin"], metavar="PACKAGE", help="names or folders")
    parser.add_argument("--texts", type=int, default=4, choices=range(1, 5))
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    rgb = RecordedClip(find_clip("tabletop")).read(0).rgb
    prompts = [Prompt(text=text) for text in TEXTS[: options.texts]]
    segmenters = {name: Segmenter.load(name) for name in options.package}
    took: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for threads in (1, cores):
        with threadpool_limits(limits=threads, user_api="blas"):
            for name, segmenter in segmenters.items():
                segmenter.predict(prompts, segmenter.encode(Frame(rgb)))  # opens graphs, reads the texts
                for _ in range(options.rounds):
                    start = time.perf_counter()
                    encoded = segmenter.encode(Frame(rgb))
                    _ = encoded.features  # encoded here, not within the first question
                    between = time.perf_counter()
                    segmenter.predict(prompts, encoded)
                    end = time.perf_counter()
                    took.setdefault((name, threads), []).append((between - start, end - between))
    print(f"calibration convolution: {calibration_ms(cores):.1f} ms on {cores} cores")
    for (name, threads), pairs in took.items():
        encode, predict = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
        print(
            f"{name}, numpy on {threads}: encode {encode:.1f}, {options.texts} texts {predict:.1f}, "
            f"both {encode + predict:.1f} ms"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
