# SPDX-License-Identifier: Apache-2.0
"""The values that go in and out: frames, prompts, segments, and the map to the network's input."""
