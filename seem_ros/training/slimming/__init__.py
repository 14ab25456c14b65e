# SPDX-License-Identifier: Apache-2.0
"""From a trained model to one with cheaper convolutions that answers alike."""
