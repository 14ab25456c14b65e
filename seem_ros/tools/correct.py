# SPDX-License-Identifier: Apache-2.0
"""Corrects labels: ``python -m seem_ros.tools.correct DIR --list``, then picture by picture.

    python -m seem_ros.tools.correct labels --list                                    # the most doubtful first
    python -m seem_ros.tools.correct labels FILE --object 3 --click 120,80 --negative-click 140,90
    python -m seem_ros.tools.correct labels FILE --new mug --box 40,60,120,150        # one that was missed
    python -m seem_ros.tools.correct labels FILE --object 3 --mask fixed.png          # drawn in another program
    python -m seem_ros.tools.correct labels FILE --object 3 --name cup                # renamed
    python -m seem_ros.tools.correct labels FILE --remove 3                           # no object
    python -m seem_ros.tools.correct labels FILE --right                              # right as it is
    python -m seem_ros.tools.correct labels --yolo yolo_set                           # for other trainers

Corrected pictures weigh four times as much in training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seem_ros.command_line import one_line_errors
from seem_ros.errors import DataError, SeemError
from seem_ros.labelling.correction import Correction
from seem_ros.labelling.label_set import LabelSet, rank
from seem_ros.labelling.labelling import open_teacher
from seem_ros.labelling.yolo import export_yolo
from seem_ros.perception.pictures.picture_file import read_mask_file
from seem_ros.perception.structures.prompts import Box, Click, Mask, Prompt


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path, metavar="DIR", help="made by seem_ros.tools.label")
    parser.add_argument("file", nargs="?", help="a picture, as --list prints it")
    what = parser.add_argument_group("what to do")
    what.add_argument("--list", type=int, nargs="?", const=20, metavar="N", help="print the N most doubtful pictures")
    what.add_argument("--object", type=int, metavar="ID", help="the object that is corrected")
    what.add_argument("--new", metavar="NAME", help="add an object")
    what.add_argument("--name", help="rename the object")
    what.add_argument("--remove", type=int, metavar="ID", help="take an object out")
    what.add_argument("--right", action="store_true", help="the picture is right as it is")
    what.add_argument("--yolo", type=Path, metavar="OUT", help="write the set for YOLO segmentation")
    how = parser.add_argument_group("the new outline, any number")
    how.add_argument("--click", action="append", default=[], metavar="X,Y")
    how.add_argument("--negative-click", action="append", default=[], metavar="X,Y")
    how.add_argument("--box", metavar="X0,Y0,X1,Y1")
    how.add_argument("--mask", type=Path, metavar="PNG", help="non-zero = the object; nothing is asked then")
    how.add_argument("--model", default="builtin", help="that answers clicks and boxes (default %(default)s)")
    return parser


def run(options: argparse.Namespace) -> str:
    """Does what the command line says; returns what to print.

    Raises:
        SeemError: something the user can mend.
    """
    labels = LabelSet(options.labels)
    if options.list is not None:
        doubts = rank([item for record in labels.records() for item in record["items"]])
        return "\n".join(f"{one.doubt:.2f}  {one.file}  {one.why}".rstrip() for one in doubts[: options.list])
    if options.yolo:
        counts = export_yolo(options.labels, options.yolo)
        return f"{options.yolo}: " + ", ".join(f"{count} {what}" for what, count in counts.items())
    if not options.file:
        raise DataError("which picture? give a file as --list prints it")
    said = _correct(Correction(labels), options)
    labels.merge(labels.val_share)
    return said


def _correct(correction: Correction, options: argparse.Namespace) -> str:
    if options.right:
        correction.confirm(options.file)
        return f"{options.file}: right as it is"
    if options.remove is not None:
        correction.take_out(options.file, options.remove)
        return f"{options.file}: object {options.remove} is out"
    if (options.object is None) == (options.new is None):
        raise DataError("give --object ID or --new NAME (or --remove, --right)")
    opened = correction.open(options.file)
    before = opened.ids == options.object if options.object is not None else np.zeros(opened.ids.shape, bool)
    number = correction.put(
        options.file, _outline(options, opened.rgb, before), options.object, options.new or options.name
    )
    return f"{options.file}: object {number} is saved"


def _outline(options: argparse.Namespace, rgb: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The new outline bool [H, W]: drawn, or the model's answer to clicks and a box, or the old one."""
    if options.mask:
        return read_mask_file(options.mask)
    clicks = []
    for given, negative in ((options.click, False), (options.negative_click, True)):
        for one in given:
            x, y = _numbers(one, 2)
            clicks.append(Click(x, y, negative=negative))
    boxes: tuple[Box, ...] = ()
    if options.box:
        x0, y0, x1, y1 = _numbers(options.box, 4)
        boxes = (Box(x0, y0, x1, y1),)
    if not clicks and not boxes:
        if not before.any():
            raise DataError("a new object needs --click, --box or --mask")
        return before
    start = (Mask(before),) if before.any() and not boxes and all(click.negative for click in clicks) else ()
    with open_teacher(options.model) as segmenter:
        segments = segmenter.segment([Prompt(clicks=tuple(clicks), boxes=boxes, masks=start)], rgb)
    if not segments.answers[0].found:
        raise DataError(f"nothing found there: {segments.answers[0].message}")
    return segments.labels > 0


def _numbers(text: str, count: int) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise DataError(f"{text!r}: numbers with commas between them are needed") from error
    if len(values) != count:
        raise DataError(f"{text!r}: {count} numbers are needed")
    return values


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    try:
        print(run(build_parser().parse_args(arguments)))
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
