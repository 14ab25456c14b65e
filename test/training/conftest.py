# SPDX-License-Identifier: Apache-2.0
"""A training shard of drawn scenes, small enough for a test, in the format that `seem_ros.sim.dataset` writes."""

import json

import numpy as np
import pytest

COLOURS = {"red": (210, 40, 40), "blue": (40, 60, 210), "green": (40, 170, 60)}


@pytest.fixture()
def shard_folder(tmp_path):
    """Four clips of three frames 96x128: a table, a floor and two or three coloured boxes that move."""
    rng = np.random.default_rng(5)
    rgb = np.full((4, 3, 96, 128, 3), 120, np.uint8)
    ids = np.full((4, 3, 96, 128), 4, np.uint8)
    rgb[:, :, 60:] = (170, 140, 90)
    ids[:, :, 60:] = 5
    clips = []
    for c in range(4):
        instances = []
        for i, colour in enumerate(COLOURS, start=1):
            for f in range(3):
                x, y = rng.integers(4, 100), rng.integers(4, 70)
                rgb[c, f, y : y + 20, x : x + 20] = COLOURS[colour]
                ids[c, f, y : y + 20, x : x + 20] = i
            instances.append(
                {
                    "id": i,
                    "shape": "box",
                    "colour": colour,
                    "size": None,
                    "pattern": "plain",
                    "name": f"{colour} box",
                    "name_full": f"{colour} box",
                    "isthing": True,
                }
            )
        for i, name in ((4, "wall"), (5, "table")):
            instances.append(
                {
                    "id": i,
                    "shape": None,
                    "colour": None,
                    "size": None,
                    "pattern": None,
                    "name": name,
                    "name_full": name,
                    "isthing": False,
                }
            )
        clips.append({"clip": c, "instances": instances})
    np.save(tmp_path / "shard_0000001.rgb.npy", rgb)
    np.save(tmp_path / "shard_0000001.ids.npy", ids)
    header = {
        "shapes": ["box", "ball"],
        "colours": list(COLOURS),
        "stuff": ["wall", "table"],
        "held_out_pairs": [["red", "ball"]],
    }
    (tmp_path / "shard_0000001.json").write_text(json.dumps({**header, "clips": clips}))
    return tmp_path
