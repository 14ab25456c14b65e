# SPDX-License-Identifier: Apache-2.0
"""Views of an object to be remembered: of a target, or of what a prompt finds."""

from __future__ import annotations

import time

import numpy as np

from seem_ros.errors import PromptError
from seem_ros.perception.objects.taught import TaughtView
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt


def view_of_prompt(segmenter: Segmenter, prompt: Prompt, frame: Frame | EncodedFrame) -> TaughtView:
    """What a prompt finds in a picture. A mask that says all by itself is taken as it is.

    Raises:
        PromptError: The prompt does not fit the picture, or finds nothing.
        ObjectError: It is too small.
    """
    encoded = segmenter.encode(frame)
    if len(prompt.shapes) == 1 and prompt.masks and not prompt.text and prompt.reference is None:
        prompt.check_image(*encoded.geometry.source_hw)
        return TaughtView(encoded.frame.rgb, prompt.masks[0].mask, time.time_ns())
    segments = segmenter.segment([prompt], encoded)
    answer = segments.answers[0]
    if answer.segment is None:
        raise PromptError(f"there is nothing to remember: {answer.message}")
    return view_of_mask(encoded.frame, segments.labels == answer.segment.value)


def view_of_mask(frame: Frame, mask: np.ndarray) -> TaughtView:
    """What a mask bool [H, W] shows of a picture, as it is now.

    Raises:
        ObjectError: It is too small.
    """
    return TaughtView(frame.rgb, mask, time.time_ns())
