# SPDX-License-Identifier: Apache-2.0
"""The node in a process of its own, over the hand-written colour model of test/perception instead of a package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "perception"))

from colour_backend import ColourBackend

from seem_ros.perception.segmenter import Segmenter
from seem_ros.ros.node import main

if __name__ == "__main__":
    sys.exit(main(load=lambda settings: Segmenter(ColourBackend(), settings.segmenter_config())))
