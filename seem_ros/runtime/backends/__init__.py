# SPDX-License-Identifier: Apache-2.0
"""The runtimes that can serve a model package: ONNX Runtime, OpenVINO, torch."""
