# SPDX-License-Identifier: Apache-2.0
"""Prompt messages to prompts. Parts that were left out are empty arrays, empty strings and images without data."""

from __future__ import annotations

import numpy as np

from seem_ros import msg as messages
from seem_ros.errors import PromptError, SeemError
from seem_ros.perception.structures.prompts import (
    Box,
    Click,
    MaskRegion,
    Polygon,
    Prompt,
    Reference,
    Scribble,
)
from seem_ros.ros.messages.images import compressed_to_rgb, has_data, image_to_mask, image_to_rgb

DEFAULT_SCRIBBLE_WIDTH_PX = 5.0
MAX_PROMPTS = 64
MAX_LABEL_CHARACTERS = 200


def prompts_from_messages(prompts: list[messages.Prompt]) -> tuple[Prompt, ...]:
    """All prompts of a request, checked; the first bad one is named by its index.

    Raises:
        PromptError: A prompt is empty or inconsistent, or there are too many.
    """
    if len(prompts) > MAX_PROMPTS:
        raise PromptError(f"at most {MAX_PROMPTS} prompts in one call, got {len(prompts)}")
    converted = []
    for index, prompt in enumerate(prompts):
        try:
            converted.append(prompt_from_message(prompt))
        except SeemError as error:
            raise PromptError(f"prompts[{index}]: {error}") from error
    return tuple(converted)


def prompt_from_message(msg: messages.Prompt) -> Prompt:
    """One prompt.

    Raises:
        PromptError: It is empty, not finite, too long or inconsistent.
        FrameError: An image in it cannot be read.
    """
    if len(msg.label) > MAX_LABEL_CHARACTERS:
        raise PromptError(f"a label may have {MAX_LABEL_CHARACTERS} characters, got {len(msg.label)}")
    return Prompt(
        text=msg.text,
        clicks=_clicks(msg.clicks),
        boxes=_boxes(msg.boxes),
        scribbles=_scribbles(msg.scribbles),
        polygons=_polygons(msg.polygons),
        masks=(MaskRegion(image_to_mask(msg.mask), negative=msg.mask_negative),) if has_data(msg.mask) else (),
        reference=_reference(msg.reference),
    )


def _clicks(clicks: list[messages.Click]) -> tuple[Click, ...]:
    return tuple(Click(x=click.x, y=click.y, negative=click.negative) for click in clicks)


def _boxes(boxes: list[messages.Box]) -> tuple[Box, ...]:
    return tuple(Box(x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1) for box in boxes)


def _points(points: list[messages.Pixel]) -> np.ndarray:
    return np.array([(point.x, point.y) for point in points], dtype=np.float64).reshape(-1, 2)


def _scribbles(scribbles: list[messages.Scribble]) -> tuple[Scribble, ...]:
    return tuple(
        Scribble(_points(each.points), width_px=each.width or DEFAULT_SCRIBBLE_WIDTH_PX, negative=each.negative)
        for each in scribbles
    )


def _polygons(polygons: list[messages.Polygon]) -> tuple[Polygon, ...]:
    return tuple(Polygon(_points(each.points), negative=each.negative) for each in polygons)


def _reference(msg: messages.Reference) -> Reference | None:
    masks = (MaskRegion(image_to_mask(msg.mask)),) if has_data(msg.mask) else ()
    shapes = (
        *_clicks(msg.clicks),
        *_boxes(msg.boxes),
        *_scribbles(msg.scribbles),
        *_polygons(msg.polygons),
        *masks,
    )
    picture = picture_of(msg.image, msg.compressed_image, "reference")
    if picture is None:
        if shapes:
            raise PromptError("the reference has a region but no picture; give reference.image or compressed_image")
        return None
    if not shapes:
        raise PromptError("the reference has a picture but no region; give clicks, boxes, scribbles, polygons or mask")
    return Reference(picture, shapes)


def picture_of(image: object, compressed: object, what: str) -> np.ndarray | None:
    """The picture that a request carries either raw or compressed, uint8 [H, W, 3] RGB, or None.

    Raises:
        PromptError: It carries both.
        FrameError: It cannot be read.
    """
    raw, packed = has_data(image), has_data(compressed)
    if raw and packed:
        raise PromptError(f"the {what} has both image and compressed_image; give one")
    if raw:
        return np.ascontiguousarray(image_to_rgb(image))
    return compressed_to_rgb(compressed) if packed else None
