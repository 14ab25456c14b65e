# SPDX-License-Identifier: Apache-2.0
"""A checkpoint comes over a bad network once, whole, and is what the hub says it is."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest
from local_hub import LocalHub

from seem_ros.errors import CheckpointError
from seem_ros.export.official import find_checkpoint
from seem_ros.runtime.official import download
from seem_ros.runtime.official.names import REPOSITORY

NAME = "seem_focalt_v1.pt"
CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    made = LocalHub(f"{REPOSITORY}/resolve/main/{NAME}", CONTENT)
    monkeypatch.setenv("HF_ENDPOINT", made.address)
    monkeypatch.setenv("SEEM_ROS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.01))
    yield made
    made.close()


def fetch(tmp_path, said=None):
    return download.fetch(REPOSITORY, NAME, tmp_path / "weights", [].append if said is None else said.append)


def parts(tmp_path):
    return list((tmp_path / "weights").glob(".*.part"))


def test_it_goes_on_where_the_connection_broke_off_and_says_how_far_it_is(hub, tmp_path):
    hub.break_after, said = [1_000_000, 0, 500_000, None], []
    assert fetch(tmp_path, said).read_bytes() == CONTENT
    assert hub.ranges == [0, 1_000_000, 1_000_000, 1_500_000]
    assert hub.sent_bytes == len(CONTENT)  # nothing came twice
    assert any(f"fetching {NAME}: " in line and "% of 3 MB" in line for line in said)
    assert any("going on" in line for line in said) and said[-1] == f"checking {NAME}"
    assert not parts(tmp_path)


def test_what_a_process_had_fetched_when_it_ended_is_not_fetched_again_by_the_next(hub, tmp_path):
    hub.break_after = [2_000_000, 0, 0, 0]
    with pytest.raises(CheckpointError, match="broke off"):
        fetch(tmp_path)
    assert not (tmp_path / "weights" / NAME).exists()
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert hub.ranges[-1] == 2_000_000 and hub.sent_bytes == len(CONTENT)


def test_a_hub_that_cannot_go_on_in_the_middle_begins_anew(hub, tmp_path):
    hub.knows_ranges, hub.break_after = False, [1_000_000]
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert hub.ranges == [0, 0]


def test_what_does_not_have_the_hubs_sha256_is_thrown_away_and_the_next_try_may_do(hub, tmp_path):
    right, hub.content = hub.content, hub.content[:-1] + bytes([hub.content[-1] ^ 1])
    with pytest.raises(CheckpointError, match=r"what came has sha256 .*, the hub says .*; it was thrown away"):
        fetch(tmp_path)
    assert not parts(tmp_path) and not (tmp_path / "weights" / NAME).exists()
    hub.content = right
    assert fetch(tmp_path).read_bytes() == CONTENT


def test_more_than_the_hub_named_is_not_written(hub, tmp_path):
    hub.content, hub.named_bytes = CONTENT + b"more", len(CONTENT)
    with pytest.raises(CheckpointError, match="more than the 3000000 bytes"):
        fetch(tmp_path)
    assert not (tmp_path / "weights" / NAME).exists()


@pytest.mark.parametrize("digest", [None, "", "no digest"])
def test_a_hub_that_names_no_sha256_is_not_believed(hub, tmp_path, digest):
    hub.digest = digest
    with pytest.raises(CheckpointError, match="names no size and sha256"):
        fetch(tmp_path)
    assert hub.ranges == []


def test_two_at_once_fetch_it_once(hub, tmp_path):
    hub.gate.clear()
    said: list[str] = []
    both = [threading.Thread(target=fetch, args=(tmp_path, said)) for _ in range(2)]
    for one in both:
        one.start()
    end = threading.Event()
    while not any("another process fetches" in line for line in said):
        assert not end.wait(0.01)
    hub.gate.set()
    for one in both:
        one.join(20)
    assert (tmp_path / "weights" / NAME).read_bytes() == CONTENT and hub.ranges == [0]


def test_where_there_is_no_room_nothing_is_begun(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    with pytest.raises(CheckpointError, match="has room for 1 MB, and 3 MB are to come"):
        fetch(tmp_path)
    assert hub.ranges == []


def nobody():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("endpoint", "words"), [("nobody", "refused"), ("file:///etc", "must begin with http"), ("other", "404")]
)
def test_what_cannot_be_fetched_is_told_with_what_to_put_where(hub, tmp_path, monkeypatch, endpoint, words):
    hub.path = "/another/resolve/main/file"
    address = {"nobody": nobody(), "other": hub.address}.get(endpoint, endpoint)
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(CheckpointError) as caught:
        find_checkpoint("focalt_v1", [].append)
    message = str(caught.value)
    assert words in message and f"{REPOSITORY}/resolve/main/{NAME}" in message and str(tmp_path / "weights") in message


def test_a_file_that_was_brought_by_hand_is_taken_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEM_ROS_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", nobody())
    (tmp_path / "seem_focalt_v0.pt").write_bytes(b"weights")
    assert find_checkpoint("focalt_demo", [].append) == tmp_path / "seem_focalt_v0.pt"
