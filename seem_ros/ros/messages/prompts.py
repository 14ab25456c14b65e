# SPDX-License-Identifier: Apache-2.0
"""Prompt messages to prompts and back.

Parts that were left out are empty arrays, empty strings and images without data.
"""

from __future__ import annotations

import numpy as np
from std_msgs.msg import Header

from seem_ros import msg as messages
from seem_ros.errors import PromptError, SeemError
from seem_ros.perception.structures.prompts import (
    Box,
    Click,
    Mask,
    Polygon,
    Prompt,
    Reference,
    Scribble,
    Shape,
)
from seem_ros.ros.messages.fields import text, truth
from seem_ros.ros.messages.images import array_to_image, compressed_to_rgb, has_data, image_to_mask, image_to_rgb

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
    checked_label(msg.label)
    return Prompt(
        text=msg.text,
        clicks=_clicks(msg.clicks),
        boxes=_boxes(msg.boxes),
        scribbles=_scribbles(msg.scribbles),
        polygons=_polygons(msg.polygons),
        masks=(Mask(image_to_mask(msg.mask), negative=msg.mask_negative),) if has_data(msg.mask) else (),
        reference=_reference(msg.reference),
    )


def says_nothing(msg: messages.Prompt) -> bool:
    """Whether a prompt was left out: every part is empty."""
    return msg == messages.Prompt(label=msg.label)


def checked_label(label: str) -> str:
    """A user's name for a target, its spaces tidied.

    Raises:
        PromptError: It is too long.
    """
    if len(label) > MAX_LABEL_CHARACTERS:
        raise PromptError(f"a label may have {MAX_LABEL_CHARACTERS} characters, got {len(label)}")
    return " ".join(label.split())


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
    masks = (Mask(image_to_mask(msg.mask)),) if has_data(msg.mask) else ()
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


def prompt_to_message(prompt: Prompt, label: str = "") -> messages.Prompt:
    """The message of a prompt, for a node of another process.

    Args:
        prompt: What is asked.
        label: The name that segment and target shall carry; "" = the text, or the vocabulary's best.

    Raises:
        PromptError: The message has no place for a part: a negative box, masks of both signs, or what is no text.
    """
    return messages.Prompt(
        text=text(prompt.text, "text"),
        label=text(label, "label"),
        mask_negative=any(mask.negative for mask in prompt.masks),
        reference=_reference_message(prompt.reference) if prompt.reference is not None else messages.Reference(),
        **_shape_messages(prompt.shapes),
    )


def _reference_message(reference: Reference) -> messages.Reference:
    return messages.Reference(image=array_to_image(reference.image, Header()), **_shape_messages(reference.shapes))


def _shape_messages(shapes: tuple[Shape, ...]) -> dict[str, object]:
    """The fields that `Prompt.msg` and `Reference.msg` share."""
    boxes = [shape for shape in shapes if isinstance(shape, Box)]
    if any(box.negative for box in boxes):
        raise PromptError("a prompt message has no negative boxes; draw a negative polygon")
    masks = [shape for shape in shapes if isinstance(shape, Mask)]
    if len({mask.negative for mask in masks}) > 1:
        raise PromptError("a prompt message has one mask, so positive and negative ones cannot go in one prompt")
    fields: dict[str, object] = {
        "clicks": [
            messages.Click(x=float(shape.x), y=float(shape.y), negative=truth(shape.negative, "a click's negative"))
            for shape in shapes
            if isinstance(shape, Click)
        ],
        "boxes": [
            messages.Box(x0=float(box.x0), y0=float(box.y0), x1=float(box.x1), y1=float(box.y1)) for box in boxes
        ],
        "scribbles": [
            messages.Scribble(
                points=_pixels(shape.points_xy),
                width=float(shape.width_px),
                negative=truth(shape.negative, "a scribble's negative"),
            )
            for shape in shapes
            if isinstance(shape, Scribble)
        ],
        "polygons": [
            messages.Polygon(points=_pixels(shape.points_xy), negative=truth(shape.negative, "a polygon's negative"))
            for shape in shapes
            if isinstance(shape, Polygon)
        ],
    }
    if masks:
        if len({mask.mask.shape for mask in masks}) > 1:
            raise PromptError(f"masks of one prompt must have one size, got {[mask.mask.shape for mask in masks]}")
        union = np.any([mask.mask for mask in masks], axis=0)
        fields["mask"] = array_to_image(union.astype(np.uint8) * 255, Header())
    return fields


def _pixels(points_xy: np.ndarray) -> list[messages.Pixel]:
    return [messages.Pixel(x=float(x), y=float(y)) for x, y in points_xy]
