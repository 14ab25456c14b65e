# SPDX-License-Identifier: Apache-2.0
"""A picture with its segments as one binary message for the page.

Layout, little endian: uint32 length of the header | header, JSON in UTF-8, padded with spaces to 4 bytes | uint32 run
lengths | uint16 run values, padded to 4 bytes | the picture, JPEG.

The label image travels as runs of equal values in reading order: exact (an image codec in the browser may convert
colours), 16 bits wide, and small, because segments are few and whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from seem_ros.errors import FrameError

# an orientation in EXIF would turn the picture in the browser, but the node and its masks do not turn with it
_EXIF_WITHIN_BYTES = 4096
MAX_SIDE_PX = 8192  # as the node's pictures


@dataclass(frozen=True)
class Runs:
    """A label image as runs.

    Attributes:
        lengths: uint32 [N], pixels of each run; they sum up to height * width.
        values: uint16 [N], the label of each run.
        height, width: Of the label image, pixels.
    """

    lengths: np.ndarray
    values: np.ndarray
    height: int
    width: int

    @classmethod
    def of(cls, labels: np.ndarray) -> Runs:
        """The runs of a label image, uint8 or uint16 [H, W]."""
        flat = np.ascontiguousarray(labels).reshape(-1)
        ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        bounds = np.concatenate(([0], ends, [flat.size]))
        return cls(np.diff(bounds).astype("<u4"), flat[bounds[:-1]].astype("<u2"), labels.shape[0], labels.shape[1])

    def labels(self) -> np.ndarray:
        """The label image again, uint16 [height, width]."""
        return np.repeat(self.values, self.lengths).reshape(self.height, self.width)


@dataclass(frozen=True)
class ShownPicture:
    """What viewers get to see.

    Attributes:
        sequence: Grows with every picture of the console.
        stamp_ns: Of the picture.
        jpeg: The picture.
        runs: Its label image, or None where nothing was published for it.
        segments: Records of the label image, as plain values.
        source_wh_px: Size of the camera's picture, in whose pixels prompts are; None = as the JPEG.
        more: Anything else for the header.
    """

    sequence: int
    stamp_ns: int
    jpeg: bytes
    runs: Runs | None
    segments: tuple[dict[str, Any], ...]
    source_wh_px: tuple[int, int] | None
    more: dict[str, Any] = field(default_factory=dict)

    def pack(self) -> bytes:
        """The binary message."""
        header: dict[str, Any] = {
            "sequence": self.sequence,
            # nanoseconds are wider than the page's numbers
            "stamp": str(self.stamp_ns),
            "segments": self.segments,
            "source": self.source_wh_px,
            "labels": None if self.runs is None else [self.runs.width, self.runs.height, len(self.runs.lengths)],
            **self.more,
        }
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        lengths, values = b"", b""
        if self.runs is not None:
            lengths, values = self.runs.lengths.tobytes(), self.runs.values.tobytes()
            values += b"\0" * (-len(values) % 4)
        return b"".join((len(text).to_bytes(4, "little"), text, lengths, values, self.jpeg))


@dataclass(frozen=True)
class UnpackedPicture:
    """A binary message taken apart again: what the page sends back to have it saved.

    Attributes:
        header: As it was packed.
        labels: uint16 [H, W], or None.
        jpeg: The picture.
    """

    header: dict[str, Any]
    labels: np.ndarray | None
    jpeg: bytes


def unpack(data: bytes) -> UnpackedPicture:
    """Take a binary message apart.

    Raises:
        FrameError: It is none.
    """
    try:
        end = 4 + int.from_bytes(data[:4], "little")
        header = json.loads(data[4:end])
        labels = None
        if header["labels"] is not None:
            width, height, count = header["labels"]
            if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX and 0 < count <= width * height):
                raise ValueError("sides or number of runs out of range")
            lengths = np.frombuffer(data, "<u4", count, end)
            values = np.frombuffer(data, "<u2", count, end + 4 * count)
            if int(lengths.sum(dtype=np.uint64)) != width * height:
                raise ValueError("the runs do not fill the label image")
            labels = Runs(lengths, values, height, width).labels()
            end += 4 * count + -(-2 * count // 4) * 4
        jpeg = data[end:]
        if jpeg[:3] != b"\xff\xd8\xff":
            raise ValueError("there is no JPEG")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FrameError(f"this is not a picture that the console has sent: {error}") from error
    return UnpackedPicture(header, labels, jpeg)


def to_jpeg(rgb: np.ndarray, quality: int, max_side_px: int) -> bytes:
    """A picture, uint8 [H, W, 3] RGB, as JPEG, made smaller where a side is longer than ``max_side_px``.

    Raises:
        FrameError: OpenCV cannot encode it.
    """
    scale = max_side_px / max(rgb.shape[:2])
    if scale < 1.0:
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise FrameError(f"a picture of shape {rgb.shape} cannot be written as JPEG")
    return encoded.tobytes()


def is_plain_jpeg(data: bytes) -> bool:
    """Whether these bytes can go to the browser as they are: a JPEG without EXIF data."""
    return data[:3] == b"\xff\xd8\xff" and b"Exif\0\0" not in data[:_EXIF_WITHIN_BYTES]


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG in pixels, read from its frame header; None where there is none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        # start of frame: 0xC0 to 0xCF without the tables DHT, JPG and DAC (ITU-T T.81, table B.1)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            return width, height
        at += 2 + length
    return None
