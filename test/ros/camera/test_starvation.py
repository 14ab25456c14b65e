# SPDX-License-Identifier: Apache-2.0
"""Large best-effort pictures that get lost are noticed, and a camera that is only slow is not."""

import pytest

from seem_ros.ros.camera.starvation import LARGE_BYTES, StarvationWatch

HZ_NS = 1_000_000_000


def warned_at(rate_hz, kept, size=LARGE_BYTES, seconds=20):
    """Seconds after which it warns, or None; ``kept``: which of the pictures arrive."""
    watch = StarvationWatch()
    for index in range(seconds * rate_hz):
        if kept(index) and watch.note(10 * HZ_NS + index * HZ_NS // rate_hz, size, index / rate_hz):
            return index / rate_hz
    return None


def test_pictures_that_arrive_once_a_second_of_fifteen_are_noticed_after_five_seconds_of_it():
    assert warned_at(15, lambda index: index < 5 or index % 15 == 0) == pytest.approx(8, abs=3)


@pytest.mark.parametrize(
    ("kept", "size"),
    [
        (lambda index: True, LARGE_BYTES),
        (lambda index: index % 2 == 0, LARGE_BYTES),
        (lambda index: index < 5 or index % 15 == 0, LARGE_BYTES // 2),
        (lambda index: not 60 < index < 120, LARGE_BYTES),
    ],
    ids=["all arrive", "every second one", "small pictures", "a pause"],
)
def test_other_gaps_are_not_taken_for_it(kept, size):
    assert warned_at(15, kept, size) is None


def test_a_camera_without_stamps_is_not_judged():
    watch = StarvationWatch()
    assert not any(watch.note(0, LARGE_BYTES, second * 0.5) for second in range(60))
