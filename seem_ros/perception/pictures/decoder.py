# SPDX-License-Identifier: Apache-2.0
"""Decodes one source's messages, one after the other: a camera's, a bag topic's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.compressed_image import decode_compressed
from seem_ros.perception.pictures.grey_scale import GreyScale, measure
from seem_ros.perception.pictures.picture_file import read_picture_file
from seem_ros.perception.pictures.raw_image import Picture, decode_image
from seem_ros.perception.pictures.video_stream import VideoStream, codec_of


class PictureDecoder:
    """Remembers how bright the last deep picture was made, so that the next one is made alike.

    Attributes:
        scale: Of the last deep picture; None before the first.
    """

    def __init__(self) -> None:
        self.scale: GreyScale | None = None
        self._video = VideoStream()

    def decode(self, msg: Any, kept: GreyScale | None = None) -> Picture:
        """The picture of a message.

        Args:
            msg: sensor_msgs Image or CompressedImage.
            kept: The scale it was decoded with before, to get the same picture again.

        Raises:
            FrameError: The message cannot be read.
        """
        if codec_of(msg):
            rgb = self._video.decode(msg)
            if rgb is None:
                raise FrameError("the video waits for its next key frame")
            return Picture(rgb)
        decode = decode_compressed if hasattr(msg, "format") else decode_image
        if kept is not None:
            return decode(msg, lambda _: kept)
        return self._noted(decode(msg, self._next_scale))

    def read(self, path: Path) -> Picture:
        """The picture of a file in a sequence.

        Raises:
            DataError: It cannot be read.
        """
        return self._noted(read_picture_file(path, self._next_scale))

    def _next_scale(self, pixels: np.ndarray) -> GreyScale:
        return measure(pixels, self.scale)

    def _noted(self, picture: Picture) -> Picture:
        self.scale = picture.scale or self.scale
        return picture
