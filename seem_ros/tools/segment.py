# SPDX-License-Identifier: Apache-2.0
"""Segments a picture, or follows objects through a video, a folder of frames or a ROS bag; no ROS needed.

    python -m seem_ros.tools.segment photo.jpg --text "the red mug" --click 210,96 --box 40,60,200,180 --out out
    python -m seem_ros.tools.segment clip.mp4 --click 210,96 --negative-click 240,110 --out out
    python -m seem_ros.tools.segment recording.mcap --text mug --and --click 210,96 --out out

Every --text, --click, --box, --scribble, --polygon, --mask and --reference asks for an object of its own; --and joins
the next one to the object before it, and --negative-click always belongs to the object before it. Coordinates are
pixels of the source. In a moving source prompts are about frame --frame and the objects are followed from there; a text
that finds nothing is tried again in later frames. Writes label images (0 = nothing), overlays and segments.json to
--out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from seem_ros.command_line import one_line_errors
from seem_ros.datasets.media import Media, open_media
from seem_ros.datasets.result_bag import ResultBag
from seem_ros.errors import DataError, PromptError, SeemError
from seem_ros.files import MadeFiles, claim_folder, unused_name
from seem_ros.perception.pictures.picture_file import read_mask_file, read_picture_file
from seem_ros.perception.pictures.video_file import VideoFile
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.segmenter_opening import open_segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Box, Click, Mask, Polygon, Prompt, Reference, Scribble
from seem_ros.perception.structures.segments import Segments
from seem_ros.perception.tracking.tracker import Tracker
from seem_ros.perception.visualize import contact_sheet, draw_overlay
from seem_ros.tools.arguments import joined_negatives

_SHEET_CELLS = 12
_RETRY_EVERY = 5
_SKIPPED_SHOWN = 3


class _Part(argparse.Action):
    """Keeps prompt options in the order of the command line."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        parts = [*(getattr(namespace, "parts", None) or []), (self.dest, values)]
        namespace.parts = parts


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m seem_ros.tools.segment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="picture, folder of frames, video, bag (.mcap, .db3, folder) or webcam number")
    ask = parser.add_argument_group("what to look for, any number and order")
    ask.add_argument("--text", action=_Part, metavar="WORDS", help='e.g. "the red mug"')
    ask.add_argument("--click", action=_Part, metavar="X,Y", help="a point on the object")
    ask.add_argument("--negative-click", action=_Part, metavar="X,Y", help="a point that is not on it")
    ask.add_argument("--box", action=_Part, metavar="X0,Y0,X1,Y1")
    ask.add_argument("--scribble", action=_Part, metavar="X,Y,X,Y,...")
    ask.add_argument("--polygon", action=_Part, metavar="X,Y,X,Y,X,Y,...")
    ask.add_argument("--mask", action=_Part, metavar="PNG", help="of the source's size, what is not 0 is the object")
    ask.add_argument("--reference", action=_Part, metavar="PICTURE[:X0,Y0,X1,Y1]", help="one like this")
    ask.add_argument("--and", action=_Part, nargs=0, dest="and", help="the next option is about the same object")
    ask.add_argument("--panoptic", action="store_true", help="everything, named from the vocabulary")
    ask.add_argument("--vocabulary", metavar="NAME,NAME,...", help="class names in place of the model's own")
    ask.add_argument("--frame", type=int, default=0, metavar="N", help="frame the prompts are about (default 0)")
    ask.add_argument("--presence", type=float, metavar="P", help="presence needed, 0..1 (default the model's)")
    how = parser.add_argument_group("how")
    how.add_argument("--model", default="builtin", help="builtin, an official model, a package, or a checkpoint")
    how.add_argument("--backend", default="auto", help="that runs a package (default %(default)s)")
    how.add_argument("--topic", default="", help="image topic of a bag (default the colour camera's)")
    how.add_argument("--limit", type=int, metavar="N", help="stop after N frames")
    how.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    how.add_argument("--bag", type=Path, metavar="DIR", help="write the results as a ROS 2 bag as well; DIR is made")
    how.add_argument("--no-overlay", action="store_true", help="write label images and JSON only")
    return parser


def _numbers(option: str, text: str, count: int | None = None) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise PromptError(f"--{option} needs numbers with commas between them, got {text!r}") from error
    if count is not None and len(values) != count:
        raise PromptError(f"--{option} needs {count} numbers, got {len(values)} in {text!r}")
    if len(values) % 2:
        raise PromptError(f"--{option} needs pairs of x and y, got {len(values)} numbers in {text!r}")
    return values


def _box(option: str, text: str) -> Box:
    x0, y0, x1, y1 = _numbers(option, text, 4)
    return Box(x0, y0, x1, y1)


def _piece(option: str, value: str) -> tuple[str, Any]:
    """One option as a field of ``Prompt`` and what belongs there."""
    if option == "text":
        return "text", value
    if option in ("click", "negative_click"):
        x, y = _numbers(option.replace("_", "-"), value, 2)
        return "clicks", Click(x, y, negative=option != "click")
    if option == "box":
        return "boxes", _box(option, value)
    if option == "scribble":
        return "scribbles", Scribble(np.reshape(_numbers(option, value), (-1, 2)))
    if option == "polygon":
        return "polygons", Polygon(np.reshape(_numbers(option, value), (-1, 2)))
    if option == "mask":
        return "masks", Mask(read_mask_file(Path(value)))
    path, _, place = value.rpartition(":") if not Path(value).is_file() else (value, "", "")
    shapes = (_box(option, place),) if place else ()
    return "reference", Reference(read_picture_file(Path(path or value)).rgb, shapes)


def build_prompts(parts: Sequence[tuple[str, str]]) -> list[Prompt]:
    """The command line's parts as prompts, see the module's docstring.

    Raises:
        PromptError: A value is malformed, or --and or --negative-click has nothing before it.
    """
    fields: list[dict[str, Any]] = []
    joining = False
    for option, value in parts:
        if option in ("and", "negative_click") and not fields:
            raise PromptError(f"--{option.replace('_', '-')} belongs to an option before it, and there is none")
        if option == "and":
            joining = True
            continue
        name, piece = _piece(option, value)
        if not joining and option != "negative_click":
            fields.append({})
        joining = False
        if name in ("text", "reference"):
            if name in fields[-1]:
                raise PromptError(f"one object can have one {name}: leave out --and for another object")
            fields[-1][name] = piece
        else:
            fields[-1][name] = (*fields[-1].get(name, ()), piece)
    return [Prompt(**one) for one in fields]


class Writer:
    """Label images, overlays, a video of them, a contact sheet and one JSON."""

    def __init__(self, out: Path, media: Media, overlays: bool, bag: Path | None = None) -> None:
        self._out, self._media, self._overlays = out, media, overlays
        self._frames: list[dict[str, Any]] = []
        self._sheet: list[tuple[str, np.ndarray]] = []
        self._video = VideoFile(out / "overlay.mp4", media.rate_hz)
        self._step = max(1, -(-(media.count or 300) // _SHEET_CELLS))
        self._names: set[str] = set()
        claim_folder(out, ("masks", "overlays", "overlay.mp4", "contact_sheet.jpg", "segments.json"))
        try:
            self._made = MadeFiles(out, ("masks", "overlays"))
            for name in ("overlay.mp4", "contact_sheet.jpg"):  # a single picture has none
                (out / name).unlink(missing_ok=True)
            (out / "masks").mkdir(parents=True, exist_ok=True)
            if overlays:
                (out / "overlays").mkdir(exist_ok=True)
        except OSError as error:
            raise DataError(f"{out} cannot be written: {error}") from error
        self._bag = ResultBag(bag) if bag is not None else None

    def add(self, name: str, frame: Frame, segments: Segments) -> None:
        """One frame's results; a name that was there already, as of photo.jpg beside photo.png, gets a number."""
        name = unused_name(name, self._names.__contains__)
        self._names.add(name)
        _write_picture(self._made.add(self._out / "masks" / f"{name}.png"), segments.labels)
        self._frames.append(
            {
                "name": name,
                "stamp_ns": frame.stamp_ns,
                "width": frame.width,
                "height": frame.height,
                "segments": [dataclasses.asdict(segment) for segment in segments],
            }
        )
        if not self._overlays and self._bag is None:
            return
        drawn = draw_overlay(frame.rgb, segments)
        if self._bag is not None:
            self._bag.add(frame, segments, drawn)
        if not self._overlays:
            return
        _write_picture(self._made.add(self._out / "overlays" / f"{name}.jpg"), drawn[:, :, ::-1])
        if (len(self._frames) - 1) % self._step == 0:
            self._sheet.append((name, drawn))
        if self._media.moving:
            self._video.add(drawn)

    @property
    def note(self) -> str:
        """What to tell the user about the files."""
        return self._video.note

    def close(self, about: dict[str, Any]) -> None:
        """Writes what is written at the end; also after an interruption."""
        self._video.close()
        if self._bag is not None:
            self._bag.close()
        if len(self._sheet) > 1:
            sheet = contact_sheet([image for _, image in self._sheet], titles=[name for name, _ in self._sheet])
            _write_picture(self._out / "contact_sheet.jpg", sheet[:, :, ::-1])
        path = self._out / "segments.json"
        try:
            self._made.note()
            path.write_text(json.dumps({**about, "frames": self._frames}, indent=1))
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error}") from error


def _write_picture(path: Path, picture: np.ndarray) -> None:
    if not cv2.imwrite(str(path), picture):
        raise DataError(f"{path} cannot be written: is the disk full or the folder read-only?")


def _follow(
    tracker: Tracker, prompts: Sequence[Prompt], media: Media, writer: Writer, start: int, limit: int | None
) -> list[str]:
    """Prompts on frame ``start``, then every frame; returns what to tell the user."""
    pending, notes = list(prompts), []
    bar = tqdm(
        media.frames,
        total=min(media.count or 10**9, limit or 10**9) if media.count or limit else None,
        desc=media.name,
        unit="frame",
        disable=None,
    )
    number = -1
    for number, (name, frame) in enumerate(bar):
        if limit is not None and number >= limit:
            number -= 1
            break
        segments = tracker.step(frame)
        if pending and number >= start and (number - start) % _RETRY_EVERY == 0:
            result = tracker.start(pending, frame)
            if number == start:
                notes += [answer.message for answer in result.answers if answer.message]
            # only what is asked for by its look can turn up later; a click means this frame
            pending = [
                prompt
                for prompt, found in zip(pending, result.target_ids, strict=True)
                if not found and not prompt.shapes
            ]
            segments = tracker.step(frame) if len(segments) else result.segments
        writer.add(name, frame, segments)
        bar.set_postfix_str(f"{len(segments)} seen", refresh=False)
    if number < start:
        raise DataError(f"{media.name} has {number + 1} frames, so there is no frame {start} to ask about")
    return notes


def run(options: argparse.Namespace, segmenter: Segmenter | None = None) -> int:
    """Does what the command line says.

    Args:
        options: Of the command line.
        segmenter: To be used in place of the one that the options name.

    Returns:
        The number of objects found.

    Raises:
        SeemError: Something the user can mend.
    """
    prompts = build_prompts(getattr(options, "parts", None) or [])
    if not prompts and not options.panoptic:
        raise PromptError("nothing is asked: give --text, --click, --box, --reference ... or --panoptic")
    if prompts and options.panoptic:
        raise PromptError("--panoptic segments everything: leave out the prompts, or leave out --panoptic")
    if options.frame < 0 or (options.limit is not None and options.limit < 1):
        raise PromptError("--frame must be 0 or more and --limit at least 1")
    if options.limit is not None and options.limit <= options.frame and not options.panoptic:
        raise PromptError(
            f"--limit {options.limit} ends before frame {options.frame}, which --frame asks about: "
            f"give --limit {options.frame + 1} or more"
        )
    media = open_media(options.source, options.topic)
    config = SegmenterConfig(presence_threshold=options.presence)
    if segmenter is not None:
        segmenter.config = config
    else:
        segmenter = open_segmenter(options.model, options.backend, config)
    with segmenter:
        if options.vocabulary:
            unknown = segmenter.set_vocabulary([name for name in options.vocabulary.split(",") if name.strip()])
            if unknown:
                print(f"note: the model was never trained on {', '.join(unknown)}", file=sys.stderr)
        writer = Writer(options.out, media, not options.no_overlay, options.bag)
        about = {
            "source": options.source,
            "model": segmenter.spec.name,
            "backend": segmenter.backend.status.backend,
            "prompts": [_plain(option, value) for option, value in getattr(options, "parts", None) or []],
        }
        notes: list[str] = []
        tracker = Tracker(segmenter)
        found = 0
        try:
            if options.panoptic:
                bar = tqdm(media.frames, total=media.count, desc=media.name, unit="frame", disable=None)
                for number, (name, frame) in enumerate(bar):
                    if options.limit is not None and number >= options.limit:
                        break
                    segments = segmenter.panoptic(frame=frame)
                    found = max(found, len(segments))
                    writer.add(name, frame, segments)
            elif media.moving:
                notes = _follow(tracker, prompts, media, writer, options.frame, options.limit)
                found = len(tracker)
            else:
                name, frame = next(media.frames)
                segments = segmenter.segment(prompts, frame)
                notes = [answer.message for answer in segments.answers if answer.message]
                found = sum(answer.found for answer in segments.answers)
                writer.add(name, frame, segments)
        finally:
            about["messages"], about["skipped"] = notes, media.skipped
            about["targets"] = [dataclasses.asdict(target) for target in tracker.targets()]
            writer.close(about)
    for note in (*notes, *_skipped(media), *([writer.note] if writer.note else [])):
        print(f"note: {note}", file=sys.stderr)
    print(f"{found} found; results in {options.out}")
    return found


def _skipped(media: Media) -> list[str]:
    """What to say about pictures that were left out."""
    shown = [f"skipped: {reason}" for reason in media.skipped[:_SKIPPED_SHOWN]]
    more = len(media.skipped) - len(shown)
    return shown + ([f"{more} more pictures were skipped; segments.json has the reasons"] if more else [])


def _plain(option: str, value: Any) -> str:
    return f"--{option.replace('_', '-')} {value}".strip() if value else f"--{option}"


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; exit status 0, 1 where nothing was found, 2 for mistakes, 130 when interrupted."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        return 0 if run(build_parser().parse_args(joined_negatives(given))) else 1
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
