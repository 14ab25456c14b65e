# SPDX-License-Identifier: Apache-2.0
"""Writes videos: H.264, which browsers play, where PyAV is installed, else what OpenCV can write."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seem_ros.errors import DataError

_CODECS = ("libx264", "libopenh264")
# Of libx264: hardly to be told from the source, at a size that can be sent around.
_QUALITY = {"crf": "20", "preset": "veryfast"}


def h264_encoder() -> str:
    """The H.264 encoder that PyAV has here; empty = none."""
    try:
        import av
    except ImportError:
        return ""
    for name in _CODECS:
        try:
            av.codec.Codec(name, "w")
        except Exception:  # PyAV's error types moved between its versions
            continue
        return name
    return ""


class VideoFile:
    """An MP4 that is written picture by picture; the first one decides the size. Close it at the end.

    Args:
        path: Of the file.
        rate_hz: Pictures per second.

    Attributes:
        note: What to tell the user about it; empty where browsers play it.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        self._path, self._rate_hz = path, rate_hz
        self._size: tuple[int, int] | None = None
        self._container: Any = None
        self._stream: Any = None
        self._make_frame: Any = None
        self._writer: cv2.VideoWriter | None = None
        self.note = ""

    def add(self, rgb: np.ndarray) -> None:
        """Add a picture, uint8 [H, W, 3]; another size than the first one's is scaled to it.

        Raises:
            DataError: The video cannot be written here.
        """
        if self._size is None:
            self._open(rgb)
        if (rgb.shape[1], rgb.shape[0]) != self._size:
            rgb = cv2.resize(rgb, self._size, interpolation=cv2.INTER_AREA)
        height, width = rgb.shape[:2]
        if height % 2 or width % 2:  # colour is stored for two by two pixels
            rgb = cv2.copyMakeBorder(rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._writer is not None:
            self._writer.write(np.ascontiguousarray(rgb[:, :, ::-1]))
            return
        frame = self._make_frame(np.ascontiguousarray(rgb), format="rgb24")
        self._mux(self._stream.encode(frame))

    def _open(self, rgb: np.ndarray) -> None:
        self._size = rgb.shape[1], rgb.shape[0]
        even = rgb.shape[1] + rgb.shape[1] % 2, rgb.shape[0] + rgb.shape[0] % 2
        encoder = h264_encoder()
        if not encoder:
            self.note = "browsers do not play this MPEG-4 video; with `pip install av` it becomes H.264"
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), code, self._rate_hz, even)
            if not self._writer.isOpened():
                raise DataError(f"{self._path} cannot be written as a video")
            return
        import av

        self._make_frame = av.VideoFrame.from_ndarray
        try:
            # the index in front, so that a player can begin before it has everything
            self._container = av.open(str(self._path), "w", options={"movflags": "+faststart"})
            rate = Fraction(self._rate_hz).limit_denominator(1000)
            options = _QUALITY if encoder == "libx264" else {}
            self._stream = self._container.add_stream(encoder, rate=rate, options=options)
        except (OSError, ValueError) as error:
            raise DataError(f"{self._path} cannot be written as a video: {error}") from error
        self._stream.width, self._stream.height, self._stream.pix_fmt = *even, "yuv420p"

    def _mux(self, packets: Any) -> None:
        try:
            for packet in packets:
                self._container.mux(packet)
        except OSError as error:
            raise DataError(f"{self._path} cannot be written: {error}") from error

    def close(self) -> None:
        """Finish the file; a second time does nothing.

        Raises:
            DataError: The disk is full.
        """
        if self._writer is not None:
            self._writer.release()
        if self._container is not None:
            self._mux(self._stream.encode())
            self._container.close()
        self._writer, self._container = None, None
