# SPDX-License-Identifier: Apache-2.0
"""Measures a model, and the classical methods beside it, on our simulated world and on folders as they are published.

    python -m seem_ros.tools.evaluate --world out/val --render 300         # our held-out tabletop, rendered if missing
    python -m seem_ros.tools.evaluate --davis DAVIS --prompt mask          # video: J, F, J&F
    python -m seem_ros.sim.clips --out out/clips && python -m seem_ros.tools.evaluate --davis out/clips   # ours
    python -m seem_ros.tools.evaluate --interactive GrabCut --grabcut all  # clicks, boxes, strokes
    python -m seem_ros.tools.evaluate --real data/real                     # photographs, per source and by size
    python -m seem_ros.tools.evaluate --real my_data --before builtin --after my_model     # what a training changed
    python -m seem_ros.tools.evaluate --coco-panoptic COCO --model focalt_v1.pt

Prints tables; writes report.json and contact sheets of the worst and best answers to --out.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

import seem_ros
from seem_ros.command_line import one_line_errors
from seem_ros.datasets.coco_panoptic import CocoPanoptic
from seem_ros.datasets.davis import DavisVideos
from seem_ros.datasets.interactive import CONVENTIONS, InteractiveFolder
from seem_ros.datasets.refcoco import RefCoco
from seem_ros.datasets.tabletop import WorldShards
from seem_ros.datasets.tabletop_names import names_of_clip
from seem_ros.datasets.ycb import YcbFrames
from seem_ros.errors import CheckpointError, DataError, SeemError
from seem_ros.evaluation import standard_sets
from seem_ros.evaluation.comparison import compare
from seem_ros.evaluation.contact_sheet import ContactSheet
from seem_ros.evaluation.metrics.number_of_clicks import MAX_CLICKS
from seem_ros.evaluation.photographs import evaluate_photographs, open_photographs
from seem_ros.evaluation.predictors.baselines import CopyFirst, FlowPropagation, GrabCut
from seem_ros.evaluation.predictors.protocol import Predictor, VideoPredictor
from seem_ros.evaluation.report import Report
from seem_ros.evaluation.tabletop import MIN_SHARE, evaluate_world
from seem_ros.evaluation.video_scores import PROMPTS, Contender, FollowedClip, VideoScores
from seem_ros.files import claim_folder
from seem_ros.runtime.package import PRECISIONS

if TYPE_CHECKING:  # torch and runtimes are loaded only where a model is measured
    from seem_ros.perception.segmenter import Segmenter

_CLASSICAL: tuple[Callable[[], VideoPredictor], ...] = (CopyFirst, FlowPropagation)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_argument_group("what to measure on (any number)")
    data.add_argument("--world", type=Path, metavar="DIR", help="shards of the simulated tabletop")
    data.add_argument("--render", type=int, metavar="N", help="render N held-out scenes into the --world folder first")
    data.add_argument("--seed", type=int, default=900000, help="of --render (default %(default)s)")
    data.add_argument(
        "--davis",
        type=Path,
        metavar="DIR",
        action="append",
        default=[],
        help="video in the DAVIS layout, or a folder with images and masks; may be repeated",
    )
    data.add_argument("--davis-split", metavar="NAME", help='list of sequences, e.g. "2017/val" (default: all)')
    data.add_argument("--prompt", choices=PROMPTS, default="click", help="in a first frame (default %(default)s)")
    data.add_argument("--interactive", type=Path, metavar="DIR", help="pictures with object masks (GrabCut, VOC, ...)")
    data.add_argument("--convention", choices=CONVENTIONS, help="what mask values mean (default: by folder names)")
    data.add_argument(
        "--real",
        type=Path,
        metavar="DIR",
        help="photographs with label images and index.json, or folders of them: val",
    )
    data.add_argument("--ycb", type=Path, metavar="DIR", help="YCB frames with index.json: pictures and video")
    data.add_argument("--coco-panoptic", type=Path, metavar="DIR", help="annotations/, panoptic and picture folders")
    data.add_argument("--refcoco", type=Path, metavar="DIR", help="holds refs(unc).json and instances.json")
    data.add_argument("--refcoco-images", type=Path, metavar="DIR", help="COCO pictures of --refcoco")
    data.add_argument("--split", help="default: val2017 (COCO), val (RefCOCO), all (VOC)")
    who = parser.add_argument_group("who is measured")
    who.add_argument(
        "--model", default="builtin", help="builtin, a package folder, a checkpoint, or none (default builtin)"
    )
    who.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="weights of our own training (average.pt) for the built-in architecture, run in torch",
    )
    who.add_argument("--before", metavar="MODEL", help="with --after: measures both and prints what changed")
    who.add_argument("--after", metavar="MODEL", help="see --before")
    who.add_argument("--backend", default="auto", help="that runs the package (default auto)")
    who.add_argument("--precision", choices=PRECISIONS, help="of the package's graphs (default the backend's own)")
    who.add_argument("--presence-threshold", type=float, metavar="P", help="in place of the package's own, 0 to 1")
    who.add_argument("--panoptic-score", type=float, metavar="P", help="in place of the package's own, 0 to 1")
    who.add_argument(
        "--grabcut",
        choices=("none", "box", "all"),
        default="box",
        help="cv2.grabCut beside it: from boxes, or also from clicks and strokes (slow); default box",
    )
    who.add_argument("--no-flow", action="store_true", help="leave out copied masks and optical flow in videos")
    who.add_argument("--ablate", action="store_true", help="in videos also our tracker with parts of its memory off")
    how = parser.add_argument_group("how")
    how.add_argument("--limit", type=int, metavar="N", help="only N pictures or clips of each set, evenly spaced")
    how.add_argument("--max-clicks", type=int, default=MAX_CLICKS, help="of the simulated user (default %(default)s)")
    how.add_argument("--out", type=Path, default=Path("out/evaluation"), help="for the report (default %(default)s)")
    return parser


class Evaluation:
    """One run: the models, the report and the sheets."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.segmenter: Segmenter | None
        if options.weights is not None:
            self.segmenter = _from_training(options.weights)
        else:
            self.segmenter = None if options.model == "none" else _load(options)
        if self.segmenter is not None:
            given = {name: getattr(options, name) for name in ("presence_threshold", "panoptic_score")}
            self.segmenter.config = dataclasses.replace(self.segmenter.config, **given)
        self.name = "ours" if self.segmenter is None else f"ours ({self.segmenter.spec.name})"
        self.name = getattr(options, "name", self.name)  # alike where two models are compared
        self.report = Report(
            {
                "command": " ".join(["python -m seem_ros.tools.evaluate", *sys.argv[1:]]),
                "model": str(options.weights or options.model),
                "backend": options.backend,
                "precision": options.precision or "",
                "version": seem_ros.__version__,
                "limit": options.limit,
                "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            }
        )

    def numbers(self, count: int) -> list[int]:
        """Which of `count` pictures are used under --limit."""
        limit = self.options.limit
        return (
            list(range(count))
            if limit is None or limit >= count
            else sorted({int(n) for n in np.linspace(0, count - 1, limit).round()})
        )

    def predictors(self) -> list[Predictor]:
        """Ours first, then grabCut."""
        found: list[Predictor] = []
        if self.segmenter is not None:
            from seem_ros.evaluation.predictors.ours import SegmenterPredictor

            found.append(SegmenterPredictor(self.segmenter, self.name))
        if self.options.grabcut != "none":
            cut = GrabCut()
            if self.options.grabcut == "box":
                cut.abilities = frozenset({"box"})
            found.append(cut)
        return found

    def contenders(self) -> list[Contender]:
        """Ours with memory first, then without, then the classical ones from the true and from our first mask."""
        found: list[Contender] = []
        if self.segmenter is not None:
            found = _our_contenders(self.segmenter, self.name, self.options.ablate)
        if not self.options.no_flow:
            starts = ["true mask"] + (["our mask"] if self.segmenter is not None else [])
            found += [Contender(partial(_classical, make, start), start) for start in starts for make in _CLASSICAL]
        return found

    def stills(self, title: str, count: int, run: Callable[[Predictor, Iterable[int], ContactSheet], object]) -> None:
        """Run one set of single pictures for every predictor, with a progress bar and a contact sheet."""
        sheet, path = ContactSheet(), self.sheet_path(title)
        for predictor in self.predictors():
            run(predictor, tqdm(self.numbers(count), desc=f"{title}, {predictor.name}", disable=None), sheet)
        write_sheet(sheet, path)

    def videos(self, title: str, clips: Sequence[FollowedClip], min_share: float) -> None:
        """Run one set of clips."""
        contenders = self.contenders()
        if not contenders:
            raise DataError("nobody is left to follow anything: --model none and --no-flow together measure no video")
        sheet, path = ContactSheet(), self.sheet_path(title)
        scores = VideoScores(contenders, self.options.prompt, min_share, sheet)
        chosen = [clips[number] for number in self.numbers(len(clips))]
        for clip in tqdm(chosen, desc=title, disable=None):
            scores.add(clip)
        scores.report(self.report, title, per_clip=len(chosen) > 1)
        write_sheet(sheet, path)

    def sheet_path(self, title: str) -> Path:
        """Where a contact sheet will be, beside the report. Raises DataError where somebody else's file is there."""
        name = f"{title.replace(' ', '_').replace('/', '_')}.png"
        claim_folder(self.options.out, (name,))
        return Path(self.options.out / name)


def write_sheet(sheet: ContactSheet, path: Path) -> None:
    """Saves a contact sheet, where there is anything on it."""
    if not sheet.empty:
        sheet.write(path)


def _load(options: argparse.Namespace) -> Segmenter:
    from seem_ros.perception.segmenter_config import SegmenterConfig
    from seem_ros.perception.segmenter_opening import open_segmenter

    config = SegmenterConfig(one_thing=False)  # "knife and fork" is a class of some data sets
    return open_segmenter(options.model, options.backend, config, precision=options.precision)


def _from_training(weights: Path) -> Segmenter:
    """A segmenter for weights as training leaves them, as export makes it: to judge a run before it is exported."""
    from seem_ros.perception.segmenter import Segmenter
    from seem_ros.perception.segmenter_config import SegmenterConfig

    try:
        return Segmenter.from_checkpoint(weights, config=SegmenterConfig(one_thing=False))
    except CheckpointError as error:
        raise CheckpointError(f"{weights} does not hold the built-in model's weights: {error}") from error


def _classical(make: Callable[[], VideoPredictor], start: str) -> VideoPredictor:
    method = make()
    method.name = f"{method.name}, {start}"
    return method


def _our_contenders(segmenter: Segmenter, name: str, ablate: bool) -> list[Contender]:
    from seem_ros.evaluation.predictors.ours import MemoryTracker, ReferenceOnly
    from seem_ros.perception.tracking.config import TrackerConfig

    found = [
        Contender(lambda: MemoryTracker(segmenter, name)),
        Contender(lambda: ReferenceOnly(segmenter, f"{name}, no memory")),
    ]
    if ablate:
        usual = TrackerConfig.for_model(segmenter.spec.postprocess)
        parts = {
            "with bank": dataclasses.replace(usual, use_bank=True),
            "no previous mask": dataclasses.replace(usual, use_previous_mask=False),
            "no reference": dataclasses.replace(usual, use_reference=False),
            "finds trusted at once": dataclasses.replace(usual, prove_after=0),
        }
        found += [
            Contender(partial(MemoryTracker, segmenter, f"{name}, {part}", config)) for part, config in parts.items()
        ]
    return found


def run(options: argparse.Namespace) -> Report:
    """Measure what was asked for.

    Raises:
        SeemError: nothing to measure on, or data, model or output that cannot be used.
    """
    sets = (
        options.world,
        options.interactive,
        options.real,
        options.ycb,
        options.coco_panoptic,
        options.refcoco,
        *options.davis,
    )
    if not any(sets):
        raise DataError(
            "nothing to measure on: give --world, --davis, --interactive, --real, --ycb, --coco-panoptic or --refcoco"
        )
    if options.limit is not None and options.limit < 1:
        raise DataError(f"--limit must be at least 1, got {options.limit}")
    evaluation = Evaluation(options)
    report, clicks = evaluation.report, options.max_clicks
    if options.world:
        if options.render:
            _render(options.world, options.render, options.seed)
        shards = WorldShards(options.world)
        evaluation.stills(
            "tabletop",
            len(shards),
            lambda predictor, numbers, sheet: evaluate_world(predictor, shards, numbers, report, sheet, clicks),
        )
    if options.interactive:
        pictures = InteractiveFolder(options.interactive, options.convention, options.split)
        evaluation.stills(
            "interactive",
            len(pictures),
            lambda predictor, numbers, sheet: standard_sets.evaluate_interactive(
                predictor, pictures, numbers, report, sheet, clicks
            ),
        )
    if options.real:
        _photographs(evaluation, options.real)
    if options.ycb:
        frames = YcbFrames(options.ycb)
        evaluation.stills(
            "YCB frames",
            len(frames),
            lambda predictor, numbers, sheet: standard_sets.evaluate_ycb(
                predictor, frames, numbers, report, sheet, clicks, MIN_SHARE
            ),
        )
        evaluation.videos("YCB video", [FollowedClip(s.name, s) for s in frames.sequences()], MIN_SHARE)
    for folder in options.davis:
        videos = DavisVideos(folder, options.davis_split)
        clips = [FollowedClip(s.name, s, names_of_clip(folder, s.name)) for s in videos]
        evaluation.videos(f"video {folder.resolve().name}", clips, 0.0)
    if options.coco_panoptic or options.refcoco:
        _classic(evaluation, options)
    return report


def _classic(evaluation: Evaluation, options: argparse.Namespace) -> None:
    """The sets that only a model with words can answer."""
    able = [one for one in evaluation.predictors() if "text" in one.abilities]
    if not able:
        raise DataError("--coco-panoptic and --refcoco need a model: cv2.grabCut knows no names")
    if options.coco_panoptic:
        coco = CocoPanoptic.from_folder(options.coco_panoptic, options.split or "val2017")
        for predictor in able:
            numbers = tqdm(evaluation.numbers(len(coco)), desc="COCO panoptic", disable=None)
            standard_sets.evaluate_coco_panoptic(predictor, coco, numbers, evaluation.report)
    if options.refcoco:
        if options.refcoco_images is None:
            raise DataError("--refcoco needs --refcoco-images, the folder of COCO pictures")
        phrases = RefCoco(options.refcoco, options.refcoco_images, options.split or "val")
        sheet, path = ContactSheet(), evaluation.sheet_path("RefCOCO")
        for predictor in able:
            numbers = tqdm(evaluation.numbers(len(phrases)), desc="RefCOCO", disable=None)
            standard_sets.evaluate_refcoco(predictor, phrases, numbers, evaluation.report, sheet)
        write_sheet(sheet, path)


def _photographs(evaluation: Evaluation, folder: Path) -> None:
    """One table of all sources, sizes and words."""
    sheet, path = ContactSheet(), evaluation.sheet_path("photographs")

    def choose(count: int, name: str) -> Iterable[int]:
        return tqdm(evaluation.numbers(count), desc=name, disable=None)

    evaluate_photographs(evaluation.predictors(), open_photographs(folder), choose, evaluation.report, sheet)
    write_sheet(sheet, path)


def run_both(options: argparse.Namespace) -> Report:
    """Measures --before and --after alike; returns the table of what changed.

    Raises:
        SeemError: as `run`, or only one of the two was given.
    """
    if not (options.before and options.after) or options.weights is not None:
        raise DataError("--before and --after are given together, each a model, and without --weights")
    reports: list[Report] = []
    for place, model in (("before", options.before), ("after", options.after)):
        one = argparse.Namespace(**{**vars(options), "model": model, "out": options.out / place, "name": "model"})
        claim_folder(one.out, ("report.json",))
        if reports:  # what does not depend on the model is not measured twice
            one.grabcut, one.no_flow = "none", True
        reports.append(run(one))
        reports[-1].write(one.out / "report.json")
    return compare(*reports)


def _render(folder: Path, scenes: int, seed: int) -> None:
    """Held-out scenes by seed; shards that are there already are kept."""
    from seem_ros.sim.dataset import main as render_shards

    if render_shards(["--out", str(folder), "--scenes", str(scenes), "--seed", str(seed), "--split", "val"]):
        raise DataError(f"the scenes could not be rendered into {folder}: see the message above")


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    began = time.monotonic()
    try:
        claim_folder(options.out, ("report.json",))
        report = run_both(options) if options.before or options.after else run(options)
        report.write(options.out / "report.json")
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report.text())
    print(f"\nreport and contact sheets: {options.out}   ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
