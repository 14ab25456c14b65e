# SPDX-License-Identifier: Apache-2.0
"""Runs a model package: one small interface, several backends. Never imports torch unless that backend is chosen."""

from seem_ros.runtime.loader import available_backends, load_backend

__all__ = ["available_backends", "load_backend"]
