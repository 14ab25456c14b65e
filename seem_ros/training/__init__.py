# SPDX-License-Identifier: Apache-2.0
"""Training of the built-in model: sources of scenes, simulated prompts, losses, and the loop."""
