# SPDX-License-Identifier: Apache-2.0
"""Frames at full speed for long: targets, texts and vocabularies come and go, pictures change size, memory stays.

    python test/fuzz/soak.py --minutes 60 --out out/soak          # or --frames 100000

Runs the node's own pipeline in this process, without a network between. Writes memory, descriptors and threads over
the frames as CSV and as a curve; exit status 1 where memory grew by more than 2 % after the warm-up, or anything broke.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "perception"), str(HERE.parents[1])]

import numpy as np  # noqa: E402
import psutil  # noqa: E402
from colour_backend import scene  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from targets_node import NodeTarget  # noqa: E402

from seem_ros.msg import Box, Click, Prompt  # noqa: E402
from seem_ros.ros.messages.images import array_to_image, ns_to_stamp  # noqa: E402
from seem_ros.srv import RemoveTargets, Segment, SetVocabulary  # noqa: E402

WARM_UP = 0.25  # of the frames: until caches are full
ALLOWED_GROWTH = 0.02
WORDS = ("red", "green mug", "blue", "the red mug", "yellow bowl")


class Soak(NodeTarget):
    """A node that is shown frames as fast as it takes them."""

    def _show(self) -> None:
        """The camera of the fuzzers is not wanted here."""

    def frame(self, number: int) -> None:
        """Show a frame and wait until it was looked at."""
        height, width = ((96, 128), (120, 160), (64, 96))[number // 500 % 3]
        picture = scene({(30 + number % 20, 30): "red", (60, 40): "green"}, height=height, width=width)
        stamp_ns = 10**11 + number * 33_000_000
        running = self.node._running
        (camera,) = running.cameras.values()
        camera.on_image(array_to_image(picture, Header(stamp=ns_to_stamp(stamp_ns), frame_id="optical")))
        running.thread.wake()
        end = time.monotonic() + 30
        while camera.has_frame():
            assert time.monotonic() < end, f"frame {number} was not looked at within 30 s"
            time.sleep(0.0002)

    def life(self, number: int, rng: np.random.Generator) -> None:
        """What users do now and then."""
        services = {one.srv_name.rsplit("/", 1)[1]: one for one in self.node.services}
        if number % 20 == 0:
            prompt = (
                Prompt(text=f"{WORDS[number // 20 % 5]} {rng.integers(10**6)}"),
                Prompt(clicks=[Click(x=float(rng.uniform(0, 60)), y=float(rng.uniform(0, 60)))]),
                Prompt(boxes=[Box(x0=20.0, y0=20.0, x1=50.0, y1=50.0)]),
            )[number // 20 % 3]
            self.call(services["segment"], Segment.Request(prompts=[prompt], track=bool(rng.integers(2))))
        if number % 200 == 0:
            self.call(services["remove_targets"], RemoveTargets.Request(all=True))
        if number % 500 == 0:
            names = [f"thing {rng.integers(10**6)}" for _ in range(5)]
            self.call(services["set_vocabulary"], SetVocabulary.Request(things=names, stuff=["wall"]))
        self.check()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path("out/soak"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    soak, rng, process = Soak(), np.random.default_rng(0), psutil.Process()
    rows, begin = [], time.monotonic()
    for number in range(options.frames):
        soak.frame(number)
        soak.life(number, rng)
        if number % 100 == 0:
            rows.append((number, process.memory_info().rss / 1e6, process.num_fds(), threading.active_count()))
        if time.monotonic() - begin > 60 * options.minutes:
            break
    took_s = time.monotonic() - begin
    soak.close()
    table = np.array(rows)
    lines = ["frame,resident_mb,descriptors,threads", *(",".join(f"{v:g}" for v in row) for row in rows)]
    (options.out / "soak.csv").write_text("\n".join(lines) + "\n")
    _plot(options.out / "soak.png", table)
    settled = table[int(len(table) * WARM_UP) :]
    first, last = (
        float(np.median(part[:, 1])) for part in (settled[: len(settled) // 5 + 1], settled[-len(settled) // 5 :])
    )
    growth = last / first - 1
    print(
        f"{number + 1} frames in {took_s:.0f} s ({(number + 1) / took_s:.0f}/s): {first:.1f} MB after the warm-up, "
        f"{last:.1f} MB at the end ({growth:+.2%}); descriptors {settled[0, 2]:.0f} -> {settled[-1, 2]:.0f}, threads "
        f"{settled[0, 3]:.0f} -> {settled[-1, 3]:.0f}; {len(soak.log.errors)} errors"
    )
    return 1 if growth > ALLOWED_GROWTH or soak.log.errors else 0


def _plot(path: Path, table: np.ndarray) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 1, sharex=True, figsize=(8, 5))
    axes[0].plot(table[:, 0], table[:, 1])
    axes[0].set_ylabel("resident, MB")
    axes[1].plot(table[:, 0], table[:, 2], label="descriptors")
    axes[1].plot(table[:, 0], table[:, 3], label="threads")
    axes[1].set_xlabel("frame")
    axes[1].legend()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
