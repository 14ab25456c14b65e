# SPDX-License-Identifier: Apache-2.0
"""What is laid over training pictures: neighbours that touch, and second colours."""

import cv2
import numpy as np
import pytest
import torch

from seem_ros.datasets.scenes.scene import Thing
from seem_ros.training.batched.overlays import FIRST_PASTED, Overlays, SourceMix
from seem_ros.training.batched.pack import PackWriter
from seem_ros.training.batched.picture_store import PackedPictures
from seem_ros.training.batched.two_views import ViewSampler

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A red square on grey, and a green disc on grey."""
    writer = PackWriter()
    for name, colour in (("box", (220, 30, 30)), ("ball", (30, 200, 30))):
        rgb, ids = np.full((150, 200, 3), 120, np.uint8), np.zeros((150, 200), np.uint8)
        if name == "box":
            rgb[50:100, 70:120], ids[50:100, 70:120] = colour, 1
        else:
            cv2.circle(rgb, (100, 75), 26, colour, -1)
            cv2.circle(ids, (100, 75), 26, 1, -1)
        writer.add(rgb, ids, [Thing(1, name)], name)
    out = tmp_path_factory.mktemp("pack") / "drawn"
    writer.write(out)
    return PackedPictures([out.with_suffix(".json")], CPU)


def views(store, seed=0, **mix):
    torch.manual_seed(seed)
    shares = {"turned": 0.0, "grey": 0.0, "printed": 0.0, "toned": 0.0, "beside": 0.0, "whole": 1.0} | mix
    sampler = ViewSampler(store, SourceMix({"box": 1.0}, **shares), 192, 256, CPU)
    return sampler.draw(20, np.random.default_rng(seed))


def test_a_neighbour_touches_the_thing_in_both_views(store):
    overlays = Overlays(store, SourceMix({"box": 1.0}, beside=1.0), 96, 128)
    rng = np.random.default_rng(0)
    maps = np.tile(np.array([[1.5, 0.0, 4.0], [0.0, 1.5, 3.0]]), (2, 1, 1))  # a pixel of the view is 1.5 of the picture
    drawn = [layer for _ in range(60) for layer in overlays.neighbours(rng, 0, maps)]
    assert len(drawn) > 30
    for layer in drawn:
        for view, there in enumerate(layer.maps):
            middle = (layer.row[2:4] + layer.row[4:6]) / 2
            x, y = 1.5 * np.linalg.solve(there[:, :2], middle - there[:, 2]) + (4, 3)
            gap = np.hypot(max(70 - x, 0, x - 120), max(50 - y, 0, y - 100))
            half = 0.5 * (layer.row[4:6] - layer.row[2:4]).max() * 1.5 / np.sqrt(abs(np.linalg.det(there[:, :2])))
            assert gap < half + 10  # the second view moves it by a few pixels
            assert gap > 0 or view  # its middle lies beside the thing, which it does not hide


@pytest.mark.parametrize("alike", [0.0, 1.0])
def test_a_neighbour_takes_the_colour_of_the_thing_where_it_shall(store, alike):
    batch = views(store, beside=1.0, alike=alike)
    greenish, reddish = 0, 0
    for rgb, ids, scene in zip(batch.rgb, batch.ids, np.repeat(np.arange(20), 2)):
        last = FIRST_PASTED + len(batch.pasted[scene]) - 1
        inside = cv2.erode((ids == last).numpy().astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        if batch.pasted[scene] and batch.pasted[scene][last].name == "ball" and inside.sum() > 60:
            red, green, _ = rgb[:, torch.from_numpy(inside)].mean(1)
            greenish, reddish = greenish + int(green > red + 15), reddish + int(red > green + 15)
    if alike:
        assert reddish > 12 and reddish > 4 * greenish
    else:
        assert greenish > 12 and reddish == 0


def test_a_second_colour_covers_one_side_of_a_thing_and_nothing_else(store):
    parts = []
    for share in (0.0, 1.0):
        batch = views(store, toned=share)
        red = batch.rgb[:, 0] - batch.rgb[:, 1:].amax(1) > 25
        own = batch.ids == 1
        seen = own.flatten(1).sum(1) > 100
        parts.append((own & ~red).flatten(1).sum(1)[seen] / own.flatten(1).sum(1)[seen])
        ground = batch.rgb.permute(0, 2, 3, 1)[(batch.ids == 0) & (batch.rgb.amax(1) > 0)]
        assert ((ground.amax(1) - ground.amin(1)) < 60).float().mean() > 0.99
    assert parts[0].median() < 0.1 and 0.2 < parts[1].median() < 0.8
