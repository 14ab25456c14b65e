# SPDX-License-Identifier: Apache-2.0
"""Readers of published data layouts, as they are published. Whatever does not fit is an error, never a silent skip."""
