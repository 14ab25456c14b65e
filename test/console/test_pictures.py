# SPDX-License-Identifier: Apache-2.0
"""From pictures and segments to what the page draws: pairs by stamp, runs, JPEG."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from seem_ros.console.pictures.pairing import MAX_WAITING_BYTES, PATIENCE_S, STALE_S, Pairing
from seem_ros.console.pictures.wire import Runs, ShownPicture, is_plain_jpeg, jpeg_size, to_jpeg, unpack
from seem_ros.errors import FrameError


def picture(size=10):
    return SimpleNamespace(data=b"x" * size)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (48, 64)])
def test_a_label_image_comes_out_of_its_runs_as_it_went_in(dtype, shape):
    labels = np.random.default_rng(3).integers(0, 4, shape).astype(dtype) * (300 if dtype == np.uint16 else 60)
    runs = Runs.of(labels)
    assert runs.lengths.sum() == labels.size
    assert np.array_equal(runs.labels(), labels)


def test_a_picture_is_unpacked_as_it_was_packed():
    labels = np.zeros((30, 41), np.uint8)
    labels[5:12, 7:20] = 3
    rgb = np.random.default_rng(0).integers(0, 255, (30, 41, 3), np.uint8)
    segments = ({"value": 3, "id": 1, "label": "Tässchen"},)
    packed = ShownPicture(7, 12345678901234567890, to_jpeg(rgb, 90, 1280), Runs.of(labels), segments, (41, 30)).pack()
    found = unpack(packed)
    assert found.header["stamp"] == "12345678901234567890" and found.header["segments"] == list(segments)
    assert np.array_equal(found.labels, labels)
    assert jpeg_size(found.jpeg) == (41, 30)


def test_what_is_no_packed_picture_is_refused():
    packed = ShownPicture(1, 1, to_jpeg(np.zeros((8, 8, 3), np.uint8), 80, 64), Runs.of(np.ones((8, 8), np.uint8)), (),
                          None).pack()  # fmt: skip
    rng = np.random.default_rng(1)
    broken = [b"", b"\xff" * 40, packed[:60], packed[:4] + b"[" * 3000, packed.replace(b"[8,8,1]", b"[9,8,1]"),
              packed.replace(b"[8,8,1]", b"[8,8,9]"), packed.replace(b"[8,8,1]", b"[8,8,-1]")]  # fmt: skip
    broken += [rng.bytes(int(rng.integers(0, 200))) for _ in range(300)]
    for data in broken:
        with pytest.raises(FrameError, match="not a picture that the console has sent"):
            unpack(data)


def test_a_large_picture_is_made_smaller_and_keeps_its_shape():
    assert jpeg_size(to_jpeg(np.zeros((1080, 1920, 3), np.uint8), 80, 1280)) == (1280, 720)
    assert jpeg_size(to_jpeg(np.zeros((240, 320, 3), np.uint8), 80, 1280)) == (320, 240)


def test_a_jpeg_that_a_browser_would_turn_does_not_go_out_as_it_is():
    plain = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    turned = plain[:2] + b"\xff\xe1\x00\x10Exif\0\0" + b"\0" * 8 + plain[2:]
    assert is_plain_jpeg(plain)
    assert not is_plain_jpeg(turned)
    assert not is_plain_jpeg(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())


def test_segments_meet_the_picture_of_their_stamp():
    pairing, one, two = Pairing(), picture(), picture()
    pairing.add_picture(1, one, 0.0)
    pairing.add_picture(2, two, 0.05)
    assert pairing.take(0.06) is None
    pairing.add_segments(1, "first", 0.07)
    pair = pairing.take(0.08)
    assert (pair.picture, pair.segments, pair.segments_stamp_ns) == (one, "first", 1)
    assert pairing.take(0.09) is None


def test_segments_that_come_before_their_picture_meet_it_too():
    pairing, one = Pairing(), picture()
    pairing.add_segments(1, "first", 0.0)
    pairing.add_picture(1, one, 0.01)
    assert pairing.take(0.01).segments == "first" and pairing.take(0.02) is None


def test_a_picture_that_waited_is_forgotten_where_a_later_one_came_after_its_segments():
    pairing, one, two = Pairing(), picture(), picture()
    pairing.add_picture(1, one, 10.0)
    pairing.add_segments(2, "masks two", 10.01)
    pairing.add_picture(2, two, 10.02)
    assert pairing.take(10.02).picture is two
    # nobody looked for a while, then somebody does again
    assert pairing.take(10.02 + PATIENCE_S + 5.0) is None and pairing.wait_s(15.2) is None


def test_segments_that_are_said_once_more_show_their_picture_again():
    pairing, one = Pairing(), picture()
    pairing.add_picture(1, one, 0.0)
    pairing.add_segments(1, "first", 0.01)
    assert pairing.take(0.02).segments == "first"
    pairing.add_segments(1, "changed by a call", 5.0)
    pair = pairing.take(5.0)
    assert (pair.picture, pair.segments) == (one, "changed by a call") and pairing.take(5.1) is None
    pairing.add_picture(2, picture(), 5.2)
    pairing.add_segments(1, "too late", 5.21)  # a newer one waits
    assert pairing.take(5.21) is None


def test_segments_are_wanted_while_a_picture_waits_or_there_were_none_for_long():
    pairing = Pairing()
    assert pairing.wants_segments(0.0)
    pairing.add_segments(1, "first", 0.0)
    assert not pairing.wants_segments(0.01) and pairing.wants_segments(PATIENCE_S)
    pairing.add_picture(2, picture(), 0.02)
    assert pairing.wants_segments(0.02)


def test_the_newest_pair_wins_and_older_pictures_are_forgotten():
    pairing, pictures = Pairing(), [picture() for _ in range(4)]
    for stamp, one in enumerate(pictures):
        pairing.add_picture(stamp, one, 0.01 * stamp)
    pairing.add_segments(1, "one", 0.05)
    pairing.add_segments(3, "three", 0.06)
    assert pairing.take(0.07).picture is pictures[3]
    assert pairing.take(9.0) is None


def test_a_node_that_is_slower_than_the_eye_does_not_stop_the_pictures():
    pairing, one, two = Pairing(), picture(), picture()
    pairing.add_picture(1, one, 0.0)
    pairing.add_segments(1, "old", 0.02)
    assert pairing.take(0.02).segments == "old"
    pairing.add_picture(2, two, 0.1)
    assert pairing.take(0.15) is None
    later = 0.1 + PATIENCE_S
    assert 0 <= pairing.wait_s(0.15) <= PATIENCE_S
    pair = pairing.take(later)
    assert (pair.picture, pair.segments, pair.segments_stamp_ns) == (two, "old", 1)


def test_masks_that_are_too_old_are_left_out():
    pairing = Pairing()
    pairing.add_picture(1, picture(), 0.0)
    pairing.add_segments(1, "old", 0.0)
    pairing.take(0.0)
    pairing.add_picture(2, picture(), STALE_S)
    assert pairing.take(STALE_S + PATIENCE_S).segments is None


def test_pictures_that_nobody_answers_take_bounded_memory():
    pairing, size = Pairing(), MAX_WAITING_BYTES // 5
    for stamp in range(50):
        pairing.add_picture(stamp, picture(size), 0.001 * stamp)
    held = sum(len(message.data) for _, message in pairing._waiting.values())
    assert held <= MAX_WAITING_BYTES
    assert pairing.take(1.0).stamp_ns == 49


def test_a_story_that_starts_over_is_shown_on():
    pairing, again = Pairing(), picture()
    for stamp in (100, 101):
        pairing.add_picture(stamp, picture(), 0.0)
    pairing.add_segments(101, "end", 0.0)
    pairing.take(0.0)
    pairing.add_picture(5, again, 0.1)
    pairing.add_segments(5, "begin", 0.12)
    assert pairing.take(0.12).picture is again
