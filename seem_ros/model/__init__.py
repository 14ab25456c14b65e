# SPDX-License-Identifier: Apache-2.0
"""SEEM in PyTorch: configuration, image and language encoders, pixel decoders, query decoder, checkpoints.

Nothing is imported here, so that `seem_ros.model.text.tokenizer` works where torch is not installed.
"""
