# SPDX-License-Identifier: Apache-2.0
"""The web side of the console: who may talk to it, open pages, addresses."""
