# SPDX-License-Identifier: Apache-2.0
"""What keeps a demo away from robots on the same network, on each distribution, and lets its pictures through."""

import os
from pathlib import Path

import pytest

from seem_ros.ros.discovery import let_large_images_through, stay_on_this_machine

DISTRO = os.environ.get("ROS_DISTRO", "")  # as `scripts/env.sh` or a setup.bash says it
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
NAMES = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY", "ROS_DISTRO", *PROFILES)


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that it is put back, also where it was not set
        monkeypatch.delenv(name)


def chosen():
    return [os.environ.get(name) for name in NAMES[:3]]


def test_a_demo_has_a_domain_of_its_own_on_this_machine():
    stay_on_this_machine(142)
    assert chosen() == ["142", "LOCALHOST", None]


def test_on_humble_the_older_switch_is_used_too(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "humble")
    stay_on_this_machine(142)
    assert chosen() == ["142", "LOCALHOST", "1"]


def test_what_the_user_has_chosen_is_left_where_it_may_be(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    stay_on_this_machine(142, insist=False)
    assert chosen() == ["7", "SUBNET", None]
    stay_on_this_machine(142)
    assert chosen() == ["142", "LOCALHOST", None]


def test_the_fast_dds_that_is_installed_reads_the_profile(monkeypatch):
    folders = [Path(prefix) / "lib" for prefix in os.environ["AMENT_PREFIX_PATH"].split(":")]
    libraries = [path for folder in folders for path in (*folder.glob("libfastdds.so"), *folder.glob("libfastrtps.so"))]
    if not libraries:
        pytest.skip("Fast DDS is not installed")
    monkeypatch.setenv("ROS_DISTRO", DISTRO)
    let_large_images_through()
    assert any(os.environ.get(name) and name.encode() in libraries[0].read_bytes() for name in PROFILES)


def test_a_demo_makes_room_for_pictures_unless_the_user_has_chosen_a_profile(monkeypatch):
    let_large_images_through()
    assert "segment_size" in Path(os.environ[PROFILES[0]]).read_text()
    monkeypatch.setenv(PROFILES[0], "mine.xml")
    let_large_images_through()
    assert os.environ[PROFILES[0]] == "mine.xml"
