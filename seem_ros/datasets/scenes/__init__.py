# SPDX-License-Identifier: Apache-2.0
"""Scenes with masks and names, to train on: one small interface, a source for each way that people keep them."""
