# SPDX-License-Identifier: Apache-2.0
"""The model that the node's parameters ask for, in the precision that this machine computes fastest."""

from __future__ import annotations

import logging
from typing import Any

import cv2

from seem_ros.errors import SeemError
from seem_ros.files import expanded
from seem_ros.perception.segmenter import Segmenter
from seem_ros.ros.parameters import Settings
from seem_ros.runtime.loader import fastest_cpu_precision, load_backend
from seem_ros.runtime.official.preparation import prepared_package

_log = logging.getLogger(__name__)


def load_segmenter(settings: Settings) -> Segmenter:
    """The model that the parameters ask for.

    Raises:
        SeemError: It cannot be found or run.
    """
    options: dict[str, Any] = {"cache_dir": expanded(settings.cache_dir, "cache_dir")} if settings.cache_dir else {}
    package = prepared_package(settings.model, _log.info, **options)
    if settings.threads:
        cv2.setNumThreads(settings.threads)

    def load(precision: str | None) -> Segmenter:
        backend = load_backend(package, settings.backend, precision=precision, threads=settings.threads, **options)
        return Segmenter(backend, settings.segmenter_config())

    if settings.precision != "auto":
        return load(settings.precision)
    faster = fastest_cpu_precision(package, settings.backend, threads=settings.threads, **options)
    if faster is not None:
        try:
            return load(faster)
        except SeemError:
            pass  # with the default the next backend has its turn
    return load(None)
