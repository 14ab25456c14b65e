# SPDX-License-Identifier: Apache-2.0
"""Engines are kept, found again, shared by processes, and never trusted when anything is off."""

import multiprocessing
import os
import time
from dataclasses import fields, replace

import pytest

from seem_ros.runtime.tensorrt.engine_cache import EngineCache, EngineKey, write_atomically

KEY = EngineKey("tensorrt", "10.3.0", "Orin", "8.7", "12060", "decoder_4.onnx", "ab" * 32, "fp16", "480x640")


def _build():
    return b"plan" * 100


def _never():
    raise AssertionError("was built again")


def test_an_engine_is_built_once(tmp_path):
    assert EngineCache(tmp_path).get_or_build(KEY, _build).built
    again = EngineCache(tmp_path).get_or_build(KEY, _never)
    assert not again.built and again.plan == _build()


@pytest.mark.parametrize("name", [f.name for f in fields(EngineKey)])
def test_any_difference_is_another_engine(tmp_path, name):
    cache = EngineCache(tmp_path)
    cache.get_or_build(KEY, _build)
    assert cache.find(replace(KEY, **{name: "other"})) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plan, note: plan.write_bytes(plan.read_bytes()[:-1]),
        lambda plan, note: plan.write_bytes(b"x" + plan.read_bytes()[1:]),
        lambda plan, note: plan.unlink(),
        lambda plan, note: note.unlink(),
        lambda plan, note: note.write_text("{"),
        lambda plan, note: note.write_text("[]"),
        lambda plan, note: note.write_text(note.read_text().replace("10.3.0", "10.4.0")),
    ],
    ids=["truncated", "altered", "no plan", "no note", "half a note", "foreign note", "stale"],
)
def test_a_spoilt_engine_is_rebuilt(tmp_path, spoil):
    cache = EngineCache(tmp_path)
    cache.get_or_build(KEY, _build)
    spoil(cache.folder / f"{KEY.digest}.plan", cache.folder / f"{KEY.digest}.json")
    assert cache.get_or_build(KEY, _build).built
    assert cache.find(KEY).plan == _build()


def test_what_was_learned_about_an_engine_is_kept(tmp_path):
    cache = EngineCache(tmp_path)
    cache.get_or_build(KEY, _build)
    cache.annotate(KEY, {"passed": True})
    assert cache.find(KEY).note == cache.note(KEY) == {"passed": True}
    cache.forget(KEY)
    cache.annotate(KEY, {"passed": True})
    assert cache.find(KEY) is None and cache.note(KEY) is None


def test_engines_on_disk_are_bounded_and_those_unused_for_longest_go_first(tmp_path):
    cache = EngineCache(tmp_path, max_bytes=4 * len(_build()))
    keys = [replace(KEY, driver=str(number)) for number in range(5)]
    for age_s, key in zip((400, 300, 200, 100), keys, strict=False):
        cache.get_or_build(key, _build)
        os.utime(cache.folder / f"{key.digest}.plan", (time.time() - age_s,) * 2)
    assert cache.find(keys[0]).plan == _build()  # used just now
    cache.get_or_build(keys[4], _build)
    assert [cache.find(key) is not None for key in keys] == [True, False, False, True, True]
    assert sorted(path.stem for path in cache.folder.glob("*.json")) == sorted(keys[n].digest for n in (0, 3, 4))


def test_an_engine_larger_than_all_may_be_is_kept_alone(tmp_path):
    cache = EngineCache(tmp_path, max_bytes=10)
    other = replace(KEY, driver="other")
    for key in (other, KEY):
        cache.get_or_build(key, _build)
    assert cache.find(KEY) is not None and cache.find(other) is None


def test_a_build_that_fails_leaves_nothing(tmp_path):
    cache = EngineCache(tmp_path)

    def fail():
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError):
        cache.get_or_build(KEY, fail)
    assert cache.find(KEY) is None
    assert not list(cache.folder.glob("*.plan"))


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def _slow_build(folder, counter, start):
    def build():
        with counter.get_lock():
            counter.value += 1
        time.sleep(0.3)
        return _build()

    start.wait()
    assert EngineCache(folder).get_or_build(KEY, build).plan == _build()


def test_two_nodes_that_start_at_once_build_one_engine(tmp_path):
    context = multiprocessing.get_context("fork")
    counter, start = context.Value("i", 0), context.Barrier(2)
    nodes = [context.Process(target=_slow_build, args=(tmp_path, counter, start)) for _ in range(2)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join(30)
    assert [node.exitcode for node in nodes] == [0, 0] and counter.value == 1
