# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says, and the times and counts behind it."""
