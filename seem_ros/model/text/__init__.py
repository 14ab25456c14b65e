# SPDX-License-Identifier: Apache-2.0
"""Language: tokenizer, text encoder, class banks."""
