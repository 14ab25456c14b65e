# SPDX-License-Identifier: Apache-2.0
"""What a call to the node carries, of what callers give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from seem_ros import msg as messages
from seem_ros.errors import FrameError, PromptError
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.ros.messages.fields import INT64, listed, settled, whole
from seem_ros.ros.messages.images import array_to_image, ns_to_stamp
from seem_ros.ros.messages.prompts import prompt_to_message

Asked: TypeAlias = str | Prompt | messages.Prompt


def prompt_message(prompt: Asked, what: str = "prompt") -> messages.Prompt:
    """Words or a prompt as a message; a message stays what it is.

    Raises:
        PromptError: It is none of these, or has parts that a message cannot carry.
    """
    if isinstance(prompt, messages.Prompt):
        return settled(prompt, what)
    if not isinstance(prompt, (str, Prompt)):
        raise PromptError(f"{what} must be words, a Prompt or a seem_ros/Prompt message, got {type(prompt).__name__}")
    return prompt_to_message(Prompt(text=prompt) if isinstance(prompt, str) else prompt)


def prompt_messages(prompts: Asked | Sequence[Asked]) -> list[messages.Prompt]:
    """One prompt or several as messages.

    Raises:
        PromptError: See `prompt_message`.
    """
    several = [prompts] if isinstance(prompts, (str, Prompt, messages.Prompt)) else prompts
    return listed(several, "prompts", prompt_message)


def picture_message(picture: np.ndarray) -> Image:
    """A picture of the caller's own as a message.

    Raises:
        FrameError: It is no picture; an empty one would be taken for none, and the camera's be used instead.
    """
    if not isinstance(picture, np.ndarray) or not picture.size:
        got = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise FrameError(f"a picture must be a uint8 [H, W, 3] array, red first, got {got}")
    return array_to_image(picture, Header())


def stamp_message(stamp_ns: int) -> Time:
    """A frame's stamp; 0 = the newest.

    Raises:
        PromptError: It is no whole number: of one with a fraction no frame has the stamp.
    """
    return ns_to_stamp(whole(stamp_ns, "stamp_ns", INT64))
