# SPDX-License-Identifier: Apache-2.0
"""model.yaml: every field is checked by type and range at load, in one line that names the file and the field."""

from __future__ import annotations

import os
import re
import resource
import time
from pathlib import Path

import pytest

from seem_ros.errors import PackageError
from seem_ros.runtime.package import DESCRIPTION, open_package, write_description

BOMB = "a0: &a0 [" + ",".join(["lol"] * 10) + "]\n"
BOMB += "".join(f"a{i}: &a{i} [" + ",".join([f"*a{i - 1}"] * 10) + "]\n" for i in range(1, 10))
# lines whose numbers change with every training
LOGIT_SCALE, PRESENCE = re.compile(r"logit_scale: [\d.]+"), re.compile(r"presence_lost: [\d.]+")
CASES = {
    "anchors bomb as a file name": ("image_encoder: image_encoder.onnx", "image_encoder: *a9", "alias"),
    "anchors bomb as rules": ("rules: joint", "rules: *a9", "alias"),
    "anchors bomb as format": ("format: 1", "format: *a9", "alias"),
    "objects is a number": ("objects: objects.onnx", "objects: 5", r"graphs\.\w+\.objects"),
    "objects is a list": ("objects: objects.onnx", "objects: [a]", r"graphs\.\w+\.objects"),
    "infinite input": ("- 288", "- .inf", "input height"),
    "divisor zero": ("size_divisor: 32", "size_divisor: 0", "size_divisor"),
    "infinite bucket": ("prompt_buckets:\n  - 1", "prompt_buckets:\n  - .inf", "prompt_buckets"),
    "infinite decoder key": ("      1: decoder_1.onnx", "      .inf: decoder_1.onnx", "decoders"),
    "a decoder too few": ("      1: decoder_1.onnx\n", "", "prompt_buckets"),
    "number of 5000 digits": ("format: 1", "format: " + "9" * 5000, "cannot be read"),
    "a date that is none": ("name: lite", "name: 2026-99-99", "cannot be read|must be a name"),
    "file name of 5000 letters": ("weights: weights.safetensors", "weights: " + "x" * 5000, "weights must be a name"),
    "a file outside": ("weights: weights.safetensors", "weights: ../weights.safetensors", "weights must be a name"),
    "half a width": ("token_dim: 128", "token_dim: 128.5", "token_dim must be a whole number"),
    "absurd length": ("text_length: 16", "text_length: 1000000000", "text_length must be a whole number in 1..4096"),
    "scale is a word": (LOGIT_SCALE, "logit_scale: x", "logit_scale"),
    "scale is NaN": (LOGIT_SCALE, "logit_scale: .nan", "logit_scale"),
    "scale is infinite": (LOGIT_SCALE, "logit_scale: .inf", "logit_scale"),
    "threshold is NaN": (PRESENCE, "presence_lost: .nan", "presence_lost"),
    "threshold is a word": (PRESENCE, "presence_lost: high", "presence_lost"),
    "unknown field": ("format: 1", "format: 1\ncolour: red", "unknown fields colour"),
    "unknown model field": ("  name: lite", "  name: lite\n  colour: red", "unknown model fields colour"),
    "name is a path": ("  name: lite", "  name: ../victim", "must be a name"),
    "truth value as a number": ("has_prior: true", "has_prior: 1", "has_prior must be true or false"),
    "vocabulary of numbers": ("vocabulary:\n  - name:", "vocabulary:\n  - 5\n  - name:", "vocabulary entry"),
    "deep nesting": ("format: 1", "format: " + "[" * 200 + "]" * 200, "nested|format"),
    "graphs of a name of 4000 letters": ("  fp32:\n", "  " + "x" * 4000 + ":\n", "cannot be read|a name of 4000"),
    "a list": ("format: 1", "- format: 1", "cannot be read|mapping"),
}


@pytest.fixture(scope="module")
def good(package) -> str:
    return (package.folder / DESCRIPTION).read_text()


def _write(folder: Path, text: str) -> None:
    (folder / DESCRIPTION).unlink()
    (folder / DESCRIPTION).write_text(text.rpartition("\ncheck: ")[0] + "\n" if "\ncheck: " in text else text)


@pytest.mark.parametrize("name", CASES)
def test_a_description_that_says_something_impossible_is_refused_at_load_in_one_line(name, good, linked_package):
    old, new, words = CASES[name]
    pattern = old if isinstance(old, re.Pattern) else re.compile(re.escape(old))
    text, changes = pattern.subn(lambda _: new, good, count=1)
    assert changes, f"the case {name!r} is about a text that is not there any more"
    _write(linked_package, BOMB + text if "*a9" in new else text)
    begin = time.process_time()
    with pytest.raises(PackageError, match=words) as caught:
        open_package(linked_package)
    message = str(caught.value)
    assert DESCRIPTION in message and "\n" not in message and len(message) < 700
    assert time.process_time() - begin < 2.0


def test_a_bomb_of_anchors_takes_no_memory(good, linked_package):
    _write(linked_package, BOMB + good)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PackageError, match="alias"):
        open_package(linked_package)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_description_carries_its_own_checksum(linked_package):
    path = linked_package / DESCRIPTION
    text = path.read_text()
    path.unlink()
    path.write_text(text)
    write_description(open_package(linked_package))
    text = path.read_text()
    open_package(linked_package)
    path.write_text(PRESENCE.sub("presence_lost: 0.2", text, count=1))
    with pytest.raises(PackageError, match="own checksum"):
        open_package(linked_package)
    path.write_text(path.read_text().rpartition("\ncheck: ")[0] + "\n")  # changed on purpose
    assert open_package(linked_package).spec.postprocess.presence_lost == 0.2


def test_the_built_in_package_carries_its_checksum(good):
    assert "\ncheck: " in good


def test_a_folder_of_links_into_one_folder_works_and_into_several_is_refused(package, tmp_path):
    links, other = tmp_path / "links", tmp_path / "other"
    links.mkdir()
    other.mkdir()
    for path in package.folder.iterdir():
        os.symlink(path, links / path.name)
    from seem_ros.runtime.backends.onnxruntime_backend import open_onnxruntime

    with open_onnxruntime(open_package(links), threads=1) as backend:
        assert len(backend.encode_text(["mug"])) == 1
    (links / package.weights).unlink()
    (other / package.weights).write_bytes(package.path(package.weights).read_bytes())
    os.symlink(other / package.weights, links / package.weights)
    with pytest.raises(PackageError, match="links into 2 folders"):
        open_package(links)
