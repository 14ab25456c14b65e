# SPDX-License-Identifier: Apache-2.0
"""Objects that are taught, listed and forgotten by calls."""
