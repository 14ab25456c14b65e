# SPDX-License-Identifier: Apache-2.0
"""What a teacher finds is carried through the frames between, and believed where it holds forward and backward."""

from __future__ import annotations

import numpy as np
import pytest

from seem_ros.datasets.media import open_media
from seem_ros.errors import DataError
from seem_ros.labelling.teacher import LabelConfig, Teacher


def _frames(folder):
    return [frame for _, frame in open_media(str(folder)).frames]


def _iou(one, other):
    return (one & other).sum() / (one | other).sum()


CONFIG = LabelConfig(("red", "blue", "green"), every=4, least_px=20)


def test_objects_keep_their_track_through_moving_frames(tmp_path, film, teacher, truth):
    keys = Teacher(teacher, CONFIG).label(_frames(film(tmp_path / "film")))
    assert len(keys) == 6
    for number, key in enumerate(keys):
        assert {label.name for label in key.labels} == {"red", "blue"} and not key.drops
        assert all(_iou(label.mask, truth(label.name, 4 * number)) > 0.8 for label in key.labels)
        assert all(label.doubt < 0.2 for label in key.labels)
    tracks = [{label.name: label.track for label in key.labels} for key in keys]
    assert all(one == tracks[0] for one in tracks)


def test_what_comes_later_gets_a_track_of_its_own(tmp_path, film, teacher):
    keys = Teacher(teacher, CONFIG).label(_frames(film(tmp_path / "film", late=9)))
    named = [{label.name: label.track for label in key.labels} for key in keys]
    assert ["green" in one for one in named] == [False, False, False, True, True, True]
    assert len({one["green"] for one in named[3:]}) == 1 and named[3]["green"] not in named[0].values()


def test_what_is_seen_in_one_key_frame_only_is_dropped_and_says_why(tmp_path, film, teacher):
    keys = Teacher(teacher, CONFIG).label(_frames(film(tmp_path / "film", flash=8)))
    assert all(label.name != "green" for key in keys for label in key.labels)
    (drop,) = [drop for key in keys for drop in key.drops]
    assert drop.name == "green" and "one key frame only" in drop.reason and drop.mask.any()


def test_tracks_go_on_from_window_to_window(tmp_path, film, teacher):
    frames, labeller = _frames(film(tmp_path / "film")), Teacher(teacher, CONFIG)
    first, second = labeller.label(frames[:13]), labeller.label(frames[12:], fresh=1)
    assert len(first) == 4 and len(second) == 2
    tracks = [{label.name: label.track for label in key.labels} for key in (*first, *second)]
    assert all(one == tracks[0] for one in tracks)


def test_a_single_picture_is_labelled_by_agreement_of_name_and_box(tmp_path, film, teacher, truth):
    (key,) = Teacher(teacher, CONFIG).label(_frames(film(tmp_path / "film"))[:1])
    assert {label.name for label in key.labels} == {"red", "blue"}
    assert all(np.array_equal(label.mask, truth(label.name, 0)) for label in key.labels)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"things": ()}, "nothing to label"),
        ({"things": ("mug",), "every": 0}, "at least 1"),
        ({"things": ("mug",), "agreement": 1.5}, "agreement lies"),
    ],
)
def test_impossible_settings_are_refused(values, said):
    with pytest.raises(DataError, match=said):
        LabelConfig(**values)
