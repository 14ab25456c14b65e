# SPDX-License-Identifier: Apache-2.0
"""Searches without ROS: what they cost together, and what becomes of those that cannot be followed."""

import time

import pytest
from colour_backend import COLOURS, ColourBackend, scene

from seem_ros.errors import PromptError
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.tracker import Tracker
from seem_ros.ros.find.search import EndedSearches, Search, Searches


class Waits:
    """Searches on one camera, and what became of them."""

    def __init__(self, **config):
        self.backend = ColourBackend()
        self.segmenter = Segmenter(self.backend)
        self.tracker = Tracker(self.segmenter, TrackerConfig(**config))
        self.searches = Searches(self.segmenter, self.tracker, lambda *_: None, lambda: "nobody publishes")
        self.ended = {}
        self.cancelled = set()

    def add(self, text, timeout_s=60.0):
        def end(search, sighting, why):
            self.ended[text] = (sighting, why)

        self.searches.add(
            Search(Prompt(text=text), "", timeout_s, lambda: text in self.cancelled, lambda search: None, end)
        )

    def look(self, blobs, number=0, red_by=0.0):
        """A picture; red is less red by so much, and the colour model less sure: by a sixtieth of it."""
        picture = scene(blobs)
        picture[(picture == COLOURS["red"]).all(-1), 0] -= round(red_by)
        frame = Frame(picture, stamp_ns=1 + number * 33_000_000)
        encoded = self.segmenter.encode(frame)
        self.backend.batch_sizes.clear()
        self.searches.look(encoded, "header")
        return list(self.backend.batch_sizes)


def test_several_searches_cost_one_decode_a_frame_together():
    waits = Waits()
    for text in ("red", "green", "blue"):
        waits.add(text)
    for number in range(3):
        assert waits.look({(60, 40): "yellow"}, number) == [3]
    assert not waits.ended


def test_the_one_that_is_found_ends_and_the_others_go_on_together():
    waits = Waits()
    for text in ("red", "green", "blue"):
        waits.add(text)
    waits.look({(60, 40): "green"})
    sighting, _ = waits.ended.pop("green")
    assert sighting.header == "header" and sighting.target.target_id == 1
    assert sighting.segments.by_target(1) is not None and not waits.ended
    assert waits.look({}, 1) == [2]


def test_an_unsure_picture_ends_nothing_until_others_in_a_row_agree():
    waits = Waits()
    waits.add("red")
    for number, presence in enumerate((0.7, 0.7, 0.2, 0.7, 0.7, 0.7, 0.7)):
        waits.look({(60, 40): "red"}, number, red_by=60 * (1 - presence))
        assert bool(waits.ended) == (number == 6), "four of .7 in a row are enough"


def test_a_time_that_is_over_after_too_few_pictures_says_so():
    waits = Waits()
    waits.add("red", timeout_s=0.01)
    waits.look({(60, 40): "red"}, red_by=18)
    deadline_s = time.monotonic() + 5
    while not waits.searches.has_ended():
        assert time.monotonic() < deadline_s
    waits.searches.end_overdue()
    assert "best presence 0.70, 0.50 needed, in too few pictures in a row" in waits.ended["red"][1]


def test_two_that_wait_for_the_same_thing_get_the_same_target():
    waits = Waits()
    waits.add("red")
    waits.add("the red thing")
    waits.look({(60, 40): "red"})
    assert {sighting.target.target_id for sighting, _ in waits.ended.values()} == {1}


def test_without_room_for_another_target_the_wait_ends_and_says_why():
    waits = Waits(max_targets=1)
    waits.tracker.start([Prompt(text="blue")], Frame(scene({(90, 60): "blue"})))
    waits.add("red")
    waits.look({(60, 40): "red"})
    sighting, why = waits.ended["red"]
    assert sighting is None and "seen, but cannot be followed" in why and "max_targets is 1" in why


def test_time_and_cancellation_end_waits_without_any_frame():
    waits = Waits()
    waits.add("red", timeout_s=1e-6)
    waits.add("green")
    waits.add("blue")
    waits.cancelled.add("green")
    clock = EndedSearches(lambda: [waits.searches])
    assert clock.is_ready() and not clock.has_frame()
    clock.process()
    assert set(waits.ended) == {"red", "green"} and not clock.is_ready()
    assert "no frame was looked at; nobody publishes" in waits.ended["red"][1]
    waits.searches.end_all("over")
    assert waits.ended["blue"] == (None, "over")


def test_what_can_never_be_found_is_refused_at_once():
    with pytest.raises(PromptError, match="never trained on 'flurbl'"):
        Waits().add("the flurbl")
