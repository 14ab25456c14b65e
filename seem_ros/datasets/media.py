# SPDX-License-Identifier: Apache-2.0
"""Frames from a picture, a folder of pictures, a video, a webcam or a ROS bag, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from seem_ros.datasets.bag_reader import BagReader, is_bag
from seem_ros.errors import DataError
from seem_ros.perception.pictures.decoder import PictureDecoder
from seem_ros.perception.pictures.picture_file import SUFFIXES, read_picture_file
from seem_ros.perception.structures.frame import Frame

PICTURES = SUFFIXES
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
        skipped: What could not be read and was left out, so far.
    """

    name: str
    moving: bool
    count: int | None
    rate_hz: float
    frames: Iterator[tuple[str, Frame]]
    skipped: list[str] = field(default_factory=list)


def open_media(source: str, topic: str = "") -> Media:
    """Opens a source.

    Args:
        source: Path of a picture, a folder of pictures, a video, a bag (``.mcap``, ``.db3``, ``.bag``, one of them as
            ``.zstd``, or the folder of a rosbag2), or the number of a webcam.
        topic: Image topic of a bag; default the colour camera with the most messages.

    Raises:
        DataError: It does not exist, cannot be read or holds no frames.
    """
    if source.isdigit() and not Path(source).exists():
        return _video(int(source), f"webcam {source}")
    path = Path(source)
    if not path.exists():
        raise DataError(f"{path} does not exist; give a picture, a folder, a video, a bag or the number of a webcam")
    if is_bag(path):
        return _bag(path, topic)
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() in PICTURES:
        return Media(path.name, False, 1, 1.0, iter([(path.stem, Frame(read_picture_file(path).rgb))]))
    return _video(str(path), path.name)


def _natural(path: Path) -> list[str | int]:
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def _folder(path: Path) -> Media:
    # macOS leaves a ._x.png beside every x.png on foreign disks
    files = [file for file in path.iterdir() if file.suffix.lower() in PICTURES and not file.name.startswith(".")]
    files.sort(key=_natural)
    if not files:
        raise DataError(f"the folder {path} holds no pictures; known are {', '.join(sorted(PICTURES))}")
    skipped: list[str] = []

    def frames() -> Iterator[tuple[str, Frame]]:
        decoder, good = PictureDecoder(), 0
        for i, file in enumerate(files):
            try:
                rgb = decoder.read(file).rgb
            except DataError as error:
                skipped.append(str(error))
                continue
            good += 1
            yield file.stem, Frame(rgb, stamp_ns=round(i * 1e9 / _FOLDER_RATE_HZ))
        if not good:
            raise DataError(f"none of the {len(files)} pictures of {path} can be read: {skipped[0]}")

    return Media(path.name, True, len(files), _FOLDER_RATE_HZ, frames(), skipped)


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
    reader = BagReader(path, topic)
    skipped: list[str] = []
    name = f"{path.name} {reader.topic}" + (f" with {reader.depth_topic}" if reader.depth_topic else "")
    return Media(name, True, reader.count, reader.rate_hz, reader.frames(skipped), skipped)
