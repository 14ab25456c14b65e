# SPDX-License-Identifier: Apache-2.0
"""A session of the node over the colour model, without a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from colour_backend import ColourBackend

from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.tracking.target import IdAllocator
from seem_ros.ros.camera.pipeline import CameraPipeline
from seem_ros.ros.monitoring.statistics import Statistics
from seem_ros.ros.parameters import Settings
from seem_ros.ros.session import Running
from seem_ros.ros.transforms.buffer import TransformBuffer


@contextmanager
def colour_session() -> Iterator[Running]:
    """A session that nobody publishes for, closed at the end."""

    def camera(name: str, segmenter: Segmenter) -> CameraPipeline:
        return CameraPipeline(
            name, segmenter, IdAllocator(), None, Settings(), Statistics(), None, lambda: None, TransformBuffer()
        )

    made = Running(lambda settings: Segmenter(ColourBackend()), camera, Settings(), print)
    yield made
    assert made.close()
