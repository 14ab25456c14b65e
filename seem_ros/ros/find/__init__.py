# SPDX-License-Identifier: Apache-2.0
"""``~/find``: wait until a camera sees what is described."""
