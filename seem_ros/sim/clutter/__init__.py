# SPDX-License-Identifier: Apache-2.0
"""Clutter: piles and totes of everyday things, dropped by physics, painted and photographed for training."""
