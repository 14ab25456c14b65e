# SPDX-License-Identifier: Apache-2.0
"""OpenVINO's compiled models are kept, and never those of other weights or of another precision."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from seem_ros.errors import BackendError
from seem_ros.runtime.backends import openvino_backend
from seem_ros.runtime.backends.openvino_backend import has_bf16, open_openvino
from seem_ros.runtime.package import open_package, write_description

pytest.importorskip("openvino")


def _features(folder, cache, stored):
    with open_openvino(open_package(folder), threads=1, cache_dir=cache) as backend:
        return np.array(backend.encode_image(stored.rgb).tensors["image_sources_0"])


def test_new_weights_in_the_same_place_are_not_answered_with_old_ones(linked_package, tmp_path, stored):
    cache = tmp_path / "cache"
    before = _features(linked_package, cache, stored)
    again = _features(linked_package, cache, stored)
    np.testing.assert_allclose(again, before, atol=1e-5)
    weights = linked_package / "weights.safetensors"
    changed = {k: v * 0.5 if k.startswith("pixel_decoder") else v for k, v in load_file(weights).items()}
    header = weights.read_bytes()[:8]
    weights.unlink()
    save_file(changed, weights)
    assert weights.read_bytes()[:8] == header  # the graphs name byte ranges
    write_description(open_package(linked_package, verify=False))
    assert np.abs(_features(linked_package, cache, stored) - before).max() > 0.1


def test_bf16_after_fp32_with_one_cache_is_only_rounded(package, tmp_path, stored):
    if not has_bf16():
        pytest.skip("this CPU computes no bf16")
    found = []
    for precision in ("fp32", "bf16", "bf16"):
        with open_openvino(package, precision=precision, threads=1, cache_dir=tmp_path) as backend:
            found.append(np.array(backend.encode_image(stored.rgb).tensors["image_sources_0"]))
    assert 0 < np.abs(found[1] - found[0]).mean() < 0.02 * found[0].std()
    np.testing.assert_allclose(found[2], found[1], atol=1e-5)


def test_bf16_that_openvino_would_emulate_is_not_taken_for_the_cpus_own(package, monkeypatch):
    monkeypatch.setattr(openvino_backend, "_capabilities", lambda *_: ["BF16", "FP32", "INT8"])  # as with AVX-512 alone
    for flags, own in (("avx512f avx512_vnni", False), ("avx512f avx512_bf16", True), ("asimd bf16", True), ("", True)):
        monkeypatch.setattr(openvino_backend, "_processor_flags", lambda flags=flags: flags)
        assert has_bf16() == own, flags
    monkeypatch.setattr(openvino_backend, "_processor_flags", lambda: "avx512f avx512_vnni")
    with pytest.raises(BackendError, match="cannot compute in bf16"):
        open_openvino(package, precision="bf16")


RESIDENT_OF_THE_COMPILED_MODEL = """
import re, sys
from pathlib import Path
import numpy as np
from seem_ros.runtime.backends.openvino_backend import open_openvino
from seem_ros.runtime.package import open_package

with open_openvino(open_package(sys.argv[1]), threads=1, cache_dir=Path(sys.argv[2])) as backend:
    for _ in range(2):
        backend.encode_image(np.full((*backend.spec.input_hw, 3), 90, np.uint8))
    maps = Path("/proc/self/smaps").read_text()
found = re.findall(r"[.]blob$.*?^Rss: +([0-9]+) kB", maps, re.M | re.S)
print(sum(map(int, found)) << 10 if found else -1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_compiled_model_from_the_cache_does_not_hold_its_weights_twice(package, tmp_path):
    words = ["stat", "-f", "-c", "%T", str(tmp_path)]
    if subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() in ("tmpfs", "ramfs"):
        pytest.skip("files of this folder are memory themselves")

    def resident_bytes():
        words = [sys.executable, "-c", RESIDENT_OF_THE_COMPILED_MODEL, str(package.folder), str(tmp_path)]
        return int(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout)

    assert resident_bytes() == -1  # it was made
    (path,) = tmp_path.rglob("*.blob")
    assert 0 <= resident_bytes() < 0.5 * path.stat().st_size


FREED_AT_REST = """
import ctypes, sys
from pathlib import Path
import numpy as np
from seem_ros.runtime.backends.openvino_backend import open_openvino
from seem_ros.runtime.package import open_package


def resident_bytes():
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


with open_openvino(open_package(sys.argv[1]), threads=1) as backend:
    def encoded():
        found = backend.encode_image(np.full((*backend.spec.input_hw, 3), 90, np.uint8))
        return {name: np.array(value) for name, value in found.tensors.items()}

    first = encoded()
    before = resident_bytes()
    backend.rest()
    print(before - resident_bytes())
    assert all(np.array_equal(value, first[name]) for name, value in encoded().items())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_backend_at_rest_gives_back_what_it_computes_in_and_computes_the_same_after_it(package):
    words = [sys.executable, "-c", FREED_AT_REST, str(package.folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5e6  # of about 14 MB
