# SPDX-License-Identifier: Apache-2.0
"""How right labels are: a set that `seem_ros.tools.label` made of simulated bags, held against the truth in the bags.

    python examples/own_model/audit.py out/labels

Prints how many were kept, how many of those overlap an object of that name by 0.85, and how many of the dropped ones
were indeed wrong.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReader

from seem_ros.datasets.pictures import read_labels
from seem_ros.labelling.label_set import LabelSet

RIGHT = 0.85


def truth_of(bag: Path) -> tuple[dict[int, np.ndarray], dict[str, str]]:
    """Truth of a simulated bag: stamp in nanoseconds -> ids uint8 [H, W]; id -> name."""
    pictures, names = {}, {}
    with AnyReader([bag]) as reader:
        for connection, _, raw in reader.messages():
            if connection.topic == "/tabletop/names":
                names = json.loads(reader.deserialize(raw, connection.msgtype).data)
            elif connection.topic == "/tabletop/labels":
                message = reader.deserialize(raw, connection.msgtype)
                stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
                pictures[stamp] = np.asarray(message.data).reshape(message.height, message.width)
    return pictures, names


def best(mask: np.ndarray, ids: np.ndarray, names: dict[str, str], name: str) -> float:
    """Overlap (IoU) of a mask with the object of this name that it fits best."""
    fits = [0.0]
    for number, called in names.items():
        if called.split()[-len(name.split()) :] == name.split():
            truth = ids == int(number)
            union = np.count_nonzero(mask | truth)
            fits.append(np.count_nonzero(mask & truth) / union if union else 0.0)
    return max(fits)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    folder = parser.parse_args().labels
    kept, dropped = [], []
    for record in LabelSet(folder).records():
        pictures, names = truth_of(Path(record["source"]))
        lost = {}
        for one in record["dropped"]:
            lost.setdefault(one["frame"], []).append(one)
        for item in record["items"]:
            ids = pictures[item["stamp_ns"]]
            mask, _ = read_labels(folder / item["mask"])
            kept += [best(mask == one["id"], ids, names, one["name"]) for one in item["objects"]]
            frame = Path(item["file"]).stem
            if frame in lost:
                gone, _ = read_labels(folder / item["file"].replace("/images/", "/dropped/").replace(".jpg", ".png"))
                dropped += [best(gone == one["value"], ids, names, one["name"]) for one in lost[frame]]
    right = sum(value >= RIGHT for value in kept)
    wrong = sum(value < RIGHT for value in dropped)
    total = len(kept) + len(dropped)
    print(
        f"{len(kept)} of {total} labels kept ({len(kept) / max(total, 1):.0%}), mean IoU {np.mean(kept or [0]):.2f}; "
        f"{right} of them ({right / max(len(kept), 1):.0%}) at {RIGHT} or more; "
        f"{wrong} of {len(dropped)} drops ({wrong / max(len(dropped), 1):.0%}) were wrong labels"
    )


if __name__ == "__main__":
    main()
