# SPDX-License-Identifier: Apache-2.0
"""Frames from a picture, a folder of pictures, a video, a webcam or a ROS bag, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.perception.structures.frame import Frame

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_BAGS = frozenset({".mcap", ".db3", ".bag"})
_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_FOLDER_RATE_HZ = 30.0  # what the frames of a folder are taken for: they have no times of their own


@dataclass(frozen=True, eq=False)
class Media:
    """An opened source of frames.

    Attributes:
        name: Of the source.
        moving: Frames follow each other in time; False for a single picture.
        count: Number of frames, None where nobody knows.
        rate_hz: Frames per second.
        frames: Pairs of a frame's name and the frame; can be walked once.
    """

    name: str
    moving: bool
    count: int | None
    rate_hz: float
    frames: Iterator[tuple[str, Frame]]


def open_media(source: str, topic: str = "") -> Media:
    """Opens a source.

    Args:
        source: Path of a picture, a folder of pictures, a video, a bag (``.mcap``, ``.db3``, ``.bag`` or the folder of
            a rosbag2), or the number of a webcam.
        topic: Image topic of a bag; default the one with the most messages.

    Raises:
        DataError: It does not exist, cannot be read or holds no frames.
    """
    if source.isdigit() and not Path(source).exists():
        return _video(int(source), f"webcam {source}")
    path = Path(source)
    if not path.exists():
        raise DataError(f"{path} does not exist; give a picture, a folder, a video, a bag or the number of a webcam")
    if path.suffix.lower() in _BAGS or (path.is_dir() and (path / "metadata.yaml").is_file()):
        return _bag(path, topic)
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() in PICTURES:
        return Media(path.name, False, 1, 1.0, iter([(path.stem, Frame(read_picture(path)))]))
    return _video(str(path), path.name)


def read_picture(path: Path) -> np.ndarray:
    """A picture file as uint8 [H, W, 3] RGB, turned upright as its EXIF data says.

    Raises:
        DataError: It cannot be read.
    """
    if not path.is_file():
        raise DataError(f"the picture {path} does not exist")
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise DataError(f"{path} is not a picture that can be read")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _natural(path: Path) -> list[str | int]:
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def _folder(path: Path) -> Media:
    files = sorted((file for file in path.iterdir() if file.suffix.lower() in PICTURES), key=_natural)
    if not files:
        raise DataError(f"the folder {path} holds no pictures; known are {', '.join(sorted(PICTURES))}")

    def frames() -> Iterator[tuple[str, Frame]]:
        for i, file in enumerate(files):
            yield file.stem, Frame(read_picture(file), stamp_ns=round(i * 1e9 / _FOLDER_RATE_HZ))

    return Media(path.name, True, len(files), _FOLDER_RATE_HZ, frames())


def _video(source: str | int, name: str) -> Media:
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        raise DataError(f"{name} cannot be opened: not a video that OpenCV reads, or no such camera")
    count, rate = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), capture.get(cv2.CAP_PROP_FPS)
    rate = rate if 0.1 < rate < 1000 else 30.0

    def frames() -> Iterator[tuple[str, Frame]]:
        try:
            number = 0
            while True:
                good, picture = capture.read()
                if not good:
                    break
                rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
                yield f"frame_{number:06d}", Frame(rgb, stamp_ns=round(number * 1e9 / rate))
                number += 1
            if not number:
                raise DataError(f"{name} holds no frames")
        finally:
            capture.release()

    return Media(name, True, count if count > 0 else None, rate, frames())


def _bag(path: Path, topic: str) -> Media:
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.image import ImageError, message_to_cvimage
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise DataError(
            f"reading a bag needs two more packages ({error.name} is missing): pip install rosbags rosbags-image"
        ) from error
    where = path.parent if path.suffix == ".db3" and (path.parent / "metadata.yaml").is_file() else path
    try:
        reader = AnyReader([where], default_typestore=get_typestore(Stores.LATEST))
        reader.open()
    except Exception as error:  # the library raises many kinds for files that are no bags
        raise DataError(f"{path} cannot be read as a bag: {error}") from error
    images = [connection for connection in reader.connections if connection.msgtype in _IMAGE_TYPES]
    chosen = (
        [one for one in images if one.topic == topic] if topic else sorted(images, key=lambda one: -one.msgcount)[:1]
    )
    if not chosen or not chosen[0].msgcount:
        reader.close()
        known = ", ".join(sorted({one.topic for one in images})) or "none"
        raise DataError(f"{path} has no pictures on {topic or 'any topic'}; its image topics: {known}")
    # depth and label images are no pictures for the eye: an image topic named in the request is tried as it is
    count, span_s = chosen[0].msgcount, max(reader.duration * 1e-9, 1e-3)

    def frames(opened: AbstractContextManager) -> Iterator[tuple[str, Frame]]:
        try:
            for number, (connection, time_ns, raw) in enumerate(reader.messages(connections=chosen)):
                message = reader.deserialize(raw, connection.msgtype)
                stamp = message.header.stamp
                stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec or time_ns
                try:
                    rgb = np.ascontiguousarray(message_to_cvimage(message, "rgb8"))
                except (ImageError, ValueError, cv2.error) as error:
                    raise DataError(f"{connection.topic} of {path}: a picture cannot be read: {error}") from error
                if rgb.ndim != 3:
                    raise DataError(f"{connection.topic} of {path} holds no colour or grey pictures")
                yield f"frame_{number:06d}", Frame(rgb, stamp_ns, message.header.frame_id)
        finally:
            reader.close()

    return Media(f"{path.name} {chosen[0].topic}", True, count, max(count / span_s, 1.0), frames(reader))
