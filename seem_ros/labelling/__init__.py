# SPDX-License-Identifier: Apache-2.0
"""From footage to labels: a teacher finds, memory follows, forward and backward must agree, people correct."""
