# SPDX-License-Identifier: Apache-2.0
"""The node over the colour model, which hangs in a native call for ever at a picture that begins with (13, 13, 13),
computes for half a minute, without a pause, at one that begins with (14, 14, 14), and raises at (15, 15, 15)."""

import ctypes
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "perception"))

from colour_backend import ColourBackend

from seem_ros.perception.segmenter import Segmenter
from seem_ros.ros.node import main

HANGS, BUSY, RAISES = (13, 13, 13), (14, 14, 14), (15, 15, 15)
BUSY_S = 30.0


class HangingBackend(ColourBackend):
    """Hangs as a driver does: outside of Python, beyond any time-out."""

    def encode_image(self, rgb, content_hw=None):
        first = tuple(int(value) for value in rgb[0, 0])
        if first == HANGS:
            ctypes.CDLL(None).sigsuspend(ctypes.create_string_buffer(b"\xff" * 128))  # all signals blocked: for good
        if first == BUSY:
            time.sleep(BUSY_S)
        if first == RAISES:
            raise RuntimeError("the driver said no")
        return super().encode_image(rgb, content_hw)


if __name__ == "__main__":
    sys.exit(main(load=lambda settings: Segmenter(HangingBackend(), settings.segmenter_config())))
