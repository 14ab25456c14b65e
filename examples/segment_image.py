#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One picture, three questions, no ROS: python examples/segment_image.py photo.jpg "the red mug" overlay.png"""

import sys
from pathlib import Path

import cv2

from seem_ros import Box, Click, Prompt, SeemError, Segmenter
from seem_ros.perception.pictures.picture_file import read_picture_file
from seem_ros.perception.visualize import draw_overlay


def main(source: str, text: str, out: str) -> None:
    """Asks by words, by a click and by a box.

    Raises:
        SeemError: The picture cannot be read, or a question does not fit it.
    """
    rgb = read_picture_file(Path(source)).rgb  # uint8 [H, W, 3]; cv2.imread gives blue first, and needs [..., ::-1]
    height, width = rgb.shape[:2]
    with Segmenter.load("builtin") as segmenter:
        segmenter.encode(rgb)  # once, whatever is asked
        result = segmenter.segment(
            [
                Prompt(text=text),
                Prompt(clicks=(Click(width / 2, height / 2),)),
                Prompt(boxes=(Box(0.1 * width, 0.1 * height, 0.6 * width, 0.6 * height),)),
            ]
        )
    for question, answer in zip((text, "the middle", "the box"), result.answers, strict=True):
        if answer.segment is None:
            print(f"{question}: {answer.message}")
        else:
            mask = result.labels == answer.segment.value  # bool [H, W]
            print(f"{question}: {answer.label or 'something'}, {mask.sum()} pixels, presence {answer.presence:.2f}")
    cv2.imwrite(out, draw_overlay(rgb, result)[..., ::-1])


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except SeemError as error:
        sys.exit(str(error))
