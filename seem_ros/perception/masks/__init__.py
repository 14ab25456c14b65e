# SPDX-License-Identifier: Apache-2.0
"""From mask logits to masks in the picture: enlarged, cleaned, bordered, painted."""
