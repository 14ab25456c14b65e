# SPDX-License-Identifier: Apache-2.0
"""What packages make of the new things' names, and of a click on them, as the node would answer: mean IoU.

    python examples/own_model/new_names.py out/own_model/truth --models builtin out/own_model/mine/package

Each held-out picture is asked for each name once, and clicked once in the middle of each new thing of 60 pixels or
more; a text that is refused, or found nowhere, counts as 0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from seem_ros import Click, Frame, Prompt, Segmenter
from seem_ros.datasets.pictures import read_labels, read_rgb
from seem_ros.evaluation.metrics.iou import iou

THINGS = ("binoculars", "stapler", "teapot")
LEAST_PX = 60


def middle(mask: np.ndarray) -> Click:
    """The deepest pixel of a mask."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return Click(float(x), float(y))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path, help="what new_things.py --truth wrote")
    parser.add_argument("--models", nargs="+", default=["builtin"])
    options = parser.parse_args()
    items = [item for item in json.loads((options.truth / "index.json").read_text())["items"] if item["split"] == "val"]
    for model in options.models:
        texts, clicks = {name: [] for name in THINGS}, []
        segmenter = Segmenter.load(model)
        for item in items:
            ids, _ = read_labels(options.truth / item["mask"])
            encoded = segmenter.encode(Frame(read_rgb(options.truth / item["file"])))
            for name, values in texts.items():
                truth = np.isin(ids, [one["id"] for one in item["objects"] if one["name"] == name])
                values.append(iou(segmenter.segment([Prompt(text=name)], encoded).labels > 0, truth))
            for one in item["objects"]:
                truth = ids == one["id"]
                if one["name"] in THINGS and np.count_nonzero(truth) >= LEAST_PX:
                    answer = segmenter.segment([Prompt(clicks=(middle(truth),))], encoded)
                    clicks.append(iou(answer.labels > 0, truth))
        means = ", ".join(f"{name} {np.mean(values):.3f}" for name, values in texts.items())
        print(f"{model}: text {np.mean([*texts.values()]):.3f} ({means}), click {np.mean(clicks):.3f}")


if __name__ == "__main__":
    main()
