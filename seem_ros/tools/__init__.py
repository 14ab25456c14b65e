# SPDX-License-Identifier: Apache-2.0
"""Command lines: ``python -m seem_ros.tools.NAME``."""
