# SPDX-License-Identifier: Apache-2.0
"""What the launch files start: decided without launch, then turned into its actions."""
