# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from colour_backend import ColourBackend, scene

from seem_ros.errors import FrameError, PromptError
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.structures.frame import Frame, Intrinsics
from seem_ros.perception.structures.prompts import Box, Click, Mask, Prompt, Reference, Scribble
from seem_ros.runtime.postprocess_config import PostprocessConfig

TWO = scene({(30, 30): "red", (100, 60): "blue"})
RED, BLUE = np.zeros((96, 128), bool), np.zeros((96, 128), bool)
RED[22:38, 22:38], BLUE[52:68, 92:108] = True, True


def _iou(segments, value, truth):
    mask = segments.mask(value)
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(text="the red mug"),
        Prompt(clicks=[Click(30, 30)]),
        Prompt(boxes=[Box(22, 22, 38, 38)]),
        Prompt(scribbles=[Scribble([[25, 25], [35, 35]], width_px=2)]),
        Prompt(masks=[Mask(RED)]),
        Prompt(reference=Reference(scene({(64, 48): "red"}), (Click(64, 48),))),
        Prompt(reference=Reference(scene({(64, 48): "red"}), (Box(56, 40, 72, 56),))),
        Prompt(reference=Reference(scene({(64, 48): "red"})[44:52, 60:68])),
        Prompt(text="red", clicks=[Click(30, 30), Click(100, 60, negative=True)]),
    ],
)
def test_every_kind_of_prompt_finds_its_object(segmenter, prompt):
    segments = segmenter.segment([prompt], Frame(TWO, stamp_ns=5, frame_id="lens", camera="left"))
    assert segments.answers[0].found and _iou(segments, 1, RED) == 1.0
    assert (segments.stamp_ns, segments.frame_id, segments.camera) == (5, "lens", "left")
    record = segments.segments[0]
    assert record.box_xyxy_px == (22, 22, 38, 38) and record.area_px == 256
    assert record.centroid_xy_px == pytest.approx((29.5, 29.5))


def test_nothing_found_is_an_answer_with_the_best_score(segmenter):
    segments = segmenter.segment([Prompt(text="yellow mug")], Frame(TWO))
    answer = segments.answers[0]
    assert not answer.found and len(segments) == 0 and not segments.labels.any()
    assert answer.message == "nothing found for 'yellow mug': best presence 0.00, 0.50 needed"
    assert segments.message == answer.message


def test_several_prompts_are_one_decode_and_do_not_change_each_other(backend, segmenter):
    prompts = [Prompt(text="red"), Prompt(clicks=[Click(100, 60)]), Prompt(text="yellow")]
    together = segmenter.segment(prompts, Frame(TWO))
    assert backend.batch_sizes == [3] and [a.found for a in together.answers] == [True, True, False]
    assert [a.segment and a.segment.value for a in together.answers] == [1, 2, None]
    alone = segmenter.segment([prompts[1]])
    assert (alone.mask(1) == together.mask(2)).all()


def test_a_frame_is_encoded_once(backend, segmenter):
    frame = Frame(TWO)
    segmenter.encode(frame)
    for _ in range(3):
        segmenter.segment([Prompt(text="red")], frame)
        segmenter.segment([Prompt(text="blue")])
    assert backend.encoded == 1 and backend.texts == 2 + 3, "two texts, and the rest of the vocabulary once"
    segmenter.segment([Prompt(text="red")], Frame(TWO))
    assert backend.encoded == 2


def test_a_reference_picture_is_read_once_and_leaves_the_frame_alone(backend, segmenter):
    segmenter.encode(Frame(TWO))
    picture = scene({(64, 48): "blue"})
    for _ in range(3):
        result = segmenter.segment([Prompt(reference=Reference(picture.copy(), (Click(64, 48),)))])
        assert _iou(result, 1, BLUE) == 1.0
    assert backend.encoded == 2


def test_without_a_frame_there_is_a_clear_error(segmenter):
    with pytest.raises(FrameError, match="no picture yet"):
        segmenter.segment([Prompt(text="red")])


def test_a_prompt_that_does_not_fit_the_picture_changes_nothing(backend, segmenter):
    with pytest.raises(PromptError, match="128x96"):
        segmenter.segment([Prompt(text="red"), Prompt(clicks=[Click(128, 3)])], Frame(TWO))
    with pytest.raises(PromptError, match="positive"):
        segmenter.segment([Prompt(clicks=[Click(3, 3, negative=True)])], Frame(TWO))
    assert backend.encoded == backend.decoded == 0


def test_unknown_words_are_reported_and_not_guessed(backend):
    segmenter = Segmenter(backend)
    answer = segmenter.segment([Prompt(text="the red unicorn")], Frame(TWO)).answers[0]
    assert not answer.found and answer.unknown_words == ("unicorn",)
    assert "never trained on 'unicorn', so nothing was looked for" in answer.message
    both = segmenter.segment([Prompt(text="unicorn", clicks=[Click(30, 30)])]).answers[0]
    assert both.found and "unicorn" in both.message and both.label == "red"
    segmenter.config = SegmenterConfig(unknown_words="use")
    answer = segmenter.segment([Prompt(text="the red unicorn")]).answers[0]
    assert answer.found and answer.unknown_words == ("unicorn",)


def test_masks_are_decided_at_source_resolution():
    big = np.repeat(np.repeat(TWO, 5, 0), 5, 1)
    segments = Segmenter(ColourBackend()).segment([Prompt(text="red")], Frame(big))
    assert segments.labels.shape == (480, 640) and _iou(segments, 1, np.kron(RED, np.ones((5, 5))) > 0) > 0.95


def test_the_resolution_may_change_from_frame_to_frame(segmenter):
    for factor in (1, 3, 2):
        big = np.repeat(np.repeat(TWO, factor, 0), factor, 1)
        segments = segmenter.segment([Prompt(clicks=[Click(30 * factor, 30 * factor)])], Frame(big))
        assert segments.labels.shape == big.shape[:2] and segments.segments[0].area_px == pytest.approx(
            256 * factor**2, rel=0.06
        )


def test_further_rounds_use_everything_said_so_far_on_the_encoded_picture(backend, segmenter):
    picture = scene({(30, 30): "red", (80, 30): "red"})
    first = segmenter.segment([Prompt(text="red")], Frame(picture)).answers[0]
    x = first.segment.centroid_xy_px[0]
    other = 80 if x < 50 else 30
    second = segmenter.refine(first, Prompt(clicks=[Click(other, 30)])).answers[0]
    assert second.segment.centroid_xy_px[0] == pytest.approx(other - 0.5)
    assert second.prompt.text == "red" and len(second.prompt.clicks) == 1
    third = segmenter.refine(second, Prompt(clicks=[Click(x, 30, negative=True)])).answers[0]
    assert third.found and len(third.prompt.clicks) == 2 and backend.encoded == 1


def test_prompts_without_text_are_named_from_the_vocabulary(segmenter):
    clicked = Prompt(clicks=[Click(30, 30)])
    answer = segmenter.segment([clicked], Frame(TWO)).answers[0]
    assert answer.label == "red" and answer.label_score > 0.8
    assert segmenter.set_vocabulary(["blue", "green thing", "wug"]) == ("wug",)
    assert segmenter.segment([clicked]).answers[0].label != "red"
    assert segmenter.set_vocabulary([]) == () and segmenter.vocabulary == ("red", "green", "blue", "grey")


def test_a_name_that_is_not_sure_enough_is_not_given(backend):
    sure = replace(backend.spec.postprocess, name_found=0.95)
    backend.spec = replace(backend.spec, postprocess=sure)
    segmenter, clicked = Segmenter(backend), Prompt(clicks=[Click(30, 30)])
    assert segmenter.segment([clicked], Frame(TWO)).answers[0].label == "red"
    segmenter.set_vocabulary(["blue", "green"])  # neither is what was clicked
    answer, by_text = segmenter.segment([clicked, Prompt(text="red")]).answers
    assert answer.found and (answer.label, answer.label_score) == ("object", 0.0)
    assert by_text.label == "red"


@pytest.mark.parametrize("names", [["a", ""], ["a", "a"], ["x"] * 5000])
def test_a_bad_vocabulary_is_refused_and_the_old_one_stays(segmenter, names):
    with pytest.raises(PromptError):
        segmenter.set_vocabulary(names)
    assert "red" in segmenter.vocabulary


def test_panoptic_names_everything_in_the_vocabulary(segmenter):
    segments = segmenter.panoptic(frame=Frame(TWO))
    assert {s.label for s in segments} == {"red", "blue"} and all(s.is_thing for s in segments)
    red = next(s for s in segments if s.label == "red")
    assert _iou(segments, red.value, RED) == 1.0
    assert {s.label for s in segmenter.panoptic(["blue", "yellow"])} == {"blue"}
    with pytest.raises(PromptError):
        segmenter.panoptic([])


class _Overlapping(ColourBackend):
    """The mask of what is red covers all that is blue, too."""

    def __init__(self, **rules):
        super().__init__()
        self.spec = replace(self.spec, postprocess=PostprocessConfig(**rules))

    def decode_objects(self, features):
        objects = super().decode_objects(features)
        red, _, blue, *_ = objects.mask_logits
        red[:] = np.maximum(red, blue - 7.0)  # less surely than blue does
        return objects


def test_how_much_of_its_mask_a_panoptic_segment_must_keep_is_the_models_own_unless_it_is_set():
    frame = Frame(TWO)
    for rule, found in ((0.4, {"red", "blue"}), (0.6, {"blue"})):  # half of red's mask is blue's
        assert {s.label for s in Segmenter(_Overlapping(panoptic_overlap=rule)).panoptic(frame=frame)} == found
        asked = Segmenter(_Overlapping(), SegmenterConfig(panoptic_overlap=rule))
        assert {s.label for s in asked.panoptic(frame=frame)} == found


def test_a_model_without_presence_head_is_judged_by_its_outline():
    segmenter = Segmenter(ColourBackend(has_presence=False))
    answers = segmenter.segment([Prompt(text="red"), Prompt(text="yellow")], Frame(TWO)).answers
    assert answers[0].found and answers[0].presence == pytest.approx(answers[0].mask_score)
    assert not answers[1].found


def test_depth_gives_position_and_size(segmenter):
    depth = np.full((96, 128), 2.0, np.float32)
    depth[22:38, 22:38] = 1.0
    frame = Frame(TWO, depth_m=depth, intrinsics=Intrinsics(100, 100, 64, 48))
    answer = segmenter.segment([Prompt(text="red")], frame).answers[0]
    assert answer.segment.position_m == pytest.approx((-0.345, -0.185, 1.0), abs=0.01)
    assert segmenter.segment([Prompt(text="red")], Frame(TWO)).answers[0].segment.position_m is None


def test_prompts_that_mean_one_object_share_its_segment(segmenter):
    prompts = [Prompt(text="red"), Prompt(clicks=[Click(30, 30)]), Prompt(text="blue")]
    segments = segmenter.segment(prompts, Frame(TWO))
    assert [a.found for a in segments.answers] == [True] * 3 and [s.value for s in segments] == [1, 3]
    assert segments.answers[1].segment == segments.answers[0].segment
    assert segments.answers[1].message == "the same object as prompt 1"


def test_more_than_255_prompts_get_a_wide_label_image(segmenter):
    segments = segmenter.segment([Prompt(text="blue")] * 256 + [Prompt(text="red")], Frame(TWO))
    assert segments.labels.dtype == np.uint16 and [s.value for s in segments] == [1, 257]


def test_the_text_cache_is_bounded(backend):
    segmenter = Segmenter(backend, SegmenterConfig(max_texts_cached=2, name_prompts=False))
    segmenter.encode(Frame(TWO))
    for text in ("red", "blue", "green", "red"):
        segmenter.segment([Prompt(text=text)])
    assert backend.texts == 4
    segmenter.segment([Prompt(text="red")])
    assert backend.texts == 4


def test_no_prompts_give_no_segments(segmenter):
    segments = segmenter.segment([], Frame(TWO))
    assert len(segments) == 0 and segments.answers == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"presence_threshold": 1.5},
        {"unknown_words": "guess"},
        {"max_texts_cached": 0},
        {"panoptic_overlap": float("nan")},
    ],
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(PromptError):
        SegmenterConfig(**bad)


def test_clicks_after_the_second_remember_the_mask_before_them(backend):
    backend.spec = replace(backend.spec, postprocess=replace(backend.spec.postprocess, clicks_at_once=2))
    segmenter, asked = Segmenter(backend), []
    decode = backend.decode

    def watched(features, prompts):
        asked.append(prompts.has_previous.tolist())
        return decode(features, prompts)

    backend.decode = watched
    clicks = tuple(Click(x, 30) for x in (18, 20, 22, 24))
    two, four = Prompt(clicks=clicks[:2]), Prompt(clicks=clicks)
    answers = segmenter.segment([two, four], scene({(20, 30): "red"})).answers
    assert all(answer.found for answer in answers)
    # the four's first two, its first three with their mask, and then both prompts, of which one remembers
    assert asked == [[False], [True], [False, True]]
    asked.clear()
    segmenter.segment([Prompt(clicks=clicks, boxes=(Box(12, 22, 28, 38),))], scene({(20, 30): "red"}))
    assert len(asked) == 1, "only clicks are rounds"
