# SPDX-License-Identifier: Apache-2.0
"""What stands on the simulated table, and how it is seen."""
