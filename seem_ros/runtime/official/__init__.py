# SPDX-License-Identifier: Apache-2.0
"""The authors' models by name: which there are, how their files come here, and how a package is made of them."""
