# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
from colour_backend import scene

from seem_ros.errors import PromptError, TargetError
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.target import IdAllocator, TargetState
from seem_ros.perception.tracking.tracker import Tracker

MS = 1_000_000


def film(*blobs, first_ns=0, step_ns=33 * MS):
    """Frames of scenes, each a dict of blobs."""
    return [Frame(scene(one), stamp_ns=first_ns + i * step_ns) for i, one in enumerate(blobs)]


def place(segments, target_id):
    segment = segments.by_target(target_id)
    return None if segment is None else tuple(round(v + 0.5) for v in segment.centroid_xy_px)


@pytest.fixture
def tracker(segmenter):
    return Tracker(segmenter)


def test_a_target_keeps_id_value_and_label_while_it_moves(tracker):
    frames = film(*({(20 + 4 * i, 30): "red", (100, 60): "blue"} for i in range(15)))
    started = tracker.start([Prompt(text="red"), Prompt(clicks=[Click(100, 60)])], frames[0])
    assert started.target_ids == (1, 2) and [a.segment.target_id for a in started.answers] == [1, 2]
    for i, frame in enumerate(frames):
        segments = tracker.step(frame)
        assert place(segments, 1) == (20 + 4 * i, 30) and place(segments, 2) == (100, 60)
        assert [(s.value, s.label, s.state) for s in segments] == [(1, "red", "TRACKED"), (2, "blue", "TRACKED")]
        assert segments.stamp_ns == frame.stamp_ns
    assert tracker.target(1).frames_tracked == 16


def test_all_targets_are_one_decode_and_one_more_changes_no_other(backend, tracker):
    first, second = film({(20, 30): "red", (100, 60): "blue"}, {(22, 30): "red", (100, 60): "blue"})
    tracker.start([Prompt(text="red")], first)
    alone = tracker.step(second).mask(1)
    tracker.reset()
    ids = tracker.start([Prompt(text="red"), Prompt(text="blue")], first).target_ids
    backend.batch_sizes.clear()
    both = tracker.step(second)
    assert backend.batch_sizes == [2] and ids == (2, 3)
    assert (both.mask(both.by_target(2).value) == alone).all()


def test_a_hidden_target_is_occluded_then_lost_and_found_again_with_its_id(segmenter):
    tracker = Tracker(segmenter, TrackerConfig(lost_after=5, lost_every=2, memory_frames=2))
    seen, hidden = {(40, 40): "red"}, {(40, 40): "grey"}
    frames = film(seen, seen, *[hidden] * 8, *[seen] * 3)
    tracker.start([Prompt(text="red")], frames[0])
    states = []
    for frame in frames[1:]:
        segments = tracker.step(frame)
        states.append(tracker.targets()[0].state.value[:1] + str(len(segments)))
    assert states == ["T1"] + ["O0"] * 4 + ["L0"] * 4 + states[9:] and states[-1] == "T1"
    assert "T1" in states[9:11] and tracker.targets()[0].target_id == 1


def test_a_hidden_target_does_not_jump_to_a_look_alike_that_was_there_before(tracker):
    both, one = {(30, 40): "red", (100, 40): "red"}, {(100, 40): "red"}
    frames = film(both, both, *[one] * 12, both, both, both)
    tracker.start([Prompt(clicks=[Click(30, 40)])], frames[0])
    places = [place(tracker.step(frame), 1) for frame in frames[1:]]
    assert places[0] == (30, 40) and places[1:13] == [None] * 12 and places[-1] == (30, 40)


def test_a_target_that_comes_back_elsewhere_is_found_when_frames_agree(tracker):
    frames = film({(30, 40): "red"}, {}, {}, *[{(100, 70): "red"}] * 4)
    tracker.start([Prompt(clicks=[Click(30, 40)])], frames[0])
    places = [place(tracker.step(frame), 1) for frame in frames[1:]]
    assert places[:2] == [None, None] and places[2] is None, "one frame could be a look-alike"
    assert places[-1] == (100, 70)


def test_two_equal_targets_do_not_swap_when_one_is_hidden(tracker):
    both, one = {(30, 40): "red", (100, 40): "red"}, {(100, 40): "red"}
    frames = film(both, both, *[one] * 10, *[both] * 4)
    ids = tracker.start([Prompt(clicks=[Click(30, 40)]), Prompt(clicks=[Click(100, 40)])], frames[0]).target_ids
    for i, frame in enumerate(frames[1:]):
        segments = tracker.step(frame)
        assert place(segments, ids[1]) == (100, 40)
        if i in range(1, 11):
            assert place(segments, ids[0]) is None
    assert place(segments, ids[0]) == (30, 40)


def test_time_going_backwards_forgets_places_and_never_freezes(tracker):
    loop = [{(30 + 2 * i, 40): "red", (100, 70): "blue"} for i in range(20)]
    frames = film(*loop, first_ns=50_000 * MS)
    tracker.start([Prompt(text="red"), Prompt(text="blue")], frames[0])
    for _ in range(3):
        for frame in frames:
            segments = tracker.step(Frame(frame.rgb, stamp_ns=frame.stamp_ns))
        assert place(segments, 1) == (68, 40) and place(segments, 2) == (100, 70)
    assert tracker.time_jumps == 2
    assert [t.target_id for t in tracker.targets()] == [1, 2]


@pytest.mark.parametrize("later_ns", [-40_000 * MS, 40_000 * MS], ids=["another bag", "much later"])
def test_a_target_started_after_all_others_ended_is_seen_in_the_next_frame(tracker, later_ns):
    first, second, third = film(*[{(30, 40): "red"}] * 3, first_ns=50_000 * MS)
    tracker.start([Prompt(text="red")], first)
    tracker.step(second)
    tracker.remove()
    moved = [Frame(frame.rgb, stamp_ns=frame.stamp_ns + later_ns) for frame in (second, third)]
    tracker.start([Prompt(text="red")], moved[0])
    assert [segment.state for segment in tracker.step(moved[1])] == ["TRACKED"] and tracker.time_jumps == 0


def test_two_equal_targets_are_both_found_again_after_a_loop(tracker):
    frames = film(*[{(30 + i, 40): "red", (100, 40): "red"} for i in range(8)])
    ids = tracker.start([Prompt(clicks=[Click(30, 40)]), Prompt(clicks=[Click(100, 40)])], frames[0]).target_ids
    for _ in range(2):
        for frame in frames:
            segments = tracker.step(frame)
        assert (place(segments, ids[0]), place(segments, ids[1])) == ((37, 40), (100, 40))
    assert tracker.time_jumps == 1


def test_a_moving_camera_does_not_lose_targets(tracker):
    frames = film(*[{(90 - 5 * i, 30 + i): "red", (110 - 5 * i, 60 + i): "blue"} for i in range(14)])
    tracker.start([Prompt(text="red"), Prompt(text="blue")], frames[0])
    for i, frame in enumerate(frames):
        segments = tracker.step(frame)
        assert place(segments, 1) == (90 - 5 * i, 30 + i) and place(segments, 2) == (110 - 5 * i, 60 + i)


def test_a_long_gap_and_a_new_resolution_forget_places(segmenter):
    tracker = Tracker(segmenter, TrackerConfig(max_gap_s=1.0))
    tracker.start([Prompt(text="red")], Frame(scene({(30, 40): "red"}), stamp_ns=0))
    tracker.step(Frame(scene({(32, 40): "red"}), stamp_ns=100 * MS))
    tracker.step(Frame(scene({}), stamp_ns=5000 * MS))
    assert tracker.time_jumps == 1 and tracker.targets()[0].state is TargetState.OCCLUDED
    for i in range(3):
        big = np.repeat(np.repeat(scene({(90, 40): "red"}), 2, 0), 2, 1)
        segments = tracker.step(Frame(big, stamp_ns=(5100 + 100 * i) * MS))
    assert place(segments, 1) == (180, 80)


def test_prompts_on_an_old_frame_are_followed_to_now(backend, tracker):
    frames = film(*({(20 + 6 * i, 40): "red", (100, 80): "blue"} for i in range(8)))
    tracker.start([Prompt(text="blue")], frames[0])
    for frame in frames:
        tracker.step(frame)
    before = tracker.target(1)
    started = tracker.start([Prompt(clicks=[Click(20, 40)])], frames[0], replay=frames[1:])
    assert place(started.segments, 2) == (62, 40) and started.segments.stamp_ns == frames[-1].stamp_ns
    assert tracker.target(1) == before, "the others are not touched"
    following = tracker.step(Frame(scene({(68, 40): "red", (100, 80): "blue"}), stamp_ns=8 * 33 * MS))
    assert place(following, 2) == (68, 40) and place(following, 1) == (100, 80) and tracker.time_jumps == 0


def test_ids_are_never_used_again_and_values_as_late_as_possible(segmenter):
    tracker = Tracker(segmenter, ids=IdAllocator())
    frame = Frame(scene({(30, 40): "red"}))
    seen = []
    for _ in range(300):
        ids = tracker.start([Prompt(text="red")], frame).target_ids
        seen.append((ids[0], tracker.target(ids[0]).value))
        tracker.remove(ids)
    assert [i for i, _ in seen] == list(range(1, 301))
    assert [v for _, v in seen] == [1 + i % 255 for i in range(300)]


def test_cameras_share_ids(segmenter):
    ids = IdAllocator()
    left, right = Tracker(segmenter, ids=ids), Tracker(segmenter, ids=ids)
    frame = Frame(scene({(30, 40): "red"}))
    assert left.start([Prompt(text="red")], frame).target_ids == (1,)
    assert right.start([Prompt(text="red")], frame).target_ids == (2,)


def test_a_prompt_that_points_at_a_living_target_names_it(tracker):
    frame = film({(30, 40): "red"})[0]
    tracker.start([Prompt(text="red")], frame)
    again = tracker.start([Prompt(clicks=[Click(30, 40)]), Prompt(text="red")], frame)
    assert again.target_ids == (1, 1) and len(tracker) == 1
    assert again.answers[0].message == "this is target 1 already"


def test_a_mask_that_swallowed_another_targets_mask_gives_it_back(segmenter, backend):
    class Greedy(type(backend)):
        """Answers the first row with everything that any row answered."""

        def decode(self, features, prompts):
            result = super().decode(features, prompts)
            if len(prompts) == 2:
                result.mask_logits[0] = result.mask_logits.max(axis=0)
                result.memory_mask[0] = result.memory_mask.max(axis=0)
            return result

    tracker = Tracker(Segmenter(Greedy()))
    frames = film(*[{(40, 40): "red", (56, 40): "blue"}] * 3)
    tracker.start([Prompt(clicks=[Click(40, 40)]), Prompt(clicks=[Click(56, 40)])], frames[0])
    for frame in frames:
        segments = tracker.step(frame)
        assert place(segments, 1) == (40, 40) and place(segments, 2) == (56, 40)
    assert tracker._targets[1].place.box[2] == pytest.approx(12)


def test_the_last_frame_again_shows_what_prompts_have_changed_since(tracker):
    first, second = film({(20, 30): "red", (100, 60): "blue"}, {(20, 30): "red", (100, 60): "blue"})
    tracker.start([Prompt(text="red")], first)
    assert [one.target_id for one in tracker.step(second)] == [1]
    tracker.start([Prompt(text="blue")], second)
    both = tracker.again(second)
    assert [one.target_id for one in both] == [1, 2] and place(both, 2) == (100, 60)
    tracker.remove([1])
    assert [one.target_id for one in tracker.again(second)] == [2]
    assert [one.target_id for one in tracker.again(first)] == []  # nobody who lives was last seen there


def test_nothing_found_starts_nothing(tracker):
    result = tracker.start([Prompt(text="yellow"), Prompt(text="red")], film({(30, 40): "red"})[0])
    assert result.target_ids == (0, 1) and not result.answers[0].found and len(tracker) == 1
    assert "best presence" in result.segments.message


def test_too_many_targets_are_refused_and_change_nothing(segmenter):
    tracker = Tracker(segmenter, TrackerConfig(max_targets=2))
    frame = film({(30, 40): "red", (60, 40): "blue", (90, 40): "green"})[0]
    with pytest.raises(TargetError, match="3 more targets were asked for, room is left for 2"):
        tracker.start([Prompt(text="red"), Prompt(text="blue"), Prompt(text="green")], frame)
    assert len(tracker) == 0
    assert tracker.start([Prompt(text="red")], frame).target_ids == (1,)


def test_unknown_ids_are_refused_and_change_nothing(tracker):
    tracker.start([Prompt(text="red")], film({(30, 40): "red"})[0])
    prompt = Prompt(text="red")
    for call in (lambda: tracker.remove([1, 9]), lambda: tracker.refine(9, prompt), lambda: tracker.target(9)):
        with pytest.raises(TargetError, match="no target 9; living targets: 1"):
            call()
    assert tracker.remove() == (1,) and tracker.remove() == ()


def test_a_bad_prompt_changes_nothing(tracker):
    frame = film({(30, 40): "red"})[0]
    with pytest.raises(PromptError):
        tracker.start([Prompt(text="red"), Prompt(clicks=[Click(999, 0)])], frame)
    with pytest.raises(PromptError):
        tracker.start([], frame)
    tracker.start([Prompt(text="red")], frame)
    before = tracker.target(1)
    with pytest.raises(PromptError):
        tracker.refine(1, Prompt(clicks=[Click(999, 0)]))
    assert tracker.target(1) == before


def test_refining_moves_a_target_to_what_was_meant_without_encoding_again(backend, tracker):
    frames = film(*[{(30, 40): "red", (100, 40): "red"}] * 4)
    tracker.start([Prompt(text="red")], frames[0])
    wrong = tracker.target(1).box_xyxy_px[0] + 8
    right = 130 - wrong
    result = tracker.refine(1, Prompt(clicks=[Click(right, 40), Click(wrong, 40, negative=True)]))
    assert backend.encoded == 1 and result.target_ids == (1,) and place(result.segments, 1) == (right, 40)
    for frame in frames[1:]:
        segments = tracker.step(frame)
    assert place(segments, 1) == (right, 40)


def test_refining_finds_an_occluded_target(tracker):
    frames = film({(30, 40): "red"}, {}, {(100, 70): "blue"})
    tracker.start([Prompt(text="red")], frames[0])
    for frame in frames[1:]:
        tracker.step(frame)
    assert tracker.target(1).state is TargetState.OCCLUDED
    result = tracker.refine(1, Prompt(clicks=[Click(100, 70)]))
    assert result.answers[0].found and tracker.target(1).state is TargetState.TRACKED
    assert place(tracker.step(film({(102, 70): "blue"}, first_ns=99 * MS)[0]), 1) == (102, 70)


def test_a_refinement_that_finds_nothing_leaves_the_target_as_it_was(tracker):
    tracker.start([Prompt(text="red")], film({(30, 40): "red"})[0])
    before = tracker.target(1)
    for text in ("yellow", "unicorn"):
        result = tracker.refine(1, Prompt(text=text))
        assert not result.answers[0].found and tracker.target(1) == before


MEMORY_PARTS = ("use_reference", "use_previous_mask", "use_bank", "use_text")


@pytest.mark.parametrize("part", MEMORY_PARTS)
@pytest.mark.parametrize("on", [True, False])
def test_each_part_of_the_memory_can_be_switched(segmenter, part, on):
    tracker = Tracker(segmenter, TrackerConfig(**{**dict.fromkeys(MEMORY_PARTS, True), part: on}))
    frames = film(*({(20 + 4 * i, 30): "red"} for i in range(12)))
    tracker.start([Prompt(text="red")], frames[0])
    for frame in frames[1:]:
        segments = tracker.step(frame)
    assert place(segments, 1) == (64, 30)


def test_memory_is_bounded(segmenter):
    tracker = Tracker(segmenter, TrackerConfig(use_bank=True, bank_size=3, bank_every=1))
    frame = scene({(30, 40): "red"})
    tracker.start([Prompt(text="red")], Frame(frame))
    for i in range(40):
        tracker.step(Frame(frame, stamp_ns=i * MS))
    target = tracker._targets[1]
    assert len(target.bank) == 3 and len(target.reference.tokens) <= segmenter.spec.max_references


def test_the_configuration_describes_and_checks_itself():
    described = {one.name: one for one in TrackerConfig.describe()}
    assert set(described) == {f.name for f in dataclasses.fields(TrackerConfig)}
    for one in described.values():
        assert one.description and type(one.default) is one.kind
        if one.kind is not bool:
            assert one.minimum <= one.default <= one.maximum
            with pytest.raises(TargetError, match=one.name):
                TrackerConfig(**{one.name: one.kind(one.maximum + 1)})
    for bad in ({"use_bank": 1}, {"bank_size": 2.5}, {"max_jump": float("nan")}, {"max_targets": True}):
        with pytest.raises(TargetError):
            TrackerConfig(**bad)
    with pytest.raises(TargetError, match="found and lost in turn"):
        TrackerConfig(presence_found=0.3, presence_lost=0.4)


def test_an_empty_tracker_steps_and_sixty_four_targets_fit(segmenter):
    tracker = Tracker(segmenter)
    names = ("red", "blue", "green", "yellow")
    blobs = {(8 + 16 * (i % 8), 5 + 12 * (i // 8)): names[(i + i // 8) % 4] for i in range(64)}
    picture = scene(blobs, size=6)
    assert len(tracker.step(Frame(picture))) == 0
    result = tracker.start([Prompt(clicks=[Click(*xy)]) for xy in blobs], Frame(picture, stamp_ns=1))
    assert len(set(result.target_ids)) == 64
    assert len(tracker.step(Frame(picture, stamp_ns=2))) == 64


# ------------------------------------------------------- finds that have to prove themselves


def bare(*squares):
    """A picture with red squares, each (x, y, size); what is larger is the reference's own answer."""
    picture = scene({})
    for x, y, size in squares:
        picture[y - size // 2 : y + size // 2, x - size // 2 : x + size // 2] = (220, 30, 30)
    return picture


TARGET, MOVED, LOOK_ALIKE = (40, 40, 16), (64, 40, 16), (40, 56, 8)


def follow(tracker, *pictures):
    """The places of the target that is the large square of the first picture, from the second one on."""
    frames = [Frame(picture, stamp_ns=i * 33 * MS) for i, picture in enumerate(pictures)]
    tracker.start([Prompt(clicks=[Click(40, 40)])], frames[0])
    return [place(tracker.step(frame), 1) for frame in frames[1:]]


def test_a_look_alike_nearer_to_the_last_place_is_not_taken_for_a_target_that_moved_while_hidden(segmenter):
    story = [bare(TARGET)] * 3 + [bare()] * 4 + [bare(MOVED, LOOK_ALIKE)] * 6
    assert follow(Tracker(segmenter, TrackerConfig(prove_after=0)), *story)[-1] == (40, 56), "trusted at once"
    places = follow(Tracker(segmenter), *story)
    assert (40, 56) not in places and places[-1] == (64, 40)


def test_a_target_comes_back_from_a_look_alike_that_was_found_while_it_was_hidden(segmenter):
    story = [bare(TARGET)] * 3 + [bare()] * 4 + [bare(LOOK_ALIKE)] * 2 + [bare(TARGET, LOOK_ALIKE)] * 6
    assert follow(Tracker(segmenter, TrackerConfig(prove_after=0)), *story)[-1] == (40, 56), "trusted at once"
    tracker = Tracker(segmenter)
    places = follow(tracker, *story)
    assert places[-1] == (40, 40) and [one.target_id for one in tracker.targets()] == [1]


def test_nothing_is_learnt_from_a_find_before_it_is_proven(segmenter):
    config = TrackerConfig(bank_every=1, prove_after=100)
    tracker = Tracker(segmenter, config)
    follow(tracker, *[bare(TARGET)] * 3, *[bare()] * 3, *[bare(MOVED)] * 8)
    assert len(tracker._targets[1].bank) == 3, "the frames before it was hidden"


@pytest.mark.parametrize("prove_after, decodes", [(0, 0), (3, 3), (100, 9 + 4)])
def test_a_find_costs_one_more_decode_a_frame_until_it_is_proven_or_old(segmenter, backend, prove_after, decodes):
    tracker = Tracker(segmenter, TrackerConfig(prove_after=prove_after, still_difference=0))
    frames = [Frame(bare(TARGET), stamp_ns=(10 + i) * 33 * MS) for i in range(30)]
    follow(tracker, *[bare(TARGET)] * 3, *[bare()] * 3)
    tracker.step(frames[0])
    assert tracker.target(1).state is TargetState.TRACKED
    backend.batch_sizes.clear()
    for frame in frames[1:]:
        tracker.step(frame)
    assert len(backend.batch_sizes) == 29 + decodes
