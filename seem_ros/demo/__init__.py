# SPDX-License-Identifier: Apache-2.0
"""The parts of `make demo`: a stage (node process, camera, client), a story, a film and the marks it gets."""
