# SPDX-License-Identifier: Apache-2.0
"""Makes the video evaluation set: clips in which the arm fully hides an object for a while and pushes another one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from seem_ros.command_line import one_line_errors
from seem_ros.errors import DataError, SeemError
from seem_ros.sim.clip_writer import ClipWriter, write_list
from seem_ros.sim.ground_truth import RenderedFrame
from seem_ros.sim.scene.spec import random_scene
from seem_ros.sim.scripted_motion import arm_story, play
from seem_ros.sim.world import World

_ATTEMPTS = 12
_LEAST_HIDDEN_FRAMES = 4


def hidden_frames(frames: list[RenderedFrame], object_id: int) -> list[int]:
    """Returns the indices of the frames that show at most 4 % of an object's pixels in the first frame."""
    first = int((frames[0].ids == object_id).sum())
    return [index for index, frame in enumerate(frames) if (frame.ids == object_id).sum() <= 0.04 * first]


def make_clip(
    seed: int, frames: int, rate_hz: float, height_px: int, width_px: int
) -> tuple[list[RenderedFrame], dict]:
    """Simulates clips until one has its object really hidden for some frames and seen again at the end.

    Args:
        seed: tries scenes 1000 * seed, 1000 * seed + 1, ...; so the same seed gives the same clip.
        frames: number of frames.
        rate_hz: frames per second.
        height_px: picture height.
        width_px: picture width.

    Returns:
        The frames, and {"scene_seed", "hidden_id", "hidden_frames"}.

    Raises:
        DataError: no scene of this seed works out.
    """
    reason = ""
    for scene_seed in range(1000 * seed, 1000 * seed + _ATTEMPTS):
        try:
            with World(random_scene(scene_seed, height_px=height_px, width_px=width_px)) as world:
                story = arm_story(world, world.render(), np.random.default_rng((scene_seed, 31)), frames / rate_hz)
                shots = list(play(world, story, frames, rate_hz))
        except DataError as error:
            if "OpenGL" in str(error):
                raise
            reason = str(error)
            continue
        hidden_id = story.hidden_id
        assert hidden_id is not None, "arm_story hides an object always"
        hidden = hidden_frames(shots, hidden_id)
        first, last = ((shot.ids == hidden_id).sum() for shot in (shots[0], shots[-1]))
        if len(hidden) >= _LEAST_HIDDEN_FRAMES and last >= 0.5 * first:
            return shots, {"scene_seed": scene_seed, "hidden_id": hidden_id, "hidden_frames": hidden}
        reason = f"its object was hidden in {len(hidden)} frames and ended at {last} of {first} pixels"
    raise DataError(f"seed {seed} gave no clip with a fully hidden object in {_ATTEMPTS} scenes (the last: {reason})")


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the set, in the DAVIS layout")
    parser.add_argument("--count", type=int, default=10, help="number of clips")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rate", type=float, default=15.0, help="frames per second")
    parser.add_argument("--seed", type=int, default=950, help="the first clip's seed")
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    options = parser.parse_args(arguments)
    try:
        names = []
        for seed in range(options.seed, options.seed + options.count):
            shots, facts = make_clip(seed, options.frames, options.rate, options.height, options.width)
            names.append(f"tabletop_{seed}")
            writer = ClipWriter(options.out, names[-1], options.rate)
            for shot in shots:
                writer.add(shot)
            writer.close(**facts)
            hidden = next(item.name for item in shots[0].instances if item.id == facts["hidden_id"])
            print(f"{names[-1]}: {len(shots)} frames, {hidden} hidden in {len(facts['hidden_frames'])}", flush=True)
        write_list(options.out, names)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
