# SPDX-License-Identifier: Apache-2.0
"""Writing model packages: tracing, precision, weights stored once. Needs torch and onnx; running a package does not."""
