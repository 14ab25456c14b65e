# SPDX-License-Identifier: Apache-2.0
"""From image and segments messages to what a page draws."""
