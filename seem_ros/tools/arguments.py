# SPDX-License-Identifier: Apache-2.0
"""What the command lines share."""

from __future__ import annotations

import re
from collections.abc import Sequence


def joined_negatives(arguments: Sequence[str]) -> list[str]:
    """The command line with ``--box -10,5,9,9`` as ``--box=-10,5,9,9``: argparse takes a minus for an option."""
    joined: list[str] = []
    for one in arguments:
        after = joined[-1] if joined else ""
        if re.match(r"-[\d.]", one) and "," in one and re.fullmatch(r"--[a-z-]+", after):
            joined[-1] = f"{after}={one}"
        else:
            joined.append(one)
    return joined
