# SPDX-License-Identifier: Apache-2.0
"""A recorded clip with its ground truth, frame by frame: pictures and indexed masks in the DAVIS layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.files import share_folders
from seem_ros.perception.structures.frame import Intrinsics


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame of a clip, or of the live tabletop.

    Attributes:
        rgb: uint8 [H, W, 3].
        ids: uint8 [H, W], the truth: id of what is seen, 0 = nothing that is annotated.
        depth_m: float32 [H, W] metres, 0 where it is not known, or None.
        world_from_camera: float64 [4, 4], from the camera's optical frame to the world's, metres, or None.
    """

    rgb: np.ndarray
    ids: np.ndarray
    depth_m: np.ndarray | None = None
    world_from_camera: np.ndarray | None = None


def find_clip(name: str) -> Path:
    """The folder of a clip: a path, or the name of one that comes with seem_ros.

    Raises:
        DataError: There is none.
    """
    for place in (Path(name), *(share / "models" / "clips" / name for share in share_folders())):
        if (place / "JPEGImages").is_dir():
            return place
    raise DataError(f"there is no clip {name!r}: neither a folder with JPEGImages/ nor one that comes with seem_ros")


class RecordedClip:
    """A clip on disk.

    Args:
        folder: With JPEGImages/<name>, Annotations/<name> and Truth/<name>/truth.json, for one name, and with
            Truth/<name>/depth, 16-bit pictures in millimetres, where there is depth.

    Attributes:
        rate_hz: Pictures a second.
        intrinsics: Of the camera, None where they are not known.
        names: Of the objects, by id.

    Raises:
        DataError: Something is missing or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            name = sorted(path.name for path in (folder / "JPEGImages").iterdir() if path.is_dir())[0]
            truth = json.loads((folder / "Truth" / name / "truth.json").read_text())
            self.rate_hz = float(truth["rate_hz"])
            matrix = truth["intrinsics"]
            self.intrinsics = None if matrix is None else Intrinsics.of_matrix(np.array(matrix, float))
            self.names: dict[int, str] = {int(item["id"]): str(item["name"]) for item in truth["instances"]}
            places = [np.array(frame["world_from_camera"], np.float64) for frame in truth.get("frames", ())]
        except (OSError, IndexError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{folder} is not a recorded clip: {error!r}") from error
        self._pictures = sorted((folder / "JPEGImages" / name).glob("*.jpg"))
        self._masks, self._depth, self._places = (
            folder / "Annotations" / name,
            folder / "Truth" / name / "depth",
            places,
        )
        if not self._pictures:
            raise DataError(f"{folder} has no pictures")

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[Shot]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> Shot:
        """One frame.

        Raises:
            DataError: It cannot be read.
        """
        path = self._pictures[index]
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        # the masks are palette images; the number of a colour in the palette is the id
        ids = _palette_indices(self._masks / f"{path.stem}.png")
        if bgr is None or ids is None or ids.shape != bgr.shape[:2]:
            raise DataError(f"frame {path.stem} of the clip cannot be read, or its mask has another size")
        depth_m = None
        if self._depth.is_dir():
            depth_mm = cv2.imread(str(self._depth / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
            if depth_mm is None or depth_mm.shape != ids.shape or depth_mm.dtype != np.uint16:
                raise DataError(
                    f"depth of frame {path.stem} of the clip is missing, or is no 16-bit picture of its size"
                )
            depth_m = depth_mm.astype(np.float32) / 1000
        place = self._places[index] if index < len(self._places) else None
        return Shot(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), ids, depth_m, place)


def _palette_indices(path: Path) -> np.ndarray | None:
    """The indices of a palette PNG whose palette is DAVIS': the bits of the index spread over red, green and blue."""
    bgr: np.ndarray | None = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        return None
    index = np.zeros(bgr.shape[:2], np.uint8)
    for bit in range(8):
        channel = 2 - bit % 3  # red holds bits 0, 3 and 6
        index |= ((bgr[:, :, channel] >> (7 - bit // 3)) & 1) << bit
    return index
