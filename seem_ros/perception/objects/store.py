# SPDX-License-Identifier: Apache-2.0
"""Taught views on disk: one folder each, which appears all at once or not at all.

``<folder>/<name, simplified>-<hash>/<time>/`` holds ``picture.png``, ``mask.png`` and ``view.json`` (name, time, and
the files' hashes). A view is written beside and renamed into place, so a power cut leaves nothing half. Only what was
written here is ever removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seem_ros.errors import FrameError, SeemError
from seem_ros.perception.objects.taught import ObjectError, TaughtView, check_name

FORMAT = 1
PICTURE, MASK, RECORD = "picture.png", "mask.png", "view.json"
FILES = (PICTURE, MASK, RECORD)
MAX_RECORD_BYTES = 10_000
MAX_FILE_BYTES = 64_000_000  # above any PNG of 1920 x 1920 pixels
_MAX_READ_SIDE_PX = 8192
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, eq=False)
class StoredView:
    """A view and the folder it lies in."""

    name: str
    view: TaughtView
    folder: Path


class ObjectStore:
    """Reads and writes views below one folder, which is made when the first is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> tuple[list[StoredView], list[str]]:
        """All views that can be read, oldest first, and what is wrong with the others."""
        found: list[StoredView] = []
        problems: list[str] = []
        try:
            folders = list(self._view_folders(problems))
        except OSError as error:
            return [], [f"{self.folder} cannot be read: {error.strerror or error}"]
        for folder in folders:
            try:
                found.append(_read(folder))
            except (SeemError, OSError) as error:
                problems.append(f"{folder} is left out: {error}")
        return sorted(found, key=lambda stored: (stored.view.taught_ns, str(stored.folder))), problems

    def _view_folders(self, problems: list[str]) -> Iterator[Path]:
        if not self.folder.exists():
            return
        for object_folder in sorted(self.folder.iterdir()):
            try:
                yield from _shown_folders(object_folder)
            except OSError as error:  # somebody else's, such as a disk's lost+found
                problems.append(f"{object_folder} is left out: {error.strerror or error}")

    def write(self, name: str, view: TaughtView) -> StoredView:
        """Keep a view.

        Raises:
            ObjectError: The disk does not take it; nothing of it is left there.
        """
        files = {
            PICTURE: _png(cv2.cvtColor(view.rgb, cv2.COLOR_RGB2BGR)),
            MASK: _png(view.mask.astype(np.uint8) * 255),
        }
        record = {"format": FORMAT, "name": name, "taught_ns": view.taught_ns}
        record |= {"sha256": {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}}
        files[RECORD] = json.dumps(record, indent=1, ensure_ascii=False).encode()
        beside = self.folder / f".new-{uuid.uuid4().hex}"
        final = self.folder / _simplified(name) / f"{view.taught_ns}-{beside.name[-6:]}"
        try:
            beside.mkdir(parents=True)
            for file, data in files.items():
                _write_through(beside / file, data)
            final.parent.mkdir(exist_ok=True)
            os.rename(beside, final)
            for folder in (final, final.parent, self.folder):
                _flush(folder)
        except OSError as error:
            _remove(beside)
            raise ObjectError(f"{name!r} cannot be kept in {self.folder}: {error.strerror or error}") from error
        return StoredView(name, view, final)

    def remove(self, stored: StoredView) -> None:
        """Take a view off the disk.

        Raises:
            ObjectError: The disk does not let it go.
        """
        gone = stored.folder.parent / f".gone-{uuid.uuid4().hex}"
        try:
            if stored.folder.exists():  # else somebody removed it by hand
                os.rename(stored.folder, gone)
        except OSError as error:
            raise ObjectError(f"{stored.folder} cannot be removed: {error.strerror or error}") from error
        _remove(gone)
        try:
            stored.folder.parent.rmdir()
        except OSError:
            pass  # other views, or files that are not ours


def _shown_folders(folder: Path) -> list[Path]:
    """The folders in a folder, in order, without hidden ones; none in a hidden one or a file."""
    if folder.name.startswith(".") or not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if not one.name.startswith(".") and one.is_dir())


def _simplified(name: str) -> str:
    """A folder's name that is safe everywhere, readable, and different for different names."""
    words = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:40]
    return f"{words or 'object'}-{hashlib.sha256(name.casefold().encode()).hexdigest()[:8]}"


def _png(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", image)
    if not done:
        raise ObjectError("the picture cannot be written as PNG")
    return data.tobytes()


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(folder: Path) -> None:
    """Remove a folder with our files, as far as the disk lets us; it is hidden and will not be read."""
    try:
        for file in FILES:
            (folder / file).unlink(missing_ok=True)
        folder.rmdir()
    except OSError:
        pass


def _read(folder: Path) -> StoredView:
    record_file = folder / RECORD
    if record_file.stat().st_size > MAX_RECORD_BYTES:
        raise ObjectError(f"{RECORD} is larger than {MAX_RECORD_BYTES} bytes")
    try:
        record = json.loads(record_file.read_bytes())
        version, name, taught_ns = record["format"], record["name"], record["taught_ns"]
        hashes = record["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ObjectError(f"{RECORD} is damaged ({type(error).__name__}: {error})") from error
    if version != FORMAT:
        raise ObjectError(f"{RECORD} has format {version!r}, this version reads {FORMAT}")
    if not isinstance(name, str) or not isinstance(taught_ns, int) or not isinstance(hashes, dict):
        raise ObjectError(f"{RECORD} is damaged: name, taught_ns or sha256 has another type")
    picture = _read_png(folder / PICTURE, hashes.get(PICTURE), cv2.IMREAD_COLOR)
    mask = _read_png(folder / MASK, hashes.get(MASK), cv2.IMREAD_GRAYSCALE)
    view = TaughtView(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), mask > 127, taught_ns)
    return StoredView(check_name(name), view, folder)


def _read_png(path: Path, sha256: str | None, how: int) -> np.ndarray:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ObjectError(f"{path.name} is larger than {MAX_FILE_BYTES} bytes")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ObjectError(f"{path.name} is damaged: it is not what was written")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(_PNG_HEAD) or max(width, height) > _MAX_READ_SIDE_PX:
        raise ObjectError(f"{path.name} is no PNG of at most {_MAX_READ_SIDE_PX} pixels a side")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    if image is None:
        raise FrameError(f"{path.name} cannot be decoded")
    return image
