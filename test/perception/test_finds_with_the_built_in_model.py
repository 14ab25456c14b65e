# SPDX-License-Identifier: Apache-2.0
"""The built-in model on the stored tabletop: a thing is hidden, one that looks like it shows up beside, it returns."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Mask, Prompt
from seem_ros.perception.tracking.tracker import Tracker

pytest.importorskip("onnxruntime")
ROOT = Path(__file__).parents[2]
CLIP = ROOT / "models" / "clips" / "tabletop"
CYLINDER, CONE = 3, 5


@pytest.fixture(scope="module")
def segmenter():
    with Segmenter.load(ROOT / "models" / "lite", backend="onnxruntime") as segmenter:
        yield segmenter


@pytest.fixture(scope="module")
def table():
    rgb = cv2.cvtColor(cv2.imread(str(CLIP / "JPEGImages" / "demo" / "00000.jpg")), cv2.COLOR_BGR2RGB)
    return rgb, np.array(Image.open(CLIP / "Annotations" / "demo" / "00000.png"))


def without(rgb, mask):
    """The picture with the table painted over a thing."""
    return cv2.inpaint(rgb, cv2.dilate(mask.astype(np.uint8), np.ones((7, 7))), 3, cv2.INPAINT_TELEA)


def look_alike(rgb, mask, way_px, hue):
    """The picture in a slightly other colour, moved right and down by ``way_px``, and where the thing is in it."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + hue) % 180
    return (np.roll(picture, way_px, axis=(1, 0)) for picture in (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), mask))


def share(segments, mask):
    """Overlap of target 1's mask with a true one; 0 where it is not seen."""
    segment = segments.by_target(1)
    mine = np.zeros(mask.shape, bool) if segment is None else segments.mask(segment.value)
    return np.count_nonzero(mine & mask) / np.count_nonzero(mine | mask)


@pytest.mark.parametrize("thing, way_px", [(CYLINDER, (33, 0)), (CONE, (0, 44))])
def test_a_target_that_returns_beside_its_look_alike_is_found_with_its_id(segmenter, table, thing, way_px):
    """Close beside it, but apart: where the two touch the mask may run over into the look-alike."""
    rgb, ids = table
    mask = ids == thing
    other, moved = look_alike(rgb, mask, way_px, hue=8)
    hidden = without(rgb, mask)
    alone = np.where(moved[..., None], other, hidden)
    both = np.where(mask[..., None], rgb, alone)
    tracker = Tracker(segmenter)
    story = [rgb] * 3 + [hidden] * 4 + [alone] * 2 + [both] * 6
    frames = [Frame(picture, stamp_ns=i * 33_000_000) for i, picture in enumerate(story)]
    tracker.start([Prompt(masks=[Mask(mask)])], frames[0])
    shares = [share(tracker.step(frame), mask) for frame in frames[1:]]
    assert min(shares[:2]) > 0.8 and max(shares[3:6]) < 0.1, "seen, then hidden"
    assert min(shares[-3:]) > 0.8
    assert [target.target_id for target in tracker.targets()] == [1]
