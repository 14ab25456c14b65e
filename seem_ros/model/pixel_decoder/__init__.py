# SPDX-License-Identifier: Apache-2.0
"""Pixel decoders: from the backbone's features to mask features."""
