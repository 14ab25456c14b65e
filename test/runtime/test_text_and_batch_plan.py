# SPDX-License-Identifier: Apache-2.0
"""Texts are encoded once; prompts are spread over the graphs that exist."""

from functools import cache

import numpy as np
import pytest

from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.runtime.batch_plan import plan_at_once, plan_calls, spans
from seem_ros.runtime.text import CachedText


class Counter:
    """Encodes by arithmetic and counts."""

    def __init__(self):
        self.calls = 0

    def __call__(self, ids, valid):
        self.calls += 1
        return ids[..., None].astype(np.float32), ids.sum(1, keepdims=True).astype(np.float32)


@cache
def _tokenizer():
    return Tokenizer.load()


def _texts(count, folder, identity="a", capacity=8):
    return CachedText(_tokenizer(), (8, 1, 1), identity, count, folder, capacity)


def test_a_text_is_encoded_once_and_kept_on_disk(tmp_path):
    count = Counter()
    first = _texts(count, tmp_path)
    a = first(["red mug", "bowl", "red mug"])
    assert count.calls == 2 and len(a) == 3
    again = _texts(count, tmp_path)(["red mug"])
    assert count.calls == 2
    np.testing.assert_array_equal(again.tokens[0], a.tokens[0])


def test_another_model_does_not_read_this_models_texts(tmp_path):
    count = Counter()
    _texts(count, tmp_path)(["mug"])
    _texts(count, tmp_path, "b")(["mug"])
    assert count.calls == 2


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_a_damaged_entry_is_written_again(tmp_path, content):
    count = Counter()
    _texts(count, tmp_path)(["mug"])
    for path in tmp_path.rglob("*.text"):
        path.write_bytes(content)
    _texts(count, tmp_path)(["mug"])
    _texts(count, tmp_path)(["mug"])
    assert count.calls == 2


def test_memory_is_bounded():
    count = Counter()
    texts = _texts(count, None, capacity=2)
    for word in ("mug", "bowl", "plate", "mug"):
        texts([word])
    assert count.calls == 4


def test_a_disk_that_cannot_be_written_costs_speed_only(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert len(_texts(Counter(), blocked)(["mug"])) == 1


@pytest.mark.parametrize(
    ("count", "calls"),
    [
        (0, ()),
        (1, (1,)),
        (2, (1, 1)),
        (3, (4,)),
        (4, (4,)),
        (5, (4, 1)),
        (8, (4, 4)),
        (14, (16,)),
        (16, (16,)),
        (17, (16, 1)),
        (37, (16, 16, 4, 1)),
    ],
)
def test_prompts_are_spread_so_that_little_is_padded(count, calls):
    assert plan_calls(count, (1, 4, 16)) == calls


@pytest.mark.parametrize(
    ("count", "at_once", "plans"),
    [
        (0, 2, ()),
        (1, 2, ((1,),)),
        (2, 2, ((1,), (1,))),
        (3, 2, ((2,), (1,))),
        (4, 2, ((2,), (2,))),
        (4, 1, ((4,),)),
        (5, 2, ((4,), (2,))),
        (16, 2, ((8,), (8,))),
        (16, 4, ((4,), (4,), (4,), (4,))),
        (3, 8, ((1,), (1,), (1,))),
    ],
)
def test_workers_share_prompts_so_that_the_last_is_done_soonest(count, at_once, plans):
    assert plan_at_once(count, (1, 2, 4, 8, 16), at_once) == plans


def test_a_worker_more_is_not_used_where_it_does_not_help():
    assert plan_at_once(4, (4,), 4) == ((4,),)


def test_every_prompt_is_in_one_call():
    for count in range(60):
        found = spans(count, plan_calls(count, (1, 4, 16)))
        assert [i for start, stop, _ in found for i in range(start, stop)] == list(range(count))
        assert all(stop - start <= bucket for start, stop, bucket in found)
