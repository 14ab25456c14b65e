# SPDX-License-Identifier: Apache-2.0
"""OpenVINO's compiled models are never those of other weights, its answers never those of the next picture."""
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from seem_ros.runtime.openvino_backend import has_bf16, open_openvino
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


def test_features_in_bf16_stay_as_they_are_when_other_pictures_are_encoded(package, stored):
    if not has_bf16():
        pytest.skip("this CPU computes no bf16")
    with open_openvino(package, precision="bf16", threads=1) as backend:
        features = backend.encode_image(stored.rgb)
        before = {name: np.array(array) for name, array in features.tensors.items()}
        for _ in range(3):
            backend.encode_image(np.ascontiguousarray(stored.rgb[::-1]))
        for name, array in features.tensors.items():
            np.testing.assert_array_equal(array, before[name], err_msg=name)
