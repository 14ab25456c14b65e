# SPDX-License-Identifier: Apache-2.0
"""What a legal call costs is bounded: points are counted, shapes are drawn cheaply, large pictures stay small."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from colour_backend import ColourBackend, scene

from seem_ros.errors import PromptError
from seem_ros.perception.masks.upsample import Patch, paint, shrinking
from seem_ros.perception.prompting.rasterize import draw_regions
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.letterbox import fit
from seem_ros.perception.structures.prompts import (
    MAX_CALL_POINTS,
    Click,
    Mask,
    Polygon,
    Prompt,
    Reference,
    Scribble,
    check_call,
)
from seem_ros.perception.tracking.tracker import Tracker
from seem_ros.ros.inference_thread import BusyError, InferenceThread

GEOMETRY = fit((240, 320), (256, 320))


def scattered(count, seed=0):
    return np.random.default_rng(seed).uniform((0, 0), (320, 240), (count, 2))


def star(count):
    """A smooth outline of many points, as somebody draws it."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radius = 70 + 30 * np.sin(5 * angle)
    return np.stack([160 + radius * np.cos(angle), 120 + radius * np.sin(angle)], 1)


@pytest.mark.parametrize("size", [1e3, 1e5, 1e7, 1e8, 1.3e8, 2e8, 1e9, 1e12, 3e38])
def test_a_polygon_around_the_picture_marks_all_of_it_however_far_its_corners_are(size):
    corners = [(-size, -size), (size, -size), (size, size), (-size, size)]
    positive, _ = draw_regions((Polygon(corners),), GEOMETRY)
    assert positive.all()


def test_a_polygon_of_many_points_is_drawn_as_one_of_few_is():
    few, many = (draw_regions((Polygon(star(count)),), GEOMETRY)[0] for count in (1000, 4096))
    assert few.sum() > 10_000 and (few ^ many).sum() <= 0.01 * few.sum()


@pytest.mark.parametrize(
    "shapes",
    [
        (Polygon(scattered(4096)),) * 4,
        (Scribble(scattered(4096), 512.0),) * 4,
        tuple(Click(*xy) for xy in scattered(256)),
    ],
    ids=["polygons", "wide scribbles", "clicks"],
)
def test_as_many_points_as_a_call_may_have_are_drawn_in_a_moment(shapes):
    begin = time.thread_time()
    draw_regions(shapes, GEOMETRY)
    assert time.thread_time() - begin < 0.3  # four such polygons took 1.2 s


def test_a_call_with_too_many_points_is_refused_with_the_number_and_the_limit():
    prompts = [Prompt(polygons=(Polygon(star(4000)),)) for _ in range(5)]
    check_call(prompts)
    more = [*prompts, Prompt(clicks=(Click(1, 1),))]
    with pytest.raises(PromptError, match=r"20,000 points together, got 20,001"):
        check_call(more)
    shown = Reference(np.zeros((240, 320, 3), np.uint8), (Scribble(star(1)),))
    with Segmenter(ColourBackend()) as segmenter:
        picture = scene({(30, 30): "red"})
        with pytest.raises(PromptError, match="together, got 20,001"):
            segmenter.segment(
                [*(Prompt(polygons=(Polygon(star(4000) / 3),)) for _ in range(5)), Prompt(reference=shown)], picture
            )
    assert MAX_CALL_POINTS == 20_000


def test_a_call_with_too_many_mask_pixels_is_refused():
    mask = Mask(np.ones((4096, 4096), bool))
    with pytest.raises(PromptError, match="pixels together"):
        check_call([Prompt(masks=(mask,))] * 9)


def test_masks_of_large_pictures_and_very_many_masks_are_made_at_a_part_of_the_resolution():
    whole = np.full((64, 80), 8.0, np.float32)
    for size, count, wanted in (
        ((1080, 1920), 3, 1),
        ((2160, 3840), 1, 2),
        ((8192, 8192), 1, 4),
        ((1080, 1920), 64, 4),
    ):
        assert shrinking([whole] * count, fit(size, (256, 320)), 4) == wanted, (size, count)
    assert shrinking([None, np.full((64, 80), -1.0, np.float32)], GEOMETRY, 4) == 1


def test_a_mask_made_at_a_part_of_the_resolution_fills_the_label_image_and_tells_its_true_measures():
    logits = np.full((20, 30), -3.0, np.float32)
    logits[5:15, 10:25] = 3.0
    labels, (extent, none) = paint([Patch(2, 4, logits, scale=3), None], [1.0, 1.0], [7, 9], (101, 103))
    assert labels.shape == (101, 103) and none is None
    rows, columns = np.nonzero(labels == 7)
    assert extent.area_px == len(rows) == 30 * 45
    assert extent.box_xyxy_px == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert extent.centroid_xy_px == pytest.approx((columns.mean(), rows.mean()))


def test_many_masks_are_painted_like_few():
    rng = np.random.default_rng(3)
    patches = []
    for _ in range(16):
        blob = cv2.GaussianBlur(rng.normal(0, 1, (40, 50)).astype(np.float32), (0, 0), 6) * 30
        patches.append(Patch(int(rng.integers(0, 50)), int(rng.integers(0, 60)), blob))
    scores = rng.uniform(0.1, 1, 16).tolist()
    few, extents = paint(patches, scores, range(1, 17), (100, 100))
    many, more = paint([*patches, None], [*scores, 1.0], range(1, 18), (100, 100))
    np.testing.assert_array_equal(many, few)
    assert more == [*extents, None]


LARGE = """
import re, numpy as np
from pathlib import Path
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.prompts import Box, Prompt
with Segmenter.load({model!r}, threads=2) as segmenter:
    segmenter.warm_up()
    picture = np.full((8192, 8192, 3), 128, np.uint8)
    picture[2000:6000, 2000:6000] = (200, 30, 30)
    found = segmenter.segment([Prompt(boxes=(Box(2000, 2000, 6000, 6000),))], picture)
# getrusage would tell what the process that started this one had: its peak outlives the exec
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(found.labels.shape, peak // 1000, found.answers[0].found)
"""


def test_a_picture_of_the_largest_size_is_answered_at_full_size_in_a_bounded_memory():
    model = str(Path(__file__).parents[2] / "models" / "lite")
    code = LARGE.format(model=model)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shape, megabytes = done.stdout.rsplit(") ", 1)
    assert shape == "(8192, 8192"
    assert int(megabytes.split()[0]) < 1300  # the picture alone has 201; it was 2900


class Source:
    """A camera that has a frame all the time."""

    def __init__(self, segmenter):
        self.frames, self._segmenter, self._tracker = 0, segmenter, Tracker(segmenter)

    def has_frame(self):
        return True

    def is_ready(self):
        return True

    def process(self):
        with self._segmenter.pauses.held():
            self._tracker.step(Frame(scene({(30, 30): "red"}), stamp_ns=self.frames))
        self.frames += 1


def test_frames_go_on_while_a_call_with_many_prompts_is_answered():
    segmenter = Segmenter(ColourBackend())
    thread = InferenceThread(4, lambda error: None)
    source = Source(segmenter)
    prompts = [Prompt(text="red"), *(Prompt(clicks=(Click(30, 30),)) for _ in range(63))]
    seen, pauses = {}, []

    def pause():
        pauses.append(1)
        time.sleep(0.01)  # what a piece of work takes with a real model
        thread.pause()

    segmenter.pauses.let_in(pause)

    def work():
        seen["before"] = source.frames
        answer = segmenter.segment(prompts, scene({(30, 30): "red"}))
        seen["after"] = source.frames
        return answer

    thread.serve((source,))
    answer = thread.call(work, 30.0)
    assert thread.stop(10)
    assert all(one.found for one in answer.answers)
    assert len(pauses) >= 64  # one for each prompt that is prepared, and more for what comes then
    assert seen["after"] - seen["before"] >= 3  # a frame after each tenth of a second


def test_work_whose_caller_is_gone_ends_in_its_next_pause():
    segmenter, ended, pauses = Segmenter(ColourBackend()), threading.Event(), []
    thread = InferenceThread(4, lambda error: None)
    segmenter.pauses.let_in(thread.pause)

    def work():
        try:
            while len(pauses) < 10_000:
                pauses.append(1)
                time.sleep(0.001)
                segmenter.pauses()
        finally:
            ended.set()

    with pytest.raises(BusyError, match="no answer within"):
        thread.call(work, 0.05)
    assert ended.wait(5) and len(pauses) < 10_000
    assert thread.call(lambda: "free again", 5.0) == "free again"
    assert thread.stop(5)
