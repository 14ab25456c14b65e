# SPDX-License-Identifier: Apache-2.0
"""Records a clip of the simulated tabletop with ground truth: DAVIS folders, depth, names, poses, an mp4, a ROS bag."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from seem_ros.command_line import one_line_errors
from seem_ros.errors import DataError, SeemError
from seem_ros.files import check_name
from seem_ros.sim.clip_writer import ClipWriter, write_list
from seem_ros.sim.demo_scene import SECONDS, demo_scene, demo_story
from seem_ros.sim.ground_truth import RenderedFrame
from seem_ros.sim.live_camera import TabletopCamera
from seem_ros.sim.scripted_motion import play
from seem_ros.sim.world import World
from seem_ros.tools.bag_writer import BagWriter


def _random_frames(options: argparse.Namespace) -> Generator[RenderedFrame, None, None]:
    with TabletopCamera(options.seed, height_px=options.height, width_px=options.width, rate_hz=options.rate) as camera:
        while True:
            yield camera.read()


def _demo_frames(options: argparse.Namespace) -> Generator[RenderedFrame, None, None]:
    with World(demo_scene(options.seed, options.height, options.width)) as world:
        world.render()
        yield from play(world, demo_story(world), options.frames, options.rate)


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to (made if missing)")
    parser.add_argument("--frames", type=int, default=None, help=f"number of frames (90; the demo: {SECONDS:.0f} s)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--name", default=None, help="the clip's name (tabletop_SEED)")
    parser.add_argument("--rate", type=float, default=15.0, help="frames per second of simulated time")
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--story", choices=("random", "demo"), default="random")
    parser.add_argument("--jpeg-quality", type=int, default=92)
    parser.add_argument("--no-depth", action="store_true", help="leave out the 16-bit depth pictures")
    parser.add_argument("--no-ids", action="store_true", help="leave out the masks that include table, floor and wall")
    parser.add_argument("--no-video", action="store_true", help="leave out the mp4")
    parser.add_argument("--bag", action="store_true", help="write a ROS 2 bag too (MCAP), into OUT/bags/NAME")
    options = parser.parse_args(arguments)
    try:
        if options.frames is None:
            options.frames = 90 if options.story == "random" else round(SECONDS * options.rate)
        if options.frames < 1 or not 1 <= options.rate <= 120 or not 1 <= options.jpeg_quality <= 100:
            raise DataError(
                f"frames are at least 1, the rate 1 to 120 and the JPEG quality 1 to 100; got "
                f"{options.frames}, {options.rate:g} and {options.jpeg_quality}"
            )
        name = check_name("--name", f"tabletop_{options.seed}" if options.name is None else options.name)
        frames = _demo_frames(options) if options.story == "demo" else _random_frames(options)
        writer = ClipWriter(
            options.out,
            name,
            options.rate,
            jpeg_quality=options.jpeg_quality,
            depth=not options.no_depth,
            all_ids=not options.no_ids,
            video=not options.no_video,
        )
        with ExitStack() as stack:
            bag = options.out / "bags" / name
            writers: list[ClipWriter | BagWriter] = [writer]
            if options.bag:
                writers.append(stack.enter_context(BagWriter(bag, depth=not options.no_depth)))
            for frame in islice(frames, options.frames):
                for each in writers:
                    each.add(frame)
        frames.close()
        truth = writer.close(seed=options.seed, story=options.story)
        write_list(options.out, [name])
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.frames} frames written; the truth is in {truth}{f', the bag in {bag}' if options.bag else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
