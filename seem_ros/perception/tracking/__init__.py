# SPDX-License-Identifier: Apache-2.0
"""Targets with a memory: observed, associated, verified, followed from frame to frame."""
