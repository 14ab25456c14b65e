# SPDX-License-Identifier: Apache-2.0
"""TensorRT and TensorRT-RTX: engines, their cache, sessions and GPU memory."""
