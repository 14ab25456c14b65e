# SPDX-License-Identifier: Apache-2.0
"""Proof that the model gives the official numbers: golden fixtures against our model, weights made from key names."""
