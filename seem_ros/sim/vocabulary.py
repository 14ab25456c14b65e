# SPDX-License-Identifier: Apache-2.0
"""The words of the tabletop world: shapes, colours, sizes, patterns, stuff, and the pairs never shown in training."""

from __future__ import annotations

from types import MappingProxyType

from seem_ros.errors import DataError

SHAPES: tuple[str, ...] = (
    "box",
    "ball",
    "cylinder",
    "capsule",
    "cone",
    "ring",
    "mug",
    "bowl",
    "bottle",
    "plate",
    "pyramid",
    "star",
)
#: Everyday things that have a mesh (see `scene.mesh_files`), beside the solids above.
THINGS: tuple[str, ...] = (
    "airplane",
    "alarm clock",
    "apple",
    "banana",
    "binoculars",
    "bowl",
    "bunny",
    "camera",
    "cup",
    "doorknob",
    "duck",
    "elephant",
    "eyeglasses",
    "flashlight",
    "flute",
    "frying pan",
    "game controller",
    "hammer",
    "headphones",
    "knife",
    "light bulb",
    "mouse",
    "mug",
    "phone",
    "piggy bank",
    "scissors",
    "stapler",
    "teapot",
    "toothbrush",
    "toothpaste",
    "train",
    "water bottle",
    "watch",
    "wine glass",
)
#: Things that no training data shows unless asked for: what a model can learn anew is measured on them.
KEPT_OUT: tuple[str, ...] = ("binoculars", "stapler", "teapot")
#: Colour name -> linear RGB in 0..1, chosen so that lighting and a small jitter never make a name wrong.
COLOUR_RGB = MappingProxyType(
    {
        "red": (0.84, 0.06, 0.06),
        "green": (0.08, 0.60, 0.14),
        "blue": (0.08, 0.20, 0.86),
        "yellow": (0.97, 0.87, 0.08),
        "orange": (1.00, 0.48, 0.04),
        "purple": (0.48, 0.12, 0.70),
        "pink": (1.00, 0.55, 0.74),
        "brown": (0.38, 0.20, 0.09),
        "white": (0.95, 0.95, 0.93),
        "black": (0.075, 0.075, 0.08),
    }
)
COLOURS: tuple[str, ...] = tuple(COLOUR_RGB)
SIZES: tuple[str, ...] = ("small", "large")
#: Scale ranges relative to a shape's usual dimensions; None is the size that no word is used for.
SIZE_SCALE = MappingProxyType({"small": (0.60, 0.74), None: (0.90, 1.10), "large": (1.32, 1.55)})
PATTERNS: tuple[str, ...] = ("plain", "striped", "checkered", "spotted")
STUFF: tuple[str, ...] = ("table", "floor", "wall", "robot arm")
#: The open box that clutter lies in; stuff as well, but of clutter only.
TOTE = "tote"
#: (colour, shape) pairs that no training clip ever contains; evaluation clips show them often.
HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("green", "ring"),
        ("purple", "cone"),
        ("yellow", "bottle"),
        ("orange", "bowl"),
        ("pink", "box"),
        ("white", "cylinder"),
        ("brown", "ball"),
        ("blue", "star"),
    }
)


def object_names() -> tuple[str, ...]:
    """Returns every "colour shape" name of the world, colours outermost."""
    return tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)


def check_object(shape: str, colour: str, size: str | None = None, pattern: str = "plain") -> None:
    """Checks the words of one object.

    Raises:
        DataError: a word is not in the vocabulary; the message lists what is allowed.
    """
    if shape not in SHAPES and shape not in THINGS:
        raise DataError(
            f"unknown shape {shape!r}; the tabletop world knows {', '.join(dict.fromkeys(SHAPES + THINGS))}"
        )
    if colour not in COLOUR_RGB:
        raise DataError(f"unknown colour {colour!r}; the tabletop world knows {', '.join(COLOURS)}")
    if size is not None and size not in SIZES:
        raise DataError(f"unknown size word {size!r}; allowed are {', '.join(SIZES)} or none")
    if pattern not in PATTERNS:
        raise DataError(f"unknown pattern {pattern!r}; the tabletop world knows {', '.join(PATTERNS)}")


def full_name(shape: str, colour: str, size: str | None, pattern: str) -> str:
    """Returns the longest true name of an object, as "small striped red mug"."""
    words = [size or "", "" if pattern == "plain" else pattern, colour, shape]
    return " ".join(word for word in words if word)


def stuff_record(number: int, word: str) -> dict[str, object]:
    """What a shard says of one stretch of stuff: its value in the id maps and its name."""
    return {
        "id": number,
        "shape": None,
        "colour": None,
        "size": None,
        "pattern": None,
        "name": word,
        "name_full": word,
        "isthing": False,
    }
