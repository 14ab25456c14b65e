# SPDX-License-Identifier: Apache-2.0
"""The query decoder: prompts and object queries attend to the picture and to each other."""
