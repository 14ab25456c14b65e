# SPDX-License-Identifier: Apache-2.0
"""Nothing that was cached is believed: what is damaged counts as none, and a cache out of order costs speed only."""

from __future__ import annotations

import errno
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from seem_ros.errors import BackendError, PackageError
from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.runtime.loader import load_backend
from seem_ros.runtime.package import find_package
from seem_ros.runtime.tensorrt.engine_cache import EngineCache, EngineKey
from seem_ros.runtime.text import CachedText
from seem_ros.sealed import default_cache_dir, read_sealed, write_sealed

SIZES = (8, 3, 2)
KEY = EngineKey("tensorrt", "10.3.0", "Orin", "8.7", "12060", "decoder_4.onnx", "ab" * 32, "fp16", "480x640")
NOWHERE = [Path("/proc/self/seem_ros"), Path("/dev/null/seem_ros"), Path("x" * 300)]


class Encoder:
    """Encodes by arithmetic and counts."""

    def __init__(self):
        self.calls = 0

    def __call__(self, ids, valid):
        self.calls += 1
        tokens = np.repeat(ids[..., None].astype(np.float32), SIZES[1], -1)
        return tokens, np.repeat(ids.sum(1, keepdims=True).astype(np.float32), SIZES[2], -1)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.load()


def _texts(tokenizer, folder, encoder=None, **more):
    return CachedText(tokenizer, SIZES, "a model", encoder or Encoder(), folder, **more)


def _flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]


def test_no_flipped_bit_and_no_cut_of_a_texts_file_is_believed_or_an_error(tmp_path, tokenizer):
    right = _texts(tokenizer, tmp_path)(["the red mug"])
    (path,) = tmp_path.rglob("*.text")
    good, rng = path.read_bytes(), random.Random(0)
    spoilt = [_flipped(good, at, rng.randrange(8)) for at in range(len(good))]
    spoilt += [good[:length] for length in range(0, len(good), 7)] + [good + b"x", b"", os.urandom(200)]
    for content in spoilt:
        path.write_bytes(content)
        encoder = Encoder()
        answer = _texts(tokenizer, tmp_path, encoder)(["the red mug"])
        assert encoder.calls == 1
        np.testing.assert_array_equal(answer.tokens, right.tokens)
        assert path.read_bytes() == good  # written again


@pytest.mark.parametrize(
    "numbers",
    [
        np.zeros(5, np.float32),
        np.full(26, np.nan, np.float32),
        np.full(26, np.inf, np.float32),
        np.zeros(0, np.float32),
        np.zeros(10**6, np.float32),
    ],
    ids=["too few", "NaN", "infinite", "none", "too many"],
)
def test_a_text_of_another_size_or_with_impossible_numbers_counts_as_none(tmp_path, tokenizer, numbers):
    _texts(tokenizer, tmp_path)(["mug"])
    (path,) = tmp_path.rglob("*.text")
    assert write_sealed(path, numbers.tobytes())
    encoder = Encoder()
    assert np.isfinite(_texts(tokenizer, tmp_path, encoder)(["mug"]).tokens).all() and encoder.calls == 1


def test_the_texts_on_disk_are_bounded_and_the_oldest_go_first(tmp_path, tokenizer):
    size = 4 * (SIZES[0] * SIZES[1] + SIZES[2])
    encoder = Encoder()
    texts = _texts(tokenizer, tmp_path, encoder, capacity=1, max_disk_bytes=40 * size)
    for number in range(100):
        texts([f"mug {number}"])
        path = max(tmp_path.rglob("*.text"), key=lambda p: p.stat().st_mtime_ns)
        os.utime(path, (number, number))
        assert sum(p.stat().st_size for p in tmp_path.rglob("*.text")) <= 44 * (size + 49)
    encoder.calls = 0
    texts(["mug 99", "mug 98"])
    assert encoder.calls == 0
    texts(["mug 0"])
    assert encoder.calls == 1


def test_a_text_that_is_used_stays_when_others_go(tmp_path, tokenizer):
    size = 4 * (SIZES[0] * SIZES[1] + SIZES[2])
    encoder = Encoder()
    for number in range(60):
        _texts(tokenizer, tmp_path, encoder, max_disk_bytes=40 * size)([f"mug {number}"])
        for path in tmp_path.rglob("*.text"):  # all that has been made or used till now is older than what comes
            os.utime(path, (path.stat().st_mtime - 100,) * 2)
        encoder.calls = 0
        _texts(tokenizer, tmp_path, encoder)(["mug 0"])
        assert encoder.calls == 0, number


def test_compiled_graphs_on_disk_are_bounded_and_those_in_use_stay(tmp_path, package, monkeypatch):
    pytest.importorskip("openvino")
    folder = tmp_path / "openvino"

    def opened(threads):
        load_backend(package, "openvino", precision="fp32", cache_dir=tmp_path, threads=threads, preload=True).close()
        return {path.name for path in folder.iterdir()}

    one = opened(1)
    size = sum(path.stat().st_size for path in folder.iterdir())
    (folder / "notes.md").write_text("not the cache's")
    two = opened(2) - one
    for age_s, names in ((300, one), (200, two)):
        for name in names - {"notes.md"}:
            os.utime(folder / name, (time.time() - age_s,) * 2)
    opened(1)  # from the cache, so that the other was used longer ago
    monkeypatch.setattr("seem_ros.runtime.backends.openvino_backend.MAX_COMPILED_BYTES", int(2.7 * size))
    left = opened(3)
    assert one < left and not two - {"notes.md"} & left and "notes.md" in left
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2.7 * size


def test_what_a_dead_process_left_is_cleared_and_nothing_else(tmp_path, tokenizer):
    folder = tmp_path / "text" / "a"
    folder.mkdir(parents=True)
    for name, age_s in ((".x.text.abc", 7200), (".y.text.abc", 60), ("notes.md", 7200)):
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time() - age_s,) * 2)
    _texts(tokenizer, tmp_path)(["mug"])
    assert sorted(p.name for p in folder.iterdir()) == [".y.text.abc", "notes.md"]


def test_a_full_disk_leaves_no_temporary_files(tmp_path, tokenizer, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert len(_texts(tokenizer, tmp_path)(["mug", "bowl"])) == 2
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("folder", NOWHERE, ids=lambda path: str(path)[:20])
def test_a_cache_that_cannot_be_written_costs_neither_a_text_nor_an_engine(folder, tokenizer):
    assert len(_texts(tokenizer, folder)(["mug"])) == 1
    cache = EngineCache(folder)
    for _ in range(2):
        assert cache.get_or_build(KEY, lambda: b"plan").plan == b"plan"
    cache.annotate(KEY, {"passed": True})
    cache.forget(KEY)
    assert cache.note(KEY) is None


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_cache_that_cannot_be_written_costs_no_backend_and_no_answer(package, stored, backend):
    pytest.importorskip(backend)
    with load_backend(package, backend, cache_dir="/dev/null/seem_ros", threads=1) as opened:
        features = opened.encode_image(stored.rgb, stored.content_hw)
        assert len(opened.decode(features, stored.prompts.select([0]))) == 1
        assert len(opened.encode_text(["mug"])) == 1


def test_no_flipped_bit_of_a_compiled_model_is_believed(package, stored, tmp_path):
    pytest.importorskip("openvino")

    def answer():
        with load_backend(package, "openvino", cache_dir=tmp_path, threads=1) as opened:
            return opened.decode(opened.encode_image(stored.rgb, stored.content_hw), stored.prompts).mask_logits

    right = answer()
    (path,) = tmp_path.rglob("*.blob")
    good, rng = path.read_bytes(), random.Random(1)
    inode = path.stat().st_ino
    np.testing.assert_array_equal(answer(), right)
    assert path.stat().st_ino == inode  # it was read, not made again
    for spoilt in (_flipped(good, rng.randrange(len(good)), 6), _flipped(good, 60, 0), good[: len(good) // 2], b""):
        path.write_bytes(spoilt)
        np.testing.assert_array_equal(answer(), right)
        assert read_sealed(path) is not None  # made again


def test_an_engines_note_with_a_flipped_bit_is_not_believed(tmp_path):
    cache = EngineCache(tmp_path)
    cache.get_or_build(KEY, lambda: b"plan")
    cache.annotate(KEY, {"passed": False, "gate": "0.11"})
    path = cache.folder / f"{KEY.digest}.json"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"false", b"true"))
    assert cache.note(KEY) is None
    for at in range(len(good)):
        path.write_bytes(_flipped(good, at, 0))
        assert cache.note(KEY) in (None, {"passed": False, "gate": "0.11"})
    path.write_bytes(good)
    assert cache.note(KEY) == {"passed": False, "gate": "0.11"}


def test_a_users_home_is_understood_and_an_unknown_users_is_refused(package, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with load_backend(package, "onnxruntime", cache_dir="~/kept", threads=1) as opened:
        opened.encode_text(["mug"])
    assert list((tmp_path / "kept" / "text").rglob("*.text")) and not Path("~").exists()
    with pytest.raises(BackendError, match="no_such_user"):
        load_backend(package, "onnxruntime", cache_dir="~no_such_user/kept")
    with pytest.raises(PackageError, match="no_such_user"):
        find_package("~no_such_user/model")
    with pytest.raises(PackageError, match="zero byte"):
        find_package("a\0b")
    monkeypatch.setenv("SEEM_ROS_CACHE", "~/mine")
    assert default_cache_dir() == tmp_path / "mine"
    monkeypatch.setenv("SEEM_ROS_CACHE", "~no_such_user/mine")
    with pytest.raises(BackendError, match="SEEM_ROS_CACHE"):
        default_cache_dir()
