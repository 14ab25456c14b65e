# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import cv2
import numpy as np
import pytest
from colour_backend import HEIGHT, STRIDE, WIDTH, scene

from seem_ros.perception.closer_look import Window, agreed, window_of
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.letterbox import fit
from seem_ros.perception.structures.prompts import Box, Click, Prompt, Scribble

SOURCE_HW = (768, 1024)  # eight times what the colour model's network sees
GEOMETRY = fit(SOURCE_HW, (HEIGHT, WIDTH))
BOX = Prompt(boxes=(Box(500, 300, 540, 330),))


def logits(x0, y0, x1, y1, geometry=GEOMETRY):
    """A mask's logits on the grid, of a rectangle in source pixels, as exactly as the grid can say."""
    tall, wide = geometry.source_hw
    fine = np.full((tall, wide), -8, np.float32)
    fine[y0:y1, x0:x1] = 8
    size = geometry.network_hw[1] // STRIDE, geometry.network_hw[0] // STRIDE
    return cv2.resize(fine, size, interpolation=cv2.INTER_AREA)


def test_a_window_holds_the_thing_and_all_marks_and_has_the_networks_shape():
    clicks = (Click(495, 310), Click(520, 310), Click(560, 345, negative=True))
    for prompt in (BOX, Prompt(clicks=clicks)):
        window = window_of(prompt, logits(500, 300, 540, 330), GEOMETRY, STRIDE, 1.5)
        assert window.x0 <= 495 and window.x1 > 560 - 20 and window.y0 <= 300 and window.y1 >= 330
        assert (window.x1 - window.x0) / (window.y1 - window.y0) == pytest.approx(WIDTH / HEIGHT, rel=0.03)
        inside = window.inside(prompt)
        inside.check_image(window.y1 - window.y0, window.x1 - window.x0)
    assert [one.negative for one in inside.clicks] == [False, False, True]
    cut = window.cut(Frame(np.zeros((*SOURCE_HW, 3), np.uint8)))
    assert (cut.height, cut.width) == (window.y1 - window.y0, window.x1 - window.x0)


@pytest.mark.parametrize("corner", [(0, 0), (984, 738), (0, 738)])
def test_a_window_stays_inside_the_picture(corner):
    x, y = corner
    prompt = Prompt(boxes=(Box(x, y, x + 40, y + 30),))
    window = window_of(prompt, logits(x, y, x + 40, y + 30), GEOMETRY, STRIDE, 1.5)
    assert 0 <= window.x0 <= x and x + 40 <= window.x1 <= 1024 and 0 <= window.y0 <= y and y + 30 <= window.y1 <= 768


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(clicks=(Click(520, 315), Click(521, 316))),
        replace(BOX, text="red"),
        Prompt(boxes=BOX.boxes, scribbles=(Scribble(((505, 305), (535, 325))),)),
    ],
)
def test_what_does_not_say_surely_how_large_the_thing_is_gets_one_look(prompt):
    assert window_of(prompt, logits(500, 300, 540, 330), GEOMETRY, STRIDE, 1.5) is None


def test_what_is_large_already_or_was_not_found_gets_one_look():
    large = Prompt(boxes=(Box(100, 100, 700, 600),))
    assert window_of(large, logits(100, 100, 700, 600), GEOMETRY, STRIDE, 1.5) is None
    assert window_of(BOX, logits(0, 0, 0, 0), GEOMETRY, STRIDE, 1.5) is None


@pytest.mark.parametrize("offset", [(0, 0), (3, 5), (7, 1)])
def test_both_looks_at_the_same_thing_agree_on_the_same_cells(offset):
    x, y = 500 + offset[0], 300 + offset[1]
    window = Window(x - 30, y - 25, x + 98, y + 71)
    nearer = fit((window.y1 - window.y0, window.x1 - window.x0), (HEIGHT, WIDTH))
    first = logits(x, y, x + 64, y + 48)
    closer = logits(30, 25, 94, 73, nearer)
    both = agreed(first, closer, window, GEOMETRY, nearer, STRIDE)
    assert both.shape == first.shape and both.dtype == np.float32
    assert np.abs(np.clip(both, -8, 8) - first).max() < 4, "half a cell's worth at the rim"
    assert np.array_equal(both[np.abs(first) == 8] > 0, first[np.abs(first) == 8] > 0)


def test_a_small_boxed_thing_is_encoded_by_itself_once_more_and_its_mask_gets_better(backend):
    backend.spec = replace(backend.spec, postprocess=replace(backend.spec.postprocess, closer_look=1.5))
    picture = cv2.resize(scene({(64, 40): "grey"}), SOURCE_HW[::-1], interpolation=cv2.INTER_NEAREST)
    picture[303:351, 507:571] = (250, 20, 20)
    truth = np.zeros(SOURCE_HW, bool)
    truth[303:351, 507:571] = True
    segmenter = Segmenter(backend)

    def overlap(prompt):
        before = backend.encoded
        answer = segmenter.segment([prompt], Frame(picture))
        mask = answer.labels > 0
        return (mask & truth).sum() / (mask | truth).sum(), backend.encoded - before

    boxed = Prompt(boxes=(Box(507, 303, 571, 351),))
    better, looks = overlap(boxed)
    assert looks == 2
    segmenter.config = SegmenterConfig(look_closer=False)
    plain, looks = overlap(boxed)
    assert looks == 1 and better > plain + 0.02


def test_a_call_about_very_many_small_things_looks_once(backend):
    backend.spec = replace(backend.spec, postprocess=replace(backend.spec.postprocess, closer_look=1.5))
    picture = np.full((*SOURCE_HW, 3), 128, np.uint8)
    picture[303:351, 507:571] = (250, 20, 20)
    boxed, segmenter = Prompt(boxes=(Box(507, 303, 571, 351),)), Segmenter(backend)
    for count, looks in ((8, 9), (9, 1)):
        before = backend.encoded
        segmenter.segment([boxed] * count, Frame(picture))
        assert backend.encoded - before == looks


@pytest.mark.parametrize(("elsewhere", "there"), [(8, -8), (-1, -1)], ids=["something else", "nothing"])
def test_where_the_closer_look_means_something_else_or_nothing_the_first_one_counts(backend, elsewhere, there):
    backend.spec = replace(backend.spec, postprocess=replace(backend.spec.postprocess, closer_look=1.5))
    picture = np.full((*SOURCE_HW, 3), 128, np.uint8)
    picture[303:351, 507:571] = (250, 20, 20)
    decode, decodes = backend.decode, []

    def otherwise(features, prompts):
        answer = decode(features, prompts)
        decodes.append(answer)
        if len(decodes) == 1:
            return answer
        corner = np.full_like(answer.mask_logits, there)
        corner[:, :4, :4] = elsewhere
        return replace(answer, mask_logits=corner)

    backend.decode, segmenter = otherwise, Segmenter(backend)
    prompts, frame = [Prompt(boxes=(Box(507, 303, 571, 351),))], Frame(picture)
    answer = segmenter.segment(prompts, frame)
    assert len(decodes) == 2 and answer.answers[0].found
    assert answer.labels[327, 539] and answer.labels[303:351, 507:571].mean() > 0.7
    segmenter.config, backend.decode = SegmenterConfig(look_closer=False), decode
    first = segmenter.segment(prompts, frame)
    assert np.array_equal(answer.labels, first.labels) and answer.answers[0].mask_score == first.answers[0].mask_score
