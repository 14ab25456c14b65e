# SPDX-License-Identifier: Apache-2.0
"""Writes clips to disk: DAVIS folders of pictures and indexed masks, depth after REP 118, truth as JSON, a video."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from seem_ros.errors import DataError
from seem_ros.files import MadeFiles, check_name, claim_folder
from seem_ros.sim.ground_truth import RenderedFrame

#: Objects with fewer visible pixels in the first frame are left out of a clip's DAVIS annotation.
LEAST_FIRST_PX = 80


def davis_palette() -> list[int]:
    """Returns the 256 colours (768 numbers) that label viewers expect: the bits of the id spread over R, G and B."""
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        source = np.arange(256) >> (3 * bit)
        for channel in range(3):
            palette[:, channel] |= (((source >> channel) & 1) << (7 - bit)).astype(np.uint8)
    return palette.ravel().tolist()


def depth_to_mm(depth_m: np.ndarray) -> np.ndarray:
    """Turns metres (float32) into the uint16 millimetres of REP 118; what does not fit becomes 0, "unknown"."""
    millimetres = np.round(np.nan_to_num(depth_m.astype(np.float64), nan=0, posinf=0, neginf=0) * 1000)
    return np.where((millimetres > 0) & (millimetres <= 65535), millimetres, 0).astype(np.uint16)


class ClipWriter:
    """Writes one clip frame by frame; `close` finishes its truth.json and video.

    Under the root: JPEGImages/NAME/00000.jpg, Annotations/NAME/00000.png (ids of the objects that are visible in the
    first frame, 0 for all else), Truth/NAME/ids/00000.png (every instance, stuff included),
    Truth/NAME/depth/00000.png, Truth/NAME/truth.json and NAME.mp4.

    Args:
        root: folder of the data set, made if missing.
        name: the clip's name.
        rate_hz: frames per second.
        jpeg_quality: 1 to 100.
        depth: whether depth is written.
        all_ids: whether Truth/NAME/ids is written.
        video: whether the mp4 is written.

    Raises:
        DataError: the name is a path, files of this name are there that no recording made, the disk is full, the folder
            cannot be written, or no video encoder is there.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        rate_hz: float,
        *,
        jpeg_quality: int = 92,
        depth: bool = True,
        all_ids: bool = True,
        video: bool = True,
    ) -> None:
        self._root, self._name = Path(root), check_name("a clip", name)
        self._rate_hz, self._quality = rate_hz, jpeg_quality
        self._folders = {"rgb": self._root / "JPEGImages" / name, "objects": self._root / "Annotations" / name}
        truth = self._root / "Truth" / name
        if all_ids:
            self._folders["ids"] = truth / "ids"
        if depth:
            self._folders["depth"] = truth / "depth"
        self._truth_path, self._want_video = truth / "truth.json", video
        self._video: cv2.VideoWriter | None = None
        self._frames: list[dict] = []
        self._first: RenderedFrame | None = None
        self._annotated = np.zeros(256, np.uint8)
        self._palette = davis_palette()
        places = [str(folder.relative_to(self._root)) for folder in (*self._folders.values(), truth)]
        claim_folder(self._root, [*places, f"{name}.mp4"])
        try:
            self._made = MadeFiles(self._root, places)
            for folder in (*self._folders.values(), truth):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"the clip's folders cannot be made under {root}: {error.strerror or error}") from error

    def add(self, frame: RenderedFrame) -> None:
        """Writes one frame. Raises DataError when it cannot be written."""
        if self._first is None:
            self._begin(frame)
        stem = f"{len(self._frames):05d}"
        area = np.bincount(frame.ids.ravel(), minlength=256)
        self._picture(
            self._folders["rgb"] / f"{stem}.jpg", frame.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self._quality]
        )
        self._indexed(self._folders["objects"] / f"{stem}.png", self._annotated[frame.ids])
        if "ids" in self._folders:
            self._indexed(self._folders["ids"] / f"{stem}.png", frame.ids)
        if "depth" in self._folders:
            smallest = [cv2.IMWRITE_PNG_COMPRESSION, 9]  # half of OpenCV's default: depth is slopes, not runs
            self._picture(self._folders["depth"] / f"{stem}.png", depth_to_mm(frame.depth_m), smallest)
        if self._video is not None:
            self._video.write(np.ascontiguousarray(frame.rgb[..., ::-1]))
        self._frames.append(
            {
                "stamp_ns": frame.stamp_ns,
                "world_from_camera": np.round(frame.world_from_camera, 6).tolist(),
                "world_from_object": {
                    str(key): np.round(pose, 5).tolist() for key, pose in frame.world_from_object.items()
                },
                "visible_px": {str(item.id): int(area[item.id]) for item in frame.instances},
            }
        )

    def close(self, **extra: object) -> Path:
        """Writes truth.json (with any extra fields) and ends the video; returns the path of truth.json.

        Raises:
            DataError: no frame was added, or the disk is full.
        """
        if self._video is not None:
            self._video.release()
        if self._first is None:
            raise DataError(f"clip {self._name} has no frames")
        truth = {
            "name": self._name,
            "rate_hz": self._rate_hz,
            "height": self._first.ids.shape[0],
            "width": self._first.ids.shape[1],
            "intrinsics": self._first.intrinsics.tolist(),
            "instances": [item.as_dict() for item in self._first.instances],
            "annotated_ids": np.flatnonzero(self._annotated).tolist(),
            **extra,
            "frames": self._frames,
        }
        try:
            self._made.note()
            self._truth_path.write_text(json.dumps(truth))
        except OSError as error:
            raise DataError(f"{self._truth_path} cannot be written: {error.strerror or error}") from error
        return self._truth_path

    def _begin(self, frame: RenderedFrame) -> None:
        self._first = frame
        area = np.bincount(frame.ids.ravel(), minlength=256)
        for item in frame.instances:
            if item.isthing and area[item.id] >= LEAST_FIRST_PX:
                self._annotated[item.id] = item.id
        if self._want_video:
            height, width = frame.ids.shape
            path = self._root / f"{self._name}.mp4"
            self._video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), self._rate_hz, (width, height))
            if not self._video.isOpened():
                raise DataError(f"{path} cannot be written: this OpenCV has no MPEG-4 encoder or the disk is full")

    def _picture(self, path: Path, array: np.ndarray, options: list[int]) -> None:
        done, data = cv2.imencode(path.suffix, array, options)
        if not done:
            raise DataError(f"{path} cannot be encoded")
        try:
            self._made.add(path).write_bytes(data.tobytes())
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}") from error

    def _indexed(self, path: Path, ids: np.ndarray) -> None:
        picture = Image.fromarray(ids)
        picture.putpalette(self._palette)
        try:
            picture.save(self._made.add(path), optimize=True)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def write_list(root: Path, names: list[str], split: str = "val") -> None:
    """Adds to DAVIS' list of sequences, ImageSets/2017/SPLIT.txt. Raises DataError when it cannot be written."""
    try:
        path = Path(root) / "ImageSets" / "2017" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        path.write_text("".join(f"{name}\n" for name in dict.fromkeys((*before, *names))), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of clips cannot be written under {root}: {error}") from error
