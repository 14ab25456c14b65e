# SPDX-License-Identifier: Apache-2.0
"""What a user says, as the network takes it: points, tokens, priors, words."""
