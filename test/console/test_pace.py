# SPDX-License-Identifier: Apache-2.0
"""How fast pictures go out, and what the kernel's accounts say."""

import pytest

from seem_ros.console.pictures.pace import MAX_SHARE, Idleness, Pace


def pace(idle, spent_s, max_rate_hz=20.0):
    readings = iter(spent_s)
    return Pace(max_rate_hz, idle=lambda: idle, spent_s=lambda: next(readings))


def test_pictures_go_out_as_fast_as_allowed_while_processors_idle():
    made = pace(idle=0.5, spent_s=[0.0, 1.0])
    made.shown()
    assert made.wait_s() <= 1 / 20


def test_where_processors_are_full_all_that_was_spent_on_a_picture_delays_the_next():
    made = pace(idle=0.0, spent_s=[7.0, 7.03, 7.031])
    made.shown()
    assert 0.8 * 0.03 / MAX_SHARE < made.wait_s() <= 0.03 / MAX_SHARE
    made.shown()  # a cheap one: the usual pace again, after the delay
    assert made.wait_s() <= 0.03 / MAX_SHARE + 1 / 20


def test_a_page_that_was_costly_to_open_does_not_stand_still():
    made = pace(idle=0.0, spent_s=[0.0, 5.0])
    made.shown()
    assert made.wait_s() <= 0.5


def test_the_idle_part_is_that_between_two_looks(tmp_path):
    accounts = tmp_path / "stat"
    accounts.write_text("cpu  100 0 100 1000 50 0 0 0 0 0\ncpu0 ...\n")
    idleness = Idleness(accounts, every_s=0.0)
    accounts.write_text("cpu  130 0 110 1050 60 0 0 0 0 0\ncpu0 ...\n")
    assert idleness.share() == pytest.approx(0.6)  # waiting for a disk is idle, too
    accounts.write_text("cpu  230 0 110 1050 60 0 0 0 0 0\ncpu0 ...\n")
    assert idleness.share() == 0.0


@pytest.mark.parametrize("text", [None, "", "cpu  a b", "cpu  1 2"])
def test_without_accounts_a_machine_counts_as_idle(tmp_path, text):
    accounts = tmp_path / "stat"
    if text is not None:
        accounts.write_text(text)
    assert Idleness(accounts, every_s=0.0).share() == 1.0


def test_the_kernels_own_accounts_are_read():
    assert 0.0 <= Idleness(every_s=0.0).share() <= 1.0
