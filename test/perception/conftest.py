# SPDX-License-Identifier: Apache-2.0
"""Makes the hand-written colour model importable for the tests of this folder."""

import pytest


@pytest.fixture
def backend():
    from colour_backend import ColourBackend

    return ColourBackend()


@pytest.fixture
def segmenter(backend):
    from seem_ros.perception.segmenter import Segmenter

    return Segmenter(backend)
