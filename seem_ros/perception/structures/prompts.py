# SPDX-License-Identifier: Apache-2.0
"""What a user may say about a picture: text, clicks, boxes, scribbles, polygons, masks, a reference picture.

Coordinates are pixels of the SOURCE image. They are continuous: (x, y) lies in the pixel of column floor(x) and row
floor(y), so a plain integer names a pixel, and the image reaches from 0 to W and from 0 to H.
All values are frozen and check themselves; what depends on the image's size is checked by ``Prompt.check_image``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from seem_ros.errors import FrameError, PromptError
from seem_ros.perception.structures.frame import check_rgb

MAX_TEXT_CHARACTERS = 1000
MAX_SHAPES = 256
MAX_OUTLINE_POINTS = 4096
MAX_CALL_POINTS = 20_000  # of all prompts of a call together: drawing them takes a tenth of a second
MAX_CALL_MASK_PX = 1 << 27  # of all masks of a call together: 64 masks of a 1080p picture


def _finite(what: str, *values: float) -> None:
    for value in values:
        try:
            ok = math.isfinite(value)
        except TypeError:
            ok = False
        if not ok:
            raise PromptError(f"{what} needs finite numbers, got {value!r}")


def _outline(what: str, points: object, least: int) -> np.ndarray:
    try:
        array = np.array(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{what} needs an [N, 2] array of x and y: {error}") from error
    if array.ndim != 2 or array.shape[1] != 2:
        raise PromptError(f"{what} needs an [N, 2] array of x and y, got shape {array.shape}")
    if not least <= len(array) <= MAX_OUTLINE_POINTS:
        raise PromptError(f"{what} needs {least} to {MAX_OUTLINE_POINTS} points, got {len(array)}")
    if not np.isfinite(array).all():
        raise PromptError(f"{what} holds coordinates that are not finite")
    array.setflags(write=False)
    return array


@dataclass(frozen=True)
class Click:
    """A point on the object, or (``negative``) on what does not belong to it."""

    x: float
    y: float
    negative: bool = False

    def __post_init__(self) -> None:
        _finite("a click", self.x, self.y)


@dataclass(frozen=True)
class Box:
    """A rectangle around the object: the pixels whose centres lie in [x0, x1) x [y0, y1)."""

    x0: float
    y0: float
    x1: float
    y1: float
    negative: bool = False

    def __post_init__(self) -> None:
        _finite("a box", self.x0, self.y0, self.x1, self.y1)
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise PromptError(f"a box needs x0 < x1 and y0 < y1, got ({self.x0}, {self.y0}) to ({self.x1}, {self.y1})")


@dataclass(frozen=True, eq=False)
class Scribble:
    """A stroke through the object: float64 [N, 2] x and y, N >= 1, drawn ``width_px`` wide."""

    points_xy: np.ndarray
    width_px: float = 5.0
    negative: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "points_xy", _outline("a scribble", self.points_xy, 1))
        _finite("a scribble's width", self.width_px)
        if not 0 < self.width_px <= 512:
            raise PromptError(f"a scribble's width must be above 0 and at most 512 pixels, got {self.width_px}")


@dataclass(frozen=True, eq=False)
class Polygon:
    """An outline of the object: float64 [N, 2] x and y, N >= 3, closed by itself."""

    points_xy: np.ndarray
    negative: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "points_xy", _outline("a polygon", self.points_xy, 3))


@dataclass(frozen=True, eq=False)
class Mask:
    """A region given pixel by pixel: bool or uint8 [H, W] of the source image's size, non-zero = inside."""

    mask: np.ndarray
    negative: bool = False

    def __post_init__(self) -> None:
        mask = self.mask
        if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.dtype not in (np.bool_, np.uint8):
            got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
            raise PromptError(f"a mask must be a bool or uint8 [H, W] array, got {got}")
        mask = mask.astype(np.bool_)
        if not mask.any():
            raise PromptError("a mask must have at least one pixel inside, got none")
        mask.setflags(write=False)
        object.__setattr__(self, "mask", mask)


Shape = Click | Box | Scribble | Polygon | Mask


@dataclass(frozen=True, eq=False)
class Reference:
    """An object shown in another picture: "one like this".

    Attributes:
        image: uint8 [h, w, 3] RGB.
        shapes: Where the object is, pixels of ``image``; empty means the whole picture.
    """

    image: np.ndarray
    shapes: tuple[Shape, ...] = ()

    def __post_init__(self) -> None:
        try:
            check_rgb(self.image, "a reference image")
        except FrameError as error:
            raise PromptError(str(error)) from error
        object.__setattr__(self, "shapes", _shapes(self.shapes, "a reference"))
        if self.shapes and all(shape.negative for shape in self.shapes):
            raise PromptError("a reference needs a positive region, all of them are negative")
        check_shapes(self.shapes, *self.image.shape[:2])


def _shapes(given: Any, what: str) -> tuple[Shape, ...]:
    try:
        shapes = tuple(given)
    except TypeError as error:
        raise PromptError(f"{what} needs a sequence of shapes, got {type(given).__name__}") from error
    for shape in shapes:
        if not isinstance(shape, Shape):
            raise PromptError(f"{what} takes clicks, boxes, scribbles, polygons and masks, got {type(shape).__name__}")
    return shapes


def check_shapes(shapes: tuple[Shape, ...], height: int, width: int) -> None:
    """Refuses shapes that do not lie on an image of ``height`` x ``width`` pixels.

    Clicks and every scribble point must be inside; boxes and polygons may hang over the border, but part of them must
    be inside; masks must have the image's size.

    Raises:
        PromptError: Names the shape, its place and the image's size.
    """
    size = f"the image of {width}x{height} pixels"
    for shape in shapes:
        if isinstance(shape, Mask):
            if shape.mask.shape != (height, width):
                raise PromptError(
                    f"a mask must have the size of {size}, got {shape.mask.shape[1]}x{shape.mask.shape[0]}"
                )
        elif isinstance(shape, Click):
            if not (0 <= shape.x < width and 0 <= shape.y < height):
                raise PromptError(f"the click ({shape.x:g}, {shape.y:g}) is outside {size}")
        elif isinstance(shape, Scribble):
            bad = ((shape.points_xy < 0) | (shape.points_xy >= (width, height))).any(axis=1)
            if bad.any():
                x, y = shape.points_xy[bad][0]
                raise PromptError(f"the scribble's point ({x:g}, {y:g}) is outside {size}")
        else:
            x0, y0, x1, y1 = bounds(shape)
            if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
                name = "box" if isinstance(shape, Box) else "polygon"
                raise PromptError(f"the {name} from ({x0:g}, {y0:g}) to ({x1:g}, {y1:g}) is outside {size}")


def check_call(prompts: Iterable[Prompt]) -> None:
    """Refuses prompts that are too much work for one call together.

    Raises:
        PromptError: Says how many points or mask pixels they have and how many are allowed.
    """
    points = mask_px = 0
    for prompt in prompts:
        for shape in (*prompt.shapes, *(prompt.reference.shapes if prompt.reference is not None else ())):
            if isinstance(shape, Mask):
                mask_px += shape.mask.size
            elif isinstance(shape, (Scribble, Polygon)):
                points += len(shape.points_xy)
            else:
                points += 1
    if points > MAX_CALL_POINTS:
        raise PromptError(f"the prompts of one call may have {MAX_CALL_POINTS:,} points together, got {points:,}")
    if mask_px > MAX_CALL_MASK_PX:
        raise PromptError(f"the masks of one call may have {MAX_CALL_MASK_PX:,} pixels together, got {mask_px:,}")


def bounds(shape: Box | Polygon) -> tuple[float, float, float, float]:
    """The shape's extent (x0, y0, x1, y1), pixels of its image."""
    if isinstance(shape, Box):
        return shape.x0, shape.y0, shape.x1, shape.y1
    low, high = shape.points_xy.min(axis=0), shape.points_xy.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


@dataclass(frozen=True, eq=False)
class Prompt:
    """One question about one picture, in any composition; it asks for one object.

    Attributes:
        text: What it is, e.g. "the red mug"; any language and script is accepted here, the model decides.
        clicks, boxes, scribbles, polygons, masks: Where it is (and is not).
        reference: One like this.

    Raises:
        PromptError: Nothing was asked, or a part is malformed or too large.
    """

    text: str = ""
    clicks: tuple[Click, ...] = ()
    boxes: tuple[Box, ...] = ()
    scribbles: tuple[Scribble, ...] = ()
    polygons: tuple[Polygon, ...] = ()
    masks: tuple[Mask, ...] = ()
    reference: Reference | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise PromptError(f"a prompt's text must be a string, got {type(self.text).__name__}")
        object.__setattr__(self, "text", " ".join(self.text.split()))
        if len(self.text) > MAX_TEXT_CHARACTERS:
            raise PromptError(f"a prompt's text may have {MAX_TEXT_CHARACTERS} characters, got {len(self.text)}")
        kinds = {"clicks": Click, "boxes": Box, "scribbles": Scribble, "polygons": Polygon, "masks": Mask}
        for name, kind in kinds.items():
            shapes = _shapes(getattr(self, name), f"a prompt's {name}")
            for shape in shapes:
                if not isinstance(shape, kind):
                    raise PromptError(f"a prompt's {name} must be {kind.__name__} values, got {type(shape).__name__}")
            object.__setattr__(self, name, shapes)
        if self.reference is not None and not isinstance(self.reference, Reference):
            raise PromptError(f"a prompt's reference must be a Reference, got {type(self.reference).__name__}")
        shapes = self.shapes
        if len(shapes) > MAX_SHAPES:
            raise PromptError(f"a prompt may have {MAX_SHAPES} clicks and regions together, got {len(shapes)}")
        if not self.text and not shapes and self.reference is None:
            raise PromptError("an empty prompt: give text, a click, box, scribble, polygon, mask or reference")

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All clicks and regions of the source image."""
        return (*self.clicks, *self.boxes, *self.scribbles, *self.polygons, *self.masks)

    @property
    def has_region(self) -> bool:
        """Something positive is pointed at in the source image."""
        return any(not shape.negative for shape in self.shapes)

    def has_only(self, shapes: tuple[Shape, ...]) -> bool:
        """Nothing else is said than these of its clicks and regions, which stand in the order of `shapes`."""
        return self.shapes == shapes and not self.text and self.reference is None

    @property
    def is_positive(self) -> bool:
        """It says what is wanted, and not only what is not: a first round needs that, a further one does not."""
        return bool(self.text) or self.reference is not None or self.has_region

    def check_image(self, height: int, width: int, refining: bool = False) -> None:
        """Refuses a prompt that does not fit an image of ``height`` x ``width`` pixels.

        Args:
            height, width: Of the source image, pixels.
            refining: It is a further round, so that negative parts alone are enough.

        Raises:
            PromptError: Names the part, its place and the image's size.
        """
        if not refining and not self.is_positive:
            raise PromptError("a prompt needs something positive: it has only negative clicks or regions")
        check_shapes(self.shapes, height, width)

    def joined(self, more: Prompt) -> Prompt:
        """This prompt and a further round: shapes add up; a later text or reference replaces the earlier one."""
        return Prompt(
            text=more.text or self.text,
            clicks=self.clicks + more.clicks,
            boxes=self.boxes + more.boxes,
            scribbles=self.scribbles + more.scribbles,
            polygons=self.polygons + more.polygons,
            masks=self.masks + more.masks,
            reference=more.reference or self.reference,
        )

    def __iter__(self) -> Iterator[Shape]:
        return iter(self.shapes)
