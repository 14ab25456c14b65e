# SPDX-License-Identifier: Apache-2.0
"""Pictures of a ROS bag, with depth where it was recorded; no ROS needed."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2

from seem_ros.errors import DataError, FrameError, SeemError
from seem_ros.perception.pictures.calibration import intrinsics_of, is_rectified_topic
from seem_ros.perception.pictures.decoder import PictureDecoder
from seem_ros.perception.pictures.depth_image import decode_depth
from seem_ros.perception.structures.frame import Frame

BAG_SUFFIXES = frozenset({".mcap", ".db3", ".bag"})
IMAGE_TYPE, COMPRESSED_TYPE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
VIDEO_TYPES = ("ffmpeg_image_transport_msgs/msg/FFMPEGPacket", "foxglove_msgs/msg/CompressedVideo")
PICTURE_TYPES = (IMAGE_TYPE, COMPRESSED_TYPE, *VIDEO_TYPES)
NS_PER_S = 1_000_000_000
# As the node's parameter depth_tolerance_s; and how many depth images and pictures wait for their partners.
DEPTH_TOLERANCE_S, WAITING = 0.02, 8
_DEPTH_ENCODINGS = ("16uc1", "32fc1", "64fc1")
_GREY_ENCODINGS = ("mono8", "mono16", "8uc1")
# In the names of topics that show no scene for the eye.
_NO_SCENES = ("depth", "infra", "disparity", "label", "mask", "confidence")


class BagReader:
    """The pictures of one topic of a bag. Walk `frames` once; it closes the bag at its end.

    Args:
        path: A rosbag2 folder (with or without metadata.yaml), an ``.mcap``, ``.db3`` or ``.bag`` file, or one of them
            compressed (``.zstd``).
        topic: To read; empty = the colour camera with the most messages.

    Attributes:
        topic: That is read.
        depth_topic: That gives depth; empty = none.
        count: Pictures on the topic.
        rate_hz: Pictures per second.

    Raises:
        DataError: It cannot be read, or has no such pictures.
    """

    def __init__(self, path: Path, topic: str = "") -> None:
        self._path, self._open = path, ExitStack()
        self._depths: deque[tuple[int, Any]] = deque(maxlen=WAITING)
        try:
            self._reader = self._opened(path)
            self._image = self._chosen(topic)
            self.topic = self._image.topic
            self.count = sum(int(one.msgcount) for one in self._reader.connections if one.topic == self.topic)
            self._depth, self._info = self._partners()
        except BaseException:
            self._open.close()
            raise
        self.depth_topic = self._depth.topic if self._depth is not None else ""
        self.rate_hz = max(self.count / max(self._reader.duration * 1e-9, 1e-3), 1.0)

    # -------------------------------------------------------------------------------------------------- opening

    def _opened(self, path: Path) -> Any:
        try:
            from rosbags.highlevel import AnyReader
            from rosbags.typesys import Stores, get_typestore
        except ImportError as error:
            raise DataError(f"reading a bag needs rosbags ({error.name} is missing): pip install rosbags") from error
        files = [self._plain(file) for file in bag_files(path)]
        try:
            reader = AnyReader(files, default_typestore=get_typestore(Stores.LATEST))
            self._open.enter_context(reader)
        except Exception as error:  # the library raises many kinds for files that are no bags
            raise DataError(f"{path} cannot be read as a bag: {error}") from error
        return reader

    def _plain(self, file: Path) -> Path:
        """The file itself, or what a compressed one holds, in a folder that goes when the bag is closed."""
        if file.suffix != ".zstd":
            return file
        try:
            from compression import zstd
        except ImportError:
            try:
                from backports import zstd
            except ImportError as error:
                raise DataError(f"{file} is compressed: pip install backports.zstd") from error
        folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="seem_bag_"))
        plain = Path(folder, file.stem)
        try:
            with zstd.open(file, "rb") as packed, plain.open("wb") as out:
                shutil.copyfileobj(packed, out)
        except (OSError, EOFError, zstd.ZstdError) as error:
            raise DataError(f"{file} cannot be decompressed: {error}") from error
        return plain

    # ------------------------------------------------------------------------------------------------- choosing

    def _chosen(self, topic: str) -> Any:
        images = [one for one in self._reader.connections if one.msgtype in PICTURE_TYPES]
        filled = [one for one in images if one.msgcount and (one.topic == topic or not topic)]
        if not filled:
            known = ", ".join(sorted({one.topic for one in images})) or "none"
            raise DataError(f"{self._path} has no pictures on {topic or 'any topic'}; its image topics: {known}")
        return min(filled, key=self._rank)

    def _rank(self, connection: Any) -> tuple[int, int, int, str]:
        """The colour camera first, then grey ones; depth only where there is nothing else."""
        first = self._first(connection)
        encoding = "" if first is None else str(getattr(first, "encoding", "") or getattr(first, "format", "")).lower()
        kind = 2 if encoding.startswith(_DEPTH_ENCODINGS) or "compresseddepth" in encoding else 0
        kind = 1 if encoding.startswith(_GREY_ENCODINGS) else kind
        named = any(word in connection.topic.lower() for word in _NO_SCENES)
        return kind, int(named), -int(connection.msgcount), connection.topic

    def _first(self, connection: Any) -> Any | None:
        try:
            _, _, data = next(self._reader.messages(connections=[connection]))
            return self._reader.deserialize(data, connection.msgtype)
        except Exception:  # a broken message is told where the pictures are read
            return None

    def _partners(self) -> tuple[Any | None, Any | None]:
        """Depth and calibration that belong to the pictures."""
        infos = [one for one in self._reader.connections if one.msgtype == INFO_TYPE and one.msgcount]
        base = self.topic.removesuffix("/compressed").removesuffix("/ffmpeg")
        beside = f"{base.rpartition('/')[0]}/camera_info"
        info = next((one for one in infos if one.topic == beside), None)
        if info is None:
            return None, None
        return (self._depth_of_the_camera() if self._first(info) is not None else None), info

    def _depth_of_the_camera(self) -> Any | None:
        """Of several cameras' depth the one whose name begins as the picture's; None where all are others'."""
        pictures = [one for one in self._reader.connections if one.msgtype in PICTURE_TYPES and one.msgcount]
        ranks = [(one, self._rank(one)) for one in pictures if one.topic != self.topic]
        # what shows the scene as well as the picture does, and may be the one that a depth belongs to
        kind = self._rank(self._image)[0]
        others = [one.topic for one, rank in ranks if rank[0] <= min(kind, 1) and not rank[1]]
        depths = [
            one
            for one, rank in ranks
            if rank[0] == 2 and one.msgtype in (IMAGE_TYPE, COMPRESSED_TYPE)
            if all(_shared_parts(one.topic, self.topic) >= _shared_parts(one.topic, other) for other in others)
        ]
        # depth registered to the picture: realsense calls it aligned_depth_to_color, others just depth
        return min(
            depths,
            key=lambda one: (
                -_shared_parts(one.topic, self.topic),
                "aligned" not in one.topic and "regist" not in one.topic,
                one.topic,
            ),
            default=None,
        )

    # -------------------------------------------------------------------------------------------------- reading

    def frames(self, skipped: list[str]) -> Iterator[tuple[str, Frame]]:
        """The pictures in their order, with depth and lens where they were recorded.

        Args:
            skipped: Is told about each picture that cannot be read and is left out.

        Raises:
            DataError: Not one could be read.
        """
        decoder, number, good = PictureDecoder(), 0, 0
        waiting: deque[tuple[str, int, Frame]] = deque()
        lens_info: Any = None
        with self._open:
            for connection, time_ns, message, problem in self._messages():
                if self._info is not None and connection.topic == self._info.topic:
                    lens_info = message or lens_info
                    continue
                stamp_ns = time_ns if message is None else _stamp_ns(message) or time_ns
                if connection.topic == self.depth_topic:
                    if message is not None:
                        self._depths.append((stamp_ns, message))
                else:
                    name, number = f"frame_{number:06d}", number + 1
                    try:
                        if problem:
                            raise FrameError(problem)
                        rgb = decoder.decode(message).rgb
                        waiting.append((name, stamp_ns, Frame(rgb, stamp_ns, _frame_id(message))))
                    except (SeemError, ValueError, cv2.error) as error:
                        skipped.append(f"{name} of {self.topic}: {error}")
                while waiting and (len(waiting) > WAITING or self._is_settled(waiting[0][1])):
                    good += 1
                    yield self._with_depth(waiting.popleft(), lens_info, skipped)
            for one in waiting:
                good += 1
                yield self._with_depth(one, lens_info, skipped)
        if not good:
            raise DataError(f"{self._path} has {number} pictures on {self.topic}, and none can be read: {skipped[0]}")

    def _messages(self) -> Iterator[tuple[Any, int, Any, str]]:
        """Connection, time, message and what is wrong with it, in the order of recording."""
        topics = {one.topic for one in (self._image, self._depth, self._info) if one is not None}
        wanted = [one for one in self._reader.connections if one.topic in topics]  # one a file of a split bag
        for connection, time_ns, data in self._reader.messages(connections=wanted):
            try:
                yield connection, time_ns, self._reader.deserialize(data, connection.msgtype), ""
            except Exception as error:  # the library raises many kinds for broken messages
                yield connection, time_ns, None, f"the message is broken: {error}"

    def _is_settled(self, stamp_ns: int) -> bool:
        if self._depth is None:
            return True
        return any(
            depth_ns > stamp_ns or abs(depth_ns - stamp_ns) <= DEPTH_TOLERANCE_S * NS_PER_S
            for depth_ns, _ in self._depths
        )

    def _with_depth(self, waiting: tuple[str, int, Frame], info: Any, skipped: list[str]) -> tuple[str, Frame]:
        name, stamp_ns, frame = waiting
        near = min(self._depths, key=lambda one: abs(one[0] - stamp_ns), default=None)
        if info is None or near is None or abs(near[0] - stamp_ns) > DEPTH_TOLERANCE_S * NS_PER_S:
            return name, frame
        try:
            lens = intrinsics_of(info, frame.height, frame.width, is_rectified_topic(self.topic))
            depth_m = decode_depth(near[1])
            return name, Frame(frame.rgb, stamp_ns, frame.frame_id, "", depth_m, lens)
        except FrameError as error:
            note = f"no positions: {error}"
            if note not in skipped:
                skipped.append(note)
            return name, frame


def _shared_parts(one: str, other: str) -> int:
    """With how many parts in common two topics' names begin."""
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def is_bag(path: Path) -> bool:
    """Whether a path looks like a bag: a file with a bag's suffix, or a folder that holds some."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or bool(_inside(path))
    return path.suffix.lower() in BAG_SUFFIXES or _is_packed(path)


def bag_files(path: Path) -> list[Path]:
    """What the bag library has to open for a path."""
    if path.is_dir():
        return [path] if (path / "metadata.yaml").is_file() else _inside(path)
    metadata = path.parent / "metadata.yaml"
    # messages that were compressed one by one can be read only with what the folder's metadata says
    if path.suffix == ".db3" and metadata.is_file():
        said = metadata.read_text(errors="replace").lower().replace('"', "").replace("'", "")
        if "compression_mode: message" in said:
            return [path.parent]
    return [path]


def _inside(folder: Path) -> list[Path]:
    files = [one for one in folder.iterdir() if one.suffix.lower() in BAG_SUFFIXES or _is_packed(one)]
    return sorted((one for one in files if not one.name.startswith(".")), key=lambda one: (len(one.name), one.name))


def _is_packed(path: Path) -> bool:
    return path.suffix == ".zstd" and Path(path.stem).suffix.lower() in BAG_SUFFIXES


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp if hasattr(message, "header") else message.timestamp
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def _frame_id(message: Any) -> str:
    return str(message.header.frame_id if hasattr(message, "header") else message.frame_id)
