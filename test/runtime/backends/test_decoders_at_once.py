# SPDX-License-Identifier: Apache-2.0
"""Prompts answered in parts at the same time are answered as they are together."""

import threading

import numpy as np
import pytest

from seem_ros.errors import BackendError
from seem_ros.runtime.backends.onnxruntime_backend import open_onnxruntime


@pytest.fixture(scope="module")
def backend(package):
    opened = open_onnxruntime(package, threads=2)
    yield opened
    opened.close()


@pytest.fixture
def asked(backend, stored, with_text):
    features = backend.encode_image(stored.rgb, stored.content_hw)
    return features, with_text(backend).select([0, 1, 2, 3] * 4)


def test_the_answers_are_those_of_one_worker(backend, package, asked, stored, with_text):
    features, prompts = asked
    alone = open_onnxruntime(package, threads=1)
    expected = alone.decode(alone.encode_image(stored.rgb, stored.content_hw), prompts)
    found = backend.decode(features, prompts)
    np.testing.assert_allclose(found.mask_logits, expected.mask_logits, atol=2e-3)
    assert found.selected.tolist() == expected.selected.tolist()
    alone.close()


def test_a_failure_beside_the_callers_thread_reaches_the_caller_and_the_next_call_is_answered(
    backend, asked, monkeypatch
):
    features, prompts = asked
    before = backend.decode(features, prompts)
    session = type(next(iter(backend._sessions.values())))
    run, threads = session.run, set()

    def failing(self, feeds):
        threads.add(threading.current_thread())
        if threading.current_thread() is not threading.main_thread():
            raise BackendError("out of memory")
        return run(self, feeds)

    monkeypatch.setattr(session, "run", failing)
    with pytest.raises(BackendError, match="out of memory"):
        backend.decode(features, prompts)
    assert len(threads) == 2
    monkeypatch.undo()
    np.testing.assert_array_equal(backend.decode(features, prompts).mask_logits, before.mask_logits)
