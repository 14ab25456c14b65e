# SPDX-License-Identifier: Apache-2.0
"""One set of tests for every backend that is present: equal answers, independence of prompts, any number of them."""

import importlib.util
from dataclasses import fields

import numpy as np
import pytest

from seem_ros.errors import BackendError, PromptError
from seem_ros.runtime.batches import DecodeBatch, PromptBatch
from seem_ros.runtime.parity_gate import answer, compare

CPU_BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}"))
    for name in ("onnxruntime", "openvino", "torch")
] + [
    pytest.param(
        "tensorrt_rtx, emulated",
        marks=pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="no tensorrt_rtx"),
    )
]
pytestmark = pytest.mark.parametrize("name", CPU_BACKENDS)
ATOL = 2e-3  # mask logits, specification section 19; everything else is smaller


@pytest.fixture(scope="module")
def reference(open_backend, stored):
    """ONNX Runtime's answers."""
    return answer(open_backend("onnxruntime"), stored)


def test_answers_equal_onnx_runtimes(name, open_backend, stored, reference):
    found = answer(open_backend(name), stored)
    for batch, own in ((reference.decoded, found.decoded), (reference.text, found.text)):
        for field in fields(batch):
            np.testing.assert_allclose(
                getattr(own, field.name), getattr(batch, field.name), atol=ATOL, rtol=1e-3, err_msg=field.name
            )
    # Of the many object queries a few may meet a mask logit that is nearly zero: rounding then flips what they see.
    apart = np.abs(found.objects.mask_logits - reference.objects.mask_logits).max((1, 2))
    assert np.median(apart) < 2 * ATOL and np.mean(apart < 1e-2) >= 0.75 and apart.max() < 1, apart
    result = compare(reference, found, "fp32")
    assert result.passed, result.message


def test_a_prompt_does_not_feel_its_neighbours(name, open_backend, stored, with_text):
    backend = open_backend(name)
    features = backend.encode_image(stored.rgb, stored.content_hw)
    prompts = with_text(backend)
    together = backend.decode(features, prompts)
    for order in ([3, 1, 0, 2], [2]):
        found = backend.decode(features, prompts.select(order))
        np.testing.assert_allclose(found.mask_logits, together.mask_logits[order], atol=ATOL)
        assert found.selected.tolist() == together.selected[order].tolist()


def test_more_prompts_than_the_largest_graph_are_split(name, open_backend, stored, with_text):
    backend = open_backend(name)
    features = backend.encode_image(stored.rgb, stored.content_hw)
    prompts = with_text(backend)
    order = [i % 4 for i in range(19)]
    many = backend.decode(features, prompts.select(order))
    few = backend.decode(features, prompts)
    assert len(many) == 19
    np.testing.assert_allclose(many.mask_logits, few.mask_logits[order], atol=ATOL)


def test_no_prompts_give_no_answers(name, open_backend, stored):
    backend = open_backend(name)
    features = backend.encode_image(stored.rgb)
    found = backend.decode(features, PromptBatch.empty(backend.spec, 0))
    assert isinstance(found, DecodeBatch) and len(found) == 0


def test_more_points_than_slots_are_read_all_and_not_refused(name, open_backend, stored):
    backend = open_backend(name)
    features = backend.encode_image(stored.rgb)
    count = 2 * backend.spec.max_points + 3
    prompts = PromptBatch.empty(backend.spec, 1, points=count)
    prompts.points_xy[0] = np.random.default_rng(0).uniform(0.2, 0.8, (count, 2))
    prompts.points_label[0] = 1
    found = backend.decode(features, prompts)
    assert found.sampled_tokens.shape[1] == count
    for i in (0, count - 1):  # every point reads what it would read alone
        alone = PromptBatch.empty(backend.spec, 1, points=1)
        alone.points_xy[0, 0], alone.points_label[0, 0] = prompts.points_xy[0, i], 1
        np.testing.assert_allclose(
            found.sampled_tokens[0, i], backend.decode(features, alone).sampled_tokens[0, 0], atol=1e-3
        )


def test_sampled_tokens_stay_where_the_points_were(name, open_backend, stored):
    backend = open_backend(name)
    features = backend.encode_image(stored.rgb)
    dense = PromptBatch.empty(backend.spec, 1, points=2)
    dense.points_xy[0], dense.points_label[0] = [[0.2, 0.3], [0.7, 0.6]], (1, -1)
    loose = PromptBatch.empty(backend.spec, 1, points=6)
    loose.points_xy[0, [1, 4]], loose.points_label[0, [1, 4]] = dense.points_xy[0], (1, -1)
    a, b = backend.decode(features, dense), backend.decode(features, loose)
    np.testing.assert_allclose(b.sampled_tokens[0, [1, 4]], a.sampled_tokens[0], atol=1e-3)
    np.testing.assert_allclose(b.mask_logits, a.mask_logits, atol=ATOL)


def test_padding_of_the_picture_does_not_matter(name, open_backend, stored):
    backend = open_backend(name)
    height, width = backend.spec.input_hw
    prompts = PromptBatch.empty(backend.spec, 1)
    prompts.points_xy[0, 0], prompts.points_label[0, 0] = 0.4, 1
    noisy = stored.rgb.copy()
    noisy[height - 16 :] = 255
    clean = stored.rgb.copy()
    clean[height - 16 :] = 0
    a, b = (backend.decode(backend.encode_image(p, (height - 16, width)), prompts) for p in (noisy, clean))
    np.testing.assert_array_equal(a.mask_logits, b.mask_logits)


def test_a_picture_can_be_asked_after_the_next_one_was_encoded(name, open_backend, stored, with_text):
    backend = open_backend(name)
    prompts = with_text(backend)
    first = backend.encode_image(stored.rgb)
    before = backend.decode(first, prompts)
    backend.encode_image(np.ascontiguousarray(stored.rgb[::-1]))
    np.testing.assert_array_equal(backend.decode(first, prompts).mask_logits, before.mask_logits)


def test_features_of_another_backend_are_refused(name, open_backend, stored, package):
    from seem_ros.runtime.backends.onnxruntime_backend import open_onnxruntime

    with open_onnxruntime(package) as other:
        features = other.encode_image(stored.rgb)
    with pytest.raises(BackendError, match="encode again"):
        open_backend(name).decode(features, PromptBatch.empty(package.spec, 1))


def test_text_that_does_not_fit_is_refused(name, open_backend):
    backend = open_backend(name)
    with pytest.raises(PromptError, match="tokens"):
        backend.encode_text(["mug " * 100])
    with pytest.raises(PromptError, match="empty"):
        backend.encode_text([" "])


def test_status_names_what_serves(name, open_backend):
    status = open_backend(name).status
    assert (status.backend, status.precision, status.degraded) == (name.split(",")[0], "fp32", False)
    assert status.message.split(";")[0] == "ready"


def test_a_closed_backend_says_so(name, open_new, stored):
    backend = open_new(name)
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.encode_image(stored.rgb)
