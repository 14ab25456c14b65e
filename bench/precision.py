# SPDX-License-Identifier: Apache-2.0
"""What half precision costs a trained model: masks against torch float32, and accuracy against the truth.

    python -m seem_ros.tools.evaluate --world out/val --render 300 --limit 1     # once: the held-out tabletop
    python bench/precision.py --package lite --world out/val --scenes 30 --out out/precision

Every backend and precision that can run here answers the same clicks, boxes, references and texts about the same
held-out pictures. Bars: mean IoU of its masks with torch float32's at least 0.99 in fp16 and 0.98 in bf16, and mean IoU
with the truth at most 0.5 points below torch's. Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import table

from seem_ros.datasets.tabletop import WorldClip, WorldShards
from seem_ros.errors import SeemError
from seem_ros.evaluation.metrics.iou import iou
from seem_ros.evaluation.metrics.number_of_clicks import next_click
from seem_ros.evaluation.predictors.ours import SegmenterPredictor
from seem_ros.evaluation.simulated_user import as_click, true_box
from seem_ros.evaluation.tabletop import MIN_SHARE
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.prompts import Mask, Prompt, Reference
from seem_ros.runtime import available_backends, load_backend
from seem_ros.runtime.package import Package, open_package

REFERENCE = "torch fp32"
SAME_MASK = {"fp32": 0.998, "fp16": 0.99, "bf16": 0.98}
ACCURACY_POINTS = 0.5
KINDS = ("click", "box", "reference", "text")


def questions(clip: WorldClip) -> list[tuple[str, Prompt, np.ndarray]]:
    """What is asked about a clip's first frame: kind, prompt, true mask bool [H, W]."""
    ids, found = clip.ids[0], []
    things = [one for one in clip.instances if one.is_thing]
    for one in things:
        truth = ids == one.instance_id
        if np.count_nonzero(truth) < MIN_SHARE * truth.size:
            continue
        found.append(("click", Prompt(clicks=(as_click(next_click(np.zeros(ids.shape, bool), truth)),)), truth))
        found.append(("box", true_box(truth), truth))
        later = clip.ids[-1] == one.instance_id
        if np.count_nonzero(later) >= MIN_SHARE * later.size:
            found.append(("reference", Prompt(reference=Reference(clip.rgb[-1], (Mask(later),))), truth))
        if sum(other.name == one.name for other in things) == 1:
            found.append(("text", Prompt(text=one.name), truth))
    return found


def masks(segmenter: Segmenter, clips: Sequence[WorldClip]) -> list[np.ndarray]:
    """The best mask for every question, whatever its presence, as packed bits."""
    predictor, found = SegmenterPredictor(segmenter, ""), []
    for clip in clips:
        asked = questions(clip)
        predictor.look(clip.rgb[0])
        found += [np.packbits(guess.best_mask) for guess in predictor.ask([prompt for _, prompt, _ in asked])]
    return found


def contenders(package: Package) -> list[tuple[str, str]]:
    """Backends and precisions that can run a package here."""
    wanted = [("torch", "bf16"), ("onnxruntime", "fp32")]
    wanted += [("onnxruntime", precision) for precision in package.graphs if precision != "fp32"]
    if "openvino" in available_backends():
        from seem_ros.runtime.backends.openvino_backend import has_bf16

        wanted += [("openvino", "fp32")] + [("openvino", "bf16")] * has_bf16()
    return [(name, precision) for name, precision in wanted if name in available_backends()]


def compare(
    clips: Sequence[WorldClip], reference: Sequence[np.ndarray], found: Sequence[np.ndarray]
) -> dict[str, float]:
    """Means over all questions; accuracy in per cent, also by kind."""
    same, right = [], {kind: [] for kind in KINDS}
    asked = [(question, clip.ids[0].shape) for clip in clips for question in questions(clip)]
    for ((kind, _, truth), shape), mine, theirs in zip(asked, found, reference, strict=True):
        mask, other = (np.unpackbits(bits, count=truth.size).reshape(shape).astype(bool) for bits in (mine, theirs))
        same.append(iou(mask, other))
        right[kind].append(iou(mask, truth))
    every = [value for values in right.values() for value in values]
    row = {"same masks": float(np.mean(same)), "worst tenth": float(np.mean(np.sort(same)[: len(same) // 10 or 1]))}
    row["accuracy"] = 100 * float(np.mean(every))
    return row | {kind: 100 * float(np.mean(values)) for kind, values in right.items() if values}


def verdict(label: str, row: dict[str, float], reference: dict[str, float]) -> str:
    """One line: which bars a contender meets."""
    bar, apart = SAME_MASK[label.split()[1]], row["accuracy"] - reference["accuracy"]
    good = row["same masks"] >= bar and apart >= -ACCURACY_POINTS
    return (
        f"{label}: {'met' if good else 'MISSED'}, mean IoU with {REFERENCE} {row['same masks']:.4f} (>= {bar}), "
        f"accuracy {apart:+.2f} points (at most {ACCURACY_POINTS} lost)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes ``precision.md`` and ``precision.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="builtin", help="name or folder")
    parser.add_argument("--world", type=Path, required=True, help="held-out tabletop shards")
    parser.add_argument("--scenes", type=int, default=30, help="evenly spaced over the folder")
    parser.add_argument("--backends", nargs="+", metavar="NAME:PRECISION", help="default all that can run here")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/precision"))
    options = parser.parse_args(argv)
    try:
        package, shards = open_package(options.package), WorldShards(options.world)
        chosen = sorted({int(n) for n in np.linspace(0, len(shards) - 1, options.scenes).round()})
        clips = [shards.read(n) for n in chosen]
        names = contenders(package)
        if options.backends:
            names = [tuple(entry.split(":")) for entry in options.backends]
        answers: dict[str, list[np.ndarray]] = {}
        for name, precision in [("torch", "fp32"), *names]:
            with load_backend(package, name, precision=precision, device="cpu", threads=options.threads) as backend:
                answers[f"{name} {precision}"] = masks(Segmenter(backend), clips)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = {label: compare(clips, answers[REFERENCE], found) for label, found in answers.items()}
    lines = [verdict(label, row, rows[REFERENCE]) for label, row in rows.items() if label != REFERENCE]
    report = "\n\n".join(
        [
            f"# {package.spec.name}: precision against {REFERENCE}",
            f"{len(clips)} held-out pictures, {len(answers[REFERENCE])} prompts; accuracy: mean IoU with the truth, %.",
            table(rows, "", 3),
            "\n".join(f"- {line}" for line in lines),
        ]
    )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "precision.md").write_text(report + "\n")
    (options.out / "precision.json").write_text(json.dumps(rows, indent=1))
    print(report)
    return int("MISSED" in report)


if __name__ == "__main__":
    sys.exit(main())
