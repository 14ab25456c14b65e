# SPDX-License-Identifier: Apache-2.0
"""Messages as a broken or hostile client sends them: any ROS type, ordinary in most parts, absurd in some."""

from __future__ import annotations

import importlib
import math
import re
from typing import Any

import numpy as np

TEXTS = (
    "", " ", "red", "green mug", "the red mug", "a" * 2000, "mug,bowl", "&#" + "9" * 4301 + ";", "&lt;b&gt;", "\0",
    "../../etc", "~root", "ünïcode 杯子 🥤", "%s%n{}", "\n\n", "-1", "NaN", "camera", "left", "robot  arm", "base_link",
)  # fmt: skip
NUMBERS = (0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-40, 2**31, 2**53, 1.3e8)
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "mono8", "mono16", "16UC1", "32FC1", "8UC1", "8UC3", "bayer_rggb8", "yuv422_yuy2", "nv12",
    "", "rgb", "32SC1", "64FC3", "8UC99999", "x" * 500,
)  # fmt: skip
FORMATS = ("jpeg", "png", "rgb8; jpeg compressed bgr8", "bayer_rggb8; jpeg compressed", "", "webp", "h264", "x" * 500)
_INTEGER = re.compile(r"(u?)int(\d+)")


class Dice:
    """A random generator with a mood: a tame one makes messages that are mostly right, a wild one mostly wrong.

    Args:
        seed: What everything follows from.
    """

    def __init__(self, seed: tuple[int, ...]) -> None:
        rng = np.random.default_rng(seed)
        self.random, self.integers, self.uniform = rng.random, rng.integers, rng.uniform
        self.wild = (0.0, 0.02, 0.3)[int(rng.integers(3))]


def pick(rng: Dice, choices: Any) -> Any:
    """One of several."""
    return choices[int(rng.integers(len(choices)))]


def text(rng: Dice) -> str:
    """A string."""
    if rng.random() >= 2 * rng.wild:
        return pick(rng, ("", "red", "green mug", "the red mug", "camera"))
    if rng.random() < 0.2:
        return "".join(chr(int(c)) for c in rng.integers(1, 0x2FFF, int(rng.integers(0, 40))))
    return pick(rng, TEXTS)


def number(rng: Dice) -> float:
    """A coordinate in a picture, or an absurd number."""
    return float(pick(rng, NUMBERS)) if rng.random() < rng.wild else float(rng.uniform(0, 96))


def integer(rng: Dice, signed: bool, bits: int) -> int:
    """An integer that fits its type."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    special = (0, 1, 2, 3, 7, low, high, high - 1)
    if rng.random() >= 2 * rng.wild:
        return int(rng.integers(0, 4))
    return int(pick(rng, special)) if rng.random() < 0.7 else int(rng.integers(low, min(high, 1 << 62)))


def picture(rng: Dice, kind: Any) -> Any:
    """An image message: right in half of the cases, else with sizes, steps or data that do not belong together."""
    height, width = (int(v) for v in rng.integers(1, 130, 2))
    image = kind()
    image.header = message(type(image.header), rng)
    if rng.random() < 0.4:
        height, width = 96, 128
    image.height, image.width, image.encoding = height, width, pick(rng, ENCODINGS[:6])
    channels = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "mono16": 2, "16UC1": 2}.get(image.encoding, 1)
    image.step = width * channels
    image.data = rng.integers(0, 256, height * image.step, np.uint8).tobytes()
    if rng.random() < 2 * rng.wild:
        wrong = pick(rng, ("encoding", "step", "height", "width", "data", "endian", "empty"))
        if wrong == "encoding":
            image.encoding = pick(rng, ENCODINGS)
        elif wrong == "data":
            image.data = image.data[: int(rng.integers(0, len(image.data) + 1))]
        elif wrong == "empty":
            image = kind()
        elif wrong == "endian":
            image.is_bigendian = 1
        else:
            setattr(image, wrong, integer(rng, False, 32))
    return image


def packed(rng: Dice, kind: Any) -> Any:
    """A compressed image: a real one, a cut or altered one, or noise."""
    import cv2

    image = kind()
    image.header, image.format = message(type(image.header), rng), pick(rng, FORMATS)
    suffix = pick(rng, (".jpg", ".png"))
    data = cv2.imencode(suffix, rng.integers(0, 256, (int(rng.integers(1, 99)), 64, 3), np.uint8))[1].tobytes()
    if rng.random() < 2 * rng.wild:
        data = bytearray(data)
        for _ in range(int(rng.integers(1, 20))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        data = bytes(data[: int(rng.integers(0, len(data) + 1))])
    image.data = data
    return image


def message(kind: Any, rng: Dice, depth: int = 0) -> Any:
    """A message of any type.

    Args:
        kind: Its class.
        rng: Decides.
        depth: How deep it lies in another one.
    """
    made = kind()
    for name, declared in kind.get_fields_and_field_types().items():
        tame_number = not rng.wild and declared in ("float", "double")
        if rng.random() < (0.35 if rng.wild else 0.6) and not tame_number and name != "prompts":
            continue  # left out: as its default
        setattr(made, name, _value(declared, rng, depth))
    if not rng.wild:
        _tame(made)
    return made


def _tame(made: Any) -> None:
    """What makes a message right that would else be refused by chance."""
    if hasattr(made, "camera") and isinstance(made.camera, str):
        made.camera = ""
    if hasattr(made, "x1"):
        made.x0, made.x1 = sorted((made.x0, made.x1 + 1))
        made.y0, made.y1 = sorted((made.y0, made.y1 + 1))
    if hasattr(made, "reference"):
        made.reference = type(made.reference)()
    if hasattr(made, "clicks") and hasattr(made, "text") and not (made.text or made.clicks or made.boxes):
        made.text = "red"


def _value(declared: str, rng: Dice, depth: int) -> Any:
    sequence = re.fullmatch(r"sequence<(.+?)(?:, \d+)?>", declared)
    array = re.fullmatch(r"(.+)\[(\d+)\]", declared)
    if sequence:
        inner = sequence[1]
        roll = rng.random()
        most = 3 if roll < 0.9 or not rng.wild else 80 if roll < 0.98 else 400
        count = int(rng.integers(0, most)) if depth < 4 else 0
        if not rng.wild and inner in ("seem_ros/Pixel", "seem_ros/Prompt"):
            count = int(rng.integers(3, 9)) if inner == "seem_ros/Pixel" else int(rng.integers(1, 4))
        if inner in ("uint8", "octet", "byte"):
            return rng.integers(0, 256, count, np.uint8).tobytes()
        values = [_value(inner, rng, depth + 1) for _ in range(min(count, 40))]
        return (values * (count // len(values) + 1))[:count] if values else []
    if array:
        return [_value(array[1], rng, depth + 1) for _ in range(int(array[2]))]
    if declared == "string" or declared.startswith("string<"):
        return text(rng)
    if declared == "boolean":
        return bool(rng.integers(2))
    if declared in ("float", "double", "float32", "float64"):
        value = number(rng)
        return float(np.clip(value, -3.4e38, 3.4e38)) if "64" not in declared and math.isfinite(value) else value
    whole = _INTEGER.fullmatch(declared)
    if whole or declared in ("byte", "octet", "char"):
        return integer(rng, not whole[1], int(whole[2])) if whole else int(rng.integers(256))
    package, _, name = declared.partition("/")
    kind = getattr(importlib.import_module(f"{package}.msg"), name)
    if declared == "sensor_msgs/Image":
        return picture(rng, kind) if rng.random() < 0.1 + rng.wild else kind()
    if declared == "sensor_msgs/CompressedImage":
        return packed(rng, kind) if rng.random() < 0.05 + rng.wild else kind()
    return message(kind, rng, depth + 1)
