# SPDX-License-Identifier: Apache-2.0
"""Training of the built-in model in large batches on one device: views, prompts and losses are all tensors."""
