# SPDX-License-Identifier: Apache-2.0
"""H.264 and H.265 as cameras stream them, packet by packet: ffmpeg_image_transport's FFMPEGPacket, Foxglove's
CompressedVideo, and CompressedImage of drivers that put such packets into it. Decoded by PyAV where it is installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seem_ros.errors import FrameError

# How the field encoding or format begins, and FFmpeg's decoder of it.
_DECODERS = {
    "h264": "h264",
    "avc": "h264",
    "libx264": "h264",
    "h265": "hevc",
    "hevc": "hevc",
    "libx265": "hevc",
}


def codec_of(msg: Any) -> str:
    """FFmpeg's decoder for a message's packets; empty where it holds pictures, one by one.

    Args:
        msg: With a field encoding (FFMPEGPacket) or format (CompressedVideo, CompressedImage).
    """
    if hasattr(msg, "step"):
        return ""  # sensor_msgs/Image has an encoding too
    name = str(getattr(msg, "encoding", "") or getattr(msg, "format", "")).strip().lower()
    # encoders are called h264_nvenc, hevc_vaapi, h264_v4l2m2m and so on
    return next((decoder for begin, decoder in _DECODERS.items() if name.startswith(begin)), "")


class VideoStream:
    """Decodes one camera's packets in their order. A picture comes when a key frame came before it."""

    def __init__(self) -> None:
        self._codec = ""
        self._context: Any = None

    def decode(self, msg: Any) -> np.ndarray | None:
        """The newest picture that is complete with this packet, uint8 [H, W, 3], or None until the next key frame.

        Raises:
            FrameError: PyAV is missing, or the packet cannot be decoded.
        """
        codec = codec_of(msg)
        try:
            import av  # only where video comes: it takes 18 MB
        except ImportError as error:
            raise FrameError(f"{codec} video needs PyAV: pip install av") from error
        if self._context is None or codec != self._codec:
            self._codec, self._context = codec, av.CodecContext.create(codec, "r")
            # no reordering and no frame threads: a picture comes out with its own packet, not some packets later
            self._context.flags |= av.codec.context.Flags.low_delay
            self._context.thread_count = 1
        try:
            frames = self._context.decode(av.Packet(bytes(msg.data)))
        except Exception as error:  # PyAV's error types moved between its versions
            if "Invalid data" in str(error):
                # what followed a packet that got lost is of no use; the decoder begins anew with the next key frame
                self._context = None
            raise FrameError(f"a packet of {codec} video cannot be decoded: {error}") from error
        return frames[-1].to_ndarray(format="rgb24") if frames else None
