# SPDX-License-Identifier: Apache-2.0
"""Labels footage with a big model: ``python -m seem_ros.tools.label SOURCES... --things "mug, box" --out DIR``.

    python -m seem_ros.tools.label bags/*.mcap --model focalt_v1 --things "mug, box" --out labels
    python -m seem_ros.tools.label videos/ --things screwdriver --text "the red handle" --every 5 --out labels
    python -m seem_ros.tools.label "bags/**/*.mcap" --things "mug, box" --out /shared/labels --ray auto

The teacher looks at every n-th frame; memory carries what it found through the frames between. What forward, backward
and a box around it do not agree on is dropped. A run that was stopped goes on with the same command. Then:

    python -m seem_ros.tools.correct labels --list                     # which pictures to look at first
    python -m seem_ros.training.train --data labels --init builtin ... # and train on them

Exit status 0; 1 where a source failed (the others are labelled), 2 for mistakes, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from seem_ros.command_line import one_line_errors
from seem_ros.errors import DataError, SeemError
from seem_ros.labelling.label_set import VAL_SHARE, LabelSet
from seem_ros.labelling.labelling import Outcome, expand, label_all, label_on_ray, label_source, open_teacher
from seem_ros.labelling.teacher import LabelConfig


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="bags, videos, folders of pictures, or globs")
    parser.add_argument("--things", default="", metavar="NAME,NAME", help="what to look for, every one in the picture")
    parser.add_argument("--text", action="append", default=[], metavar="WORDS", help="a phrase to look for; repeatable")
    parser.add_argument("--model", default="builtin", help="teacher: builtin, a package or a checkpoint")
    parser.add_argument("--backend", default="auto", help="that runs the package (default %(default)s)")
    parser.add_argument("--every", type=int, default=10, metavar="N", help="label each N-th frame, default %(default)s")
    parser.add_argument(
        "--agreement",
        type=float,
        default=0.8,
        metavar="IOU",
        help="overlap that forward, backward and a box need (default %(default)s)",
    )
    parser.add_argument("--topic", default="", help="image topic of bags (default: the one with the most messages)")
    parser.add_argument("--val", type=float, default=VAL_SHARE, metavar="SHARE", help="pictures kept for measuring")
    parser.add_argument("--ray", metavar="ADDRESS", help="spread over a Ray cluster: auto, local, address")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="of --ray local (default %(default)s)")
    parser.add_argument("--gpus", type=float, default=0, metavar="N", help="of each source on the cluster")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the set; goes on where it was")
    return parser


def run(options: argparse.Namespace) -> tuple[list[Outcome], dict[str, int]]:
    """Labels what the command line says; returns what became of each source and the counts of the whole set.

    Raises:
        SeemError: something the user can mend; nothing is half-written.
    """
    things = tuple(name.strip() for name in options.things.split(",") if name.strip())
    config = LabelConfig(things, tuple(options.text), options.every, agreement=options.agreement)
    if not 0 <= options.val < 1:
        raise DataError(f"--val is a share from 0 up to 1, got {options.val}")
    sources = expand(options.sources)
    about = {"model": options.model, **dataclasses.asdict(config)}
    labels = LabelSet(options.out, about)
    if options.ray:
        job = {
            "model": options.model,
            "backend": options.backend,
            "topic": options.topic,
            "gpus": options.gpus,
            "workers": options.workers,
            "config": dataclasses.asdict(config),
        }
        outcomes = _tell(label_on_ray(sources, labels, options.ray, job))
    else:
        with open_teacher(options.model, options.backend) as segmenter:
            outcomes = _tell(
                label_all(
                    sources, labels, lambda source: label_source(segmenter, config, labels, source, options.topic)
                )
            )
    if not any(labels.is_done(source) for source in sources):
        raise DataError(f"no source could be labelled; the first: {outcomes[0].source}: {outcomes[0].error}")
    return outcomes, labels.merge(options.val)


def _tell(outcomes: Iterable[Outcome]) -> list[Outcome]:
    told = []
    for one in outcomes:
        counts = f"{one.pictures} pictures, {one.objects} objects kept, {one.dropped} dropped"
        print(f"{one.source}: {one.error or counts}", file=sys.stderr if one.error else sys.stdout, flush=True)
        told.append(one)
    return told


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        outcomes, counts = run(options)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on with the next source", file=sys.stderr)
        return 130
    print(f"{options.out}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if any(one.error for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
