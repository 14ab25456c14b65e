# SPDX-License-Identifier: Apache-2.0
"""A text alone is answered by the object that it names best."""

from dataclasses import fields, replace

import numpy as np
import pytest

from seem_ros.model.codes import PriorKind
from seem_ros.perception.prompting.grounding import TextRule, text_alone
from seem_ros.perception.prompting.places import Beside, PictureSide
from seem_ros.runtime.interface import DecodeBatch, ObjectBatch, PromptBatch
from seem_ros.runtime.postprocess_config import PostprocessConfig

AXES = np.eye(4, dtype=np.float32)
RULE = TextRule(AXES, scale=10.0, slope=2.0, middle=-1.0)
LEFT, RIGHT = (slice(4, 16), slice(4, 16)), (slice(30, 42), slice(44, 56))


@pytest.fixture
def objects():
    """A square in the upper left that means the first axis, one in the lower right that means the second."""
    masks = np.full((2, 48, 64), -5.0, np.float32)
    masks[0][LEFT] = masks[1][RIGHT] = 5.0
    return ObjectBatch(masks, np.stack((3 * AXES[0], 2 * AXES[1])), np.full((2, 4), np.nan, np.float32))


@pytest.fixture
def batch(backend):
    """Texts for the second object, for the first, and for neither."""
    made = PromptBatch.empty(backend.spec, 3)
    made.has_text[:] = True
    made.text_embedding[:] = AXES[[1, 0, 2]]
    return made


@pytest.fixture
def own(backend):
    """The texts' own answers: nothing, undecided."""
    sizes = {"mask_logits": (3, 48, 64), "memory_mask": (3, *backend.spec.memory_hw), "presence": (3,)}
    empty = {field.name: getattr(DecodeBatch.empty(backend.spec), field.name) for field in fields(DecodeBatch)}
    values = {name: np.zeros(sizes.get(name, (3, *one.shape[1:])), one.dtype) for name, one in empty.items()}
    values["mask_logits"][:], values["presence"][:] = -5.0, 0.5
    return DecodeBatch(**values)


def ask(batch, own, objects, rule=RULE):
    rows = np.flatnonzero(text_alone(batch))
    return rule.point(batch, rows, own.select(rows), objects)


def test_a_text_becomes_a_click_on_the_object_it_names(batch, own, objects):
    pointed, _ = ask(batch, own, objects)
    for row, (x, y) in enumerate(((50, 36), (10, 10))):
        there = pointed.points_label[row] > 0
        assert there.any() and pointed.prior_kind[row] == PriorKind.CLICK
        assert np.allclose(pointed.points_xy[row][there].mean(0), (x / 64, y / 48), atol=0.08)


def test_a_text_that_names_no_object_is_not_there(batch, own, objects):
    _, presence = ask(batch, own, objects)
    assert presence[0] > 0.8 and presence[1] > 0.8 and presence[2] < 0.1


def test_of_two_that_stand_out_alike_from_the_vocabulary_the_one_that_resembles_the_text_is_surer(batch, own, objects):
    rule = TextRule(AXES[2:], scale=10.0, slope=0.2, middle=5.0)
    batch.text_embedding[:] = AXES[1]
    objects.embeddings[0] = (0.32**0.5, 0.6, -0.4, -0.4)  # 6 for the text and -4 for the names
    objects.embeddings[1] = AXES[0]
    _, faint = ask(batch, own, objects, rule)
    objects.embeddings[0] = AXES[1]  # 10 and 0
    _, clear = ask(batch, own, objects, rule)
    assert (clear > faint + 0.02).all()


def test_between_two_equal_objects_the_texts_own_mask_decides(batch, own, objects):
    objects.embeddings[:] = AXES[1]
    own.mask_logits[0][LEFT] = own.mask_logits[1][RIGHT] = 5.0
    batch.text_embedding[:] = AXES[1]
    pointed, _ = ask(batch, own, objects)
    x = [pointed.points_xy[row][pointed.points_label[row] > 0, 0].mean() for row in range(2)]
    assert x[0] < 0.3 and x[1] > 0.6


def test_of_several_of_one_name_the_place_chooses(batch, own, objects):
    objects.embeddings[:] = AXES[0], AXES[0]
    own.mask_logits[:, LEFT[0], LEFT[1]] = 5.0  # the text's own answer lies on the left one
    batch.text_embedding[:] = AXES[0]
    rows = np.arange(3)
    pointed, presence = RULE.point(batch, rows, own, objects, {0: PictureSide(("right",)), 1: PictureSide(("top",))})
    x, y = (
        [pointed.points_xy[row][pointed.points_label[row] > 0, axis].mean() for row in range(3)] for axis in range(2)
    )
    assert x[0] > 0.6 and x[1] < 0.3 and y[1] < 0.4 and x[2] < 0.3
    assert presence.min() > 0.5


def test_what_is_not_meant_is_not_chosen_for_its_place(batch, own, objects):
    batch.text_embedding[:] = AXES[0]  # the square in the upper left; the other one means something else
    pointed, _ = RULE.point(
        batch, np.arange(3), own, objects, {0: PictureSide(("right",)), 1: PictureSide(("bottom",))}
    )
    assert all(pointed.points_xy[row][pointed.points_label[row] > 0, 0].mean() < 0.3 for row in range(3))


def test_of_several_of_one_name_the_one_beside_what_was_said_is_chosen_and_never_that_itself(batch, own, objects):
    middle = np.full((48, 64), -5.0, np.float32)
    middle[30:42, 28:36] = 5.0  # a landmark with the third axis' name, near the right square
    three = ObjectBatch(
        np.concatenate((objects.mask_logits, middle[None])), AXES[[0, 0, 2]], np.full((3, 4), np.nan, np.float32)
    )
    batch.text_embedding[:] = AXES[0]
    own.mask_logits[:, LEFT[0], LEFT[1]] = 5.0
    beside = Beside("next to", "it")
    landmarks = {0: AXES[2], 1: 0.7 * AXES[0] + 0.72 * AXES[1]}  # the second is a square itself
    pointed, _ = RULE.point(batch, np.arange(3), own, three, dict.fromkeys(range(3), beside), landmarks)
    x = [pointed.points_xy[row][pointed.points_label[row] > 0, 0].mean() for row in range(3)]
    assert x[0] > 0.6 and x[2] < 0.3, "without an embedding of the landmark the text's own answer counts"
    alone = RULE.point(batch, np.array([1]), own.select([1]), three, {}, {})[0]
    itself = alone.points_xy[1][alone.points_label[1] > 0, 0].mean()
    assert abs(x[1] - itself) > 0.3


@pytest.mark.parametrize(("cell", "moved"), [((9, 9), True), ((4, 9), False)], ids=["its middle", "its border"])
def test_what_is_said_not_to_be_it_is_another_object_or_its_border(batch, own, objects, cell, moved):
    both = ObjectBatch(objects.mask_logits, np.stack((3 * AXES[0], 2 * AXES[0] + AXES[3])), objects.boxes)
    batch.text_embedding[:] = AXES[0]
    batch.points_xy[0, 0], batch.points_label[0, 0] = ((cell[0] + 0.5) / 64, (cell[1] + 0.5) / 48), -1
    rows = np.flatnonzero(text_alone(batch))
    assert rows.tolist() == [0, 1, 2]
    pointed, _ = RULE.point(batch, rows, own, both)
    x = [pointed.points_xy[row][pointed.points_label[row] > 0, 0].mean() for row in (0, 1)]
    assert (x[0] > 0.6) == moved and x[1] < 0.3
    assert pointed.points_label[0, 0] == -1, "the mark itself stays"


def test_a_landmark_that_is_not_seen_does_not_choose(batch, own, objects):
    both = ObjectBatch(objects.mask_logits, AXES[[0, 0]] * 3, objects.boxes)
    batch.text_embedding[:] = AXES[0]
    own.mask_logits[:, LEFT[0], LEFT[1]] = 5.0
    absent = -AXES[3] + 0.1 * AXES[0]  # the squares resemble it least badly
    pointed, _ = RULE.point(
        batch,
        np.arange(3),
        own,
        both,
        dict.fromkeys(range(3), Beside("left of", "it")),
        dict.fromkeys(range(3), absent),
    )
    alone, _ = RULE.point(batch, np.arange(3), own, both)
    assert np.allclose(pointed.points_xy, alone.points_xy)


def test_what_is_pointed_at_or_remembered_or_shown_does_not_stand_alone(batch):
    batch.points_label[0, 0] = 1
    batch.has_previous[1] = True
    batch.reference_valid[2, 0] = True
    assert not text_alone(batch).any()


def test_the_question_itself_is_not_changed(batch, own, objects):
    ask(batch, own, objects)
    assert not batch.points_label.any() and not batch.prior_kind.any()


def test_an_object_without_a_mask_is_not_clicked_on(batch, own, objects):
    objects.mask_logits[:] = -5.0
    assert not ask(batch, own, objects)[0].points_label.any()


def test_a_package_without_the_curve_has_no_such_rule():
    assert TextRule.of(PostprocessConfig(), AXES, 10.0) is None
    assert TextRule.of(PostprocessConfig(text_slope=2.0, text_middle=0.1), AXES, 10.0).middle == 0.1


def test_a_model_with_the_rule_answers_texts_through_its_objects(segmenter, backend):
    from colour_backend import COLOURS

    from seem_ros.perception.structures.prompts import Prompt

    backend.spec = replace(backend.spec, postprocess=PostprocessConfig(text_slope=2.0, text_middle=-1.0))
    picture = np.full((96, 128, 3), COLOURS["background"], np.uint8)
    picture[20:50, 30:70] = COLOURS["red"]
    answer = segmenter.segment([Prompt(text="red"), Prompt(text="blue")], picture).answers
    assert answer[0].found and answer[0].segment.box_xyxy_px == pytest.approx((30, 20, 70, 50), abs=3)
    assert not answer[1].found


def test_a_text_with_a_place_is_asked_for_without_it_and_the_answer_says_how(segmenter, backend):
    from colour_backend import COLOURS

    from seem_ros.perception.structures.prompts import Prompt

    thresholds = PostprocessConfig(text_slope=2.0, text_middle=-1.0)
    backend.spec = replace(backend.spec, postprocess=thresholds, known_words=frozenset({"red", "blue"}))
    picture = np.full((96, 128, 3), COLOURS["background"], np.uint8)
    picture[20:50, 10:40] = COLOURS["red"]
    left, right, nothing = segmenter.segment(
        [Prompt(text=text) for text in ("the left red", "red on the right", "the leftmost blue")], picture
    ).answers
    for answer in (left, right):
        assert answer.found and answer.unknown_words == ()
        assert answer.segment.box_xyxy_px == pytest.approx((10, 20, 40, 50), abs=3)
    assert "of what looks like 'red' the one farthest to the right" in right.message and left.label == "the left red"
    assert not nothing.found and nothing.unknown_words == ()


@pytest.fixture
def red_beside_blue(backend):
    """A picture for a model with the rule, which knows two words."""
    from colour_backend import COLOURS

    thresholds = PostprocessConfig(text_slope=2.0, text_middle=-1.0)
    backend.spec = replace(backend.spec, postprocess=thresholds, known_words=frozenset({"red", "blue"}))
    picture = np.full((96, 128, 3), COLOURS["background"], np.uint8)
    picture[20:50, 10:40] = COLOURS["red"]
    picture[20:50, 60:80] = COLOURS["blue"]
    return picture


def test_a_text_that_says_what_it_lies_beside_is_asked_for_without_it(segmenter, red_beside_blue):
    from seem_ros.perception.structures.prompts import Prompt

    texts = ("red next to the blue", "the red on the counter", "the red in front of me", "the counter")
    beside, unread, nothing, alone = segmenter.segment([Prompt(text=text) for text in texts], red_beside_blue).answers
    for answer in (beside, unread, nothing):
        assert answer.found and answer.unknown_words == ()
        assert answer.segment.box_xyxy_px == pytest.approx((10, 20, 40, 50), abs=3)
    assert "of what looks like 'red' the one next to 'the blue', where that is in the picture" in beside.message
    assert "'on the counter' is not looked at: the model was never trained on 'counter'" in unread.message
    assert "'in front of me' is not looked at: it names no thing" in nothing.message
    assert alone.unknown_words == ("counter",)


def test_a_request_is_asked_for_and_labelled_as_the_thing_in_it(segmenter, red_beside_blue):
    from seem_ros.perception.structures.prompts import Prompt

    texts = ("Could you bring me the red next to the blue, please?", "give me the zorblax next to the blue")
    asked, unknown = segmenter.segment([Prompt(text=text) for text in texts], red_beside_blue).answers
    assert asked.found and asked.segment.box_xyxy_px == pytest.approx((10, 20, 40, 50), abs=3)
    assert asked.label == "the red next to the blue"
    assert unknown.unknown_words == ("zorblax",) and "of what looks like" not in unknown.message


def test_a_name_of_the_models_own_is_asked_for_as_a_whole_in_a_request_too(segmenter, backend, red_beside_blue):
    from seem_ros.perception.structures.prompts import Prompt
    from seem_ros.runtime.spec import VocabularyEntry

    own = VocabularyEntry("red in blue")
    backend.spec = replace(backend.spec, vocabulary=(own,), known_words=frozenset({"red", "in", "blue"}))
    texts = ("the red in blue", "bring me the red in blue, please", "the red by the blue")
    named, asked, beside = segmenter.segment([Prompt(text=text) for text in texts], red_beside_blue).answers
    assert named.label == asked.label == "the red in blue"
    assert "of what looks like" not in named.message + asked.message and "of what looks like" in beside.message


@pytest.mark.parametrize("text", ["all the reds", "two reds", "the red and the blue", "bring me the red, the blue"])
def test_a_text_for_several_things_is_refused_and_says_how_to_ask(segmenter, red_beside_blue, text):
    from seem_ros.errors import PromptError
    from seem_ros.perception.structures.prompts import Prompt
    from seem_ros.runtime.spec import VocabularyEntry

    words = tuple(VocabularyEntry(name) for name in ("red", "blue"))
    segmenter.backend.spec = replace(segmenter.spec, vocabulary=words)
    with pytest.raises(PromptError, match="one prompt is one thing"):
        segmenter.segment([Prompt(text=text)], red_beside_blue)


def test_where_texts_are_names_of_a_data_set_they_are_asked_for_as_they_are(segmenter, red_beside_blue):
    from seem_ros.perception.structures.prompts import Prompt
    from seem_ros.runtime.spec import VocabularyEntry

    words = tuple(VocabularyEntry(name) for name in ("red", "blue"))
    segmenter.backend.spec = replace(segmenter.spec, vocabulary=words)
    segmenter.config = replace(segmenter.config, one_thing=False)
    assert segmenter.segment([Prompt(text="red and blue")], red_beside_blue).answers[0].found
