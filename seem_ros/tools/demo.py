# SPDX-License-Identifier: Apache-2.0
"""Shows the node at work over real ROS services: on the recorded tabletop clip, or on footage of your own.

    make demo                                      # a simulated table, then a real walk
    make demo VIDEO=my.mp4 TEXT="the red mug"
    python -m seem_ros.tools.demo --video 0 --click 210,96 --box 40,60,200,180

Starts the node in its own process, plays the pictures to it as a camera, asks, prints what a planner would see, and
writes an annotated video and a contact sheet. On the clips it also tells how well the targets match the truth.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from seem_ros.command_line import one_line_errors
from seem_ros.datasets.media import Media, open_media
from seem_ros.datasets.recorded_clip import RecordedClip, Shot, find_clip
from seem_ros.demo.film import annotate, write_sheet
from seem_ros.demo.marks import Mark, mark, standing
from seem_ros.demo.stage import CameraPicture, Player, Stage
from seem_ros.demo.story import RED_MUG, play_story
from seem_ros.errors import SeemError, ServiceError
from seem_ros.files import claim_folder
from seem_ros.msg import Box, Click, Prompt
from seem_ros.perception.masks.overlap import overlap
from seem_ros.perception.pictures.video_file import VideoFile
from seem_ros.perception.structures import prompts
from seem_ros.perception.structures.segments import Segments
from seem_ros.ros.client.replies import STATE_OF
from seem_ros.ros.tabletop_camera_node import TABLE
from seem_ros.ros.transforms.listener import TFMessage
from seem_ros.runtime.official.preparation import prepared_package
from seem_ros.tools.arguments import joined_negatives

SHEET_PICTURES = 9
STRIP = 3  # of them from the real walk, the last row
BURST_S, BURST_HZ = 4.0, 50.0
PATIENCE_S = 1.0
GOAL_IOU = 0.80


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m seem_ros.tools.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", help="footage of your own: video, folder of pictures, bag, or a webcam's number")
    parser.add_argument("--text", action="append", default=[], metavar="WORDS", help="an object, in words")
    parser.add_argument("--click", action="append", default=[], metavar="X,Y", help="an object, by a click on it")
    parser.add_argument("--box", action="append", default=[], metavar="X0,Y0,X1,Y1", help="an object, by its box")
    parser.add_argument("--seconds", type=float, default=60.0, help="of your footage at most")
    parser.add_argument("--model", default="builtin", help="model package: a name or a folder")
    parser.add_argument("--backend", default="auto", help="what runs the model")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of video, sheet and log")
    return parser


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit status: 1 where the clip's goals were missed, 2 for what cannot be run."""
    given = sys.argv[1:] if arguments is None else arguments
    options = build_parser().parse_args(joined_negatives(given))
    begin = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begin:5.1f} s] {line}", flush=True)

    def on_state(target_id: int, label: str, state: int) -> None:
        say(f"    target {target_id} ({label}) is {STATE_OF[state].value}")

    try:
        asked, media = _checked(options)
        claim_folder(options.out, ("demo.mp4", "sheet.png", "walk.mp4", "node.log"))
        parameters = [
            f"model:={options.model}",
            f"backend:={options.backend}",
            "camera_timeout_s:=30.0",
            "call_timeout_s:=30.0",
        ]
        if media is None and TFMessage is not None:  # the clip tells where its camera is
            parameters.append(f"target_frame:={TABLE}")
        if options.video and not (options.text or options.click or options.box):
            parameters.append("panoptic:=true")
        say("starting the node")
        # what the demo teaches is not to be among what the user has taught
        with (
            tempfile.TemporaryDirectory() as taught,
            Stage([*parameters, f"objects_dir:={taught}"], options.out / "node.log", on_state) as stage,
        ):
            stage.wait_until_hearing()
            say("the node listens")
            good = _clip(stage, options, say) if media is None else _footage(stage, options, media, asked, say)
    except (SeemError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    say("done")
    return 0 if good else 1


def _checked(options: argparse.Namespace) -> tuple[list[tuple[str, Prompt]], Media | None]:
    """Prompts and footage, before anything is started for them.

    Raises:
        SeemError: They cannot be used.
    """
    asked = _prompts(options)
    if asked and not options.video:
        raise SeemError("--text, --click and --box are about footage of your own: give --video (VIDEO= with make)")
    if not options.seconds > 0:
        raise SeemError(f"--seconds must be above 0, got {options.seconds:g}")
    prepared_package(options.model, print)
    return asked, open_media(options.video) if options.video else None


def _clip(stage: Stage, options: argparse.Namespace, say: Callable[[str], None]) -> bool:
    clip = RecordedClip(find_clip("tabletop"))
    shots = list(clip)
    player = Player(stage, map(CameraPicture.of, shots), clip.rate_hz, clip.intrinsics, patience_s=PATIENCE_S)
    player.start()
    player.wait_for(0)
    _until_published(stage, player)
    cast = play_story(stage, player, shots, say)
    _settle(stage, player)
    results = _results(stage, player)
    frames = {number: (segments, shots[number].ids) for number, segments in results.items()}
    last = len(shots) - 1
    marks = [
        mark(cast.names[one], one, true_id, frames, cast.since[one] + 1, cast.until.get(one, last + 1) - 1)
        for one, true_id in cast.truth.items()
    ]
    stage.quiet()
    for one, true_id in cast.truth.items():
        if true_id == RED_MUG:
            _say_place(cast.names[one], one, results, shots, say)
    rate = _burst(stage, [CameraPicture.of(shot) for shot in shots], clip)
    sheet = _film(options.out / "demo.mp4", results, player, clip.rate_hz)
    sheet[-STRIP:] = _walk(stage, options, say)
    write_sheet(options.out / "sheet.png", sheet)
    return _report(marks, len(results), len(shots), rate, len(cast.names) - len(cast.until), options.out)


def _say_place(
    name: str, target_id: int, results: Mapping[int, Segments], shots: Sequence[Shot], say: Callable[[str], None]
) -> None:
    """Tell where on the table a thing stands, and how steadily that was said while the camera moved."""
    cameras_m = np.array([shot.world_from_camera[:3, 3] for shot in shots if shot.world_from_camera is not None])
    found = standing(target_id, results.values(), cameras_m)
    if found is not None:
        place = ", ".join(f"{metres:.3f}" for metres in found.place_m)
        say(
            f"{name:<34} -> stands at ({place}) m in frame {TABLE}; {found.pictures} pictures, half of them within "
            f"{1e3 * found.spread_m:.0f} mm of it, while the camera moved by {1e2 * found.camera_m:.0f} cm"
        )


def _walk(stage: Stage, options: argparse.Namespace, say: Callable[[str], None]) -> list[np.ndarray]:
    """Real footage: what a walking robot would ask for, on a phone's video of a pavement. Returns some pictures."""
    stage.client.remove_all_targets()
    clip = RecordedClip(find_clip("campus"))
    shots = list(clip)
    player = Player(stage, map(CameraPicture.of, shots), clip.rate_hz, patience_s=PATIENCE_S)
    player.start()
    player.wait_for(0)
    _until_published(stage, player)
    answer = stage.client.segment([Prompt(text="the sidewalk")], track=True)
    found = answer.target_ids[0]
    say(f'a real walk: text "the sidewalk"    -> {f"target {found}" if found else answer.message}')
    player.play()
    player.join()
    _settle(stage, player)
    results = _results(stage, player)
    ious = []
    for number, shot in enumerate(shots[1:], 1):  # the first picture was there before anybody asked
        labels = results[number].labels > 0 if number in results else np.zeros(shot.ids.shape, bool)
        ious.append(overlap(labels, shot.ids > 0))
    say(f"a real walk: followed through {len(ious)} pictures, mean IoU {np.mean(ious):.2f}")
    return _film(options.out / "walk.mp4", results, player, clip.rate_hz, STRIP, first=1)


def _report(marks: list[Mark], published: int, shown: int, rate_hz: float, alive: int, out: Path) -> bool:
    print(f"\n{'target':<44}{'frames':>8}{'mean IoU':>10}{'hidden':>8}{'false finds':>13}{'id switches':>13}")
    for one in marks:
        print(
            f"{one.target_id:>3} {one.name:<40}{one.frames:>8}{one.mean_iou:>10.3f}{one.hidden_frames:>8}"
            f"{one.false_finds:>13}{one.switches:>13}"
        )
    mean = float(np.mean([one.mean_iou for one in marks])) if marks else 0.0
    switches = sum(one.switches for one in marks)
    good = len(marks) == 5 and mean >= GOAL_IOU and switches == 0
    print(
        f"mean IoU of the tracked targets {mean:.3f} (goal {GOAL_IOU:.2f}), {switches} id switches, "
        f"results for {published} of {shown} pictures"
    )
    print(f"with the {alive} targets alive at the end, pictures as fast as the node takes them: {rate_hz:.1f} a second")
    print(f"written: {out / 'demo.mp4'}, {out / 'walk.mp4'}, {out / 'sheet.png'}, {out / 'node.log'}")
    return good


def _footage(
    stage: Stage, options: argparse.Namespace, media: Media, asked: list[tuple[str, Prompt]], say: Callable[[str], None]
) -> bool:
    most = max(1, round(options.seconds * media.rate_hz))
    # a webcam does not wait for us; a recording does
    patience_s = PATIENCE_S if media.count is not None else 0.0
    pictures = (CameraPicture(frame.rgb) for _, frame in itertools.islice(media.frames, most))
    player = Player(stage, pictures, media.rate_hz, patience_s=patience_s)
    player.start()
    if not player.wait_for(0):
        raise player.error or SeemError(f"{options.video} has no pictures")
    _until_published(stage, player)
    for name, prompt in asked:
        try:
            answer = stage.client.segment([prompt], track=True)
        except ServiceError as refused:
            say(f"{name:<34} -> {refused}")
            continue
        found = answer.target_ids[0]
        say(f"{name:<34} -> {f'target {found}' if found else answer.message}")
    player.play()
    player.join()
    if player.error is not None:
        raise player.error
    _settle(stage, player)
    results = _results(stage, player)
    write_sheet(options.out / "sheet.png", _film(options.out / "demo.mp4", results, player, media.rate_hz))
    say(
        f"results for {len(results)} of {player.index + 1} pictures; written: {options.out / 'demo.mp4'}, "
        f"{options.out / 'sheet.png'}"
    )
    return True


def _numbers(text: str, count: int, what: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise SeemError(f"{what} takes {count} numbers separated by commas, got {text!r}")
    return numbers


def _prompts(options: argparse.Namespace) -> list[tuple[str, Prompt]]:
    asked = [(f'text "{text}"', Prompt(text=text)) for text in options.text]
    for text in options.click:
        x, y = _numbers(text, 2, "--click")
        prompts.Click(x, y)  # refuses what is not finite
        asked.append((f"click {text}", Prompt(clicks=[Click(x=x, y=y)])))
    for text in options.box:
        x0, y0, x1, y1 = _numbers(text, 4, "--box")
        prompts.Box(x0, y0, x1, y1)  # refuses corners in the wrong order
        asked.append((f"box {text}", Prompt(boxes=[Box(x0=x0, y0=y0, x1=x1, y1=y1)])))
    return asked


def _until_published(stage: Stage, player: Player) -> None:
    """Wait until a first result has come back; discovery takes a moment."""
    end = time.monotonic() + 30
    while not any(stamp in player.shown for stamp in stage.segments()):
        if time.monotonic() > end:
            raise SeemError(f"no results came back from the node; it said:\n{stage.log_tail()}")
        time.sleep(0.02)


def _settle(stage: Stage, player: Player) -> None:
    """Wait for the results of the last pictures, two seconds at most."""
    last, end = max(player.shown), time.monotonic() + 2.0
    while last not in stage.segments() and time.monotonic() < end:
        time.sleep(0.02)


def _results(stage: Stage, player: Player) -> dict[int, Segments]:
    """The newest result of every picture, by its number."""
    return {player.shown[stamp][0]: one for stamp, one in sorted(stage.segments().items()) if stamp in player.shown}


def _film(
    path: Path,
    results: dict[int, Segments],
    player: Player,
    rate_hz: float,
    count: int = SHEET_PICTURES,
    first: int = 0,
) -> list[np.ndarray]:
    """The annotated video of every picture; returns some of them, evenly spaced from the first one on."""
    film, pictures = VideoFile(path, rate_hz), dict(player.shown.values())
    chosen = set(np.linspace(first, max(pictures), min(count, len(pictures))).round().astype(int).tolist())
    some = []
    for number, rgb in sorted(pictures.items()):
        segments = results.get(number)
        alive = f"{len(segments)} segments" if segments is not None else "no result"
        picture = annotate(rgb, segments, f"picture {number}: {alive}")
        film.add(picture)
        if number in chosen:
            some.append(picture)
    film.close()
    return some


def _burst(stage: Stage, pictures: list[CameraPicture], clip: RecordedClip) -> float:
    """Results a second when pictures come faster than the node takes them."""
    before = stage.count()
    fast = Player(stage, itertools.cycle(pictures), BURST_HZ, clip.intrinsics, keep=False)
    fast.play()
    fast.start()
    begin = time.monotonic()
    time.sleep(BURST_S)
    count = stage.count() - before
    took = time.monotonic() - begin
    fast.stop()
    return count / took


if __name__ == "__main__":
    sys.exit(main())
