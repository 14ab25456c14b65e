# SPDX-License-Identifier: Apache-2.0
"""Objects that were taught by a name: remembered as pictures with masks, kept on disk, and recognised again."""
