# SPDX-License-Identifier: Apache-2.0
"""Files of the cache: each carries its own checksum, one that is damaged counts as none, and they do not fill the disk.

A cache that is full, read-only or not there costs speed, never an answer: nothing here raises.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seem_ros.files import expanded, write_atomically

_MAGIC = b"seem_ros cache 1\n"
_HEADER_BYTES = len(_MAGIC) + hashlib.sha256().digest_size
# Of OpenVINO's compiled graphs, and of TensorRT's engines: each is about as large as its weights, 19 MB for the
# built-in model's encoder. Every other version, driver, precision and number of threads makes new ones.
MAX_COMPILED_BYTES = 4 << 30
_KEPT_SHARE = 0.75  # of a limit after clearing, so that not every new file clears again
_ABANDONED_S = 3600.0  # after this a temporary file is a dead process's
_MADV_PAGEOUT = 21  # of Linux 5.4 and newer; unlike MADV_DONTNEED it never loses what was written
_log = logging.getLogger(__name__)


def read_sealed(path: Path) -> bytes | None:
    """The content of a cached file; None where there is none, or it is truncated, altered or foreign."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _say_unreadable(path, error)
        return None
    return bytes(memoryview(whole)[_HEADER_BYTES:]) if _is_whole(path, whole) else None


@dataclass(frozen=True)
class MappedFile:
    """A cached file of which the system holds in memory what is used, and no more.

    Attributes:
        content: uint8 [n], what was sealed. The array may be written to, the file stays as it is.
    """

    content: np.ndarray
    _pages: mmap.mmap

    def rest(self) -> None:
        """Lets go of the memory until somebody reads again; where the system cannot, nothing happens."""
        with contextlib.suppress(OSError, ValueError):
            self._pages.madvise(_MADV_PAGEOUT)


def map_sealed(path: Path) -> MappedFile | None:
    """As `read_sealed`, for what stays in use as long as the process: read from the disk where and when it is used."""
    try:
        with path.open("rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        _say_unreadable(path, error)
        return None
    whole = np.frombuffer(pages, np.uint8)
    return MappedFile(whole[_HEADER_BYTES:], pages) if _is_whole(path, pages) else None


def _is_whole(path: Path, whole: bytes | mmap.mmap) -> bool:
    """Whether a file is sealed and unaltered; notes that it is of use."""
    with memoryview(whole) as view, view[_HEADER_BYTES:] as content:
        seal = _MAGIC + hashlib.sha256(content).digest()
    if whole[:_HEADER_BYTES] != seal:
        _log.warning("%s is damaged and will be made again", path)
        return False
    mark_used(path)
    return True


def _say_unreadable(path: Path, error: Exception) -> None:
    _log.warning("%s cannot be read and will be made again: %s", path, error)


def write_sealed(path: Path, content: bytes, durable: bool = True) -> bool:
    """Keeps something in the cache, whole or not at all; False where that cannot be done.

    Args:
        path: The file; its folder is made if missing.
        content: Anything.
        durable: Wait until it is on the disk. Without, a power cut may lose or spoil it, which reading notices.
    """
    try:
        write_atomically(path, _MAGIC + hashlib.sha256(content).digest() + content, durable)
    except (OSError, ValueError) as error:
        _log.info("%s cannot be kept: %s", path, error)
        return False
    return True


def mark_used(path: Path) -> None:
    """Notes that a cached file is of use, so that others go before it (`clear_oldest`)."""
    with contextlib.suppress(OSError):
        os.utime(path)


def clear_oldest(folder: Path, suffix: str, max_bytes: int, beside: str = "") -> int:
    """Removes the files of a cache that were made or used longest ago, where they take more than a limit.

    What dead processes left half written goes as well; files of other names are nobody's business.

    Args:
        folder: Of the files, or of folders with them.
        suffix: Of the files that count, e.g. ``.text``.
        max_bytes: The limit; where it is exceeded a quarter less stays, or the newest alone.
        beside: Suffix of a file that belongs to each and goes before it.

    Returns:
        Bytes of those that stay.
    """
    entries, now_s, paths = [], time.time(), []
    with contextlib.suppress(OSError):
        paths = [*folder.glob(f"*{suffix}*"), *folder.glob(f"*/*{suffix}*")]
    for path in paths:
        with contextlib.suppress(OSError):  # another node may remove it at the same time
            about = path.stat()
            if path.name.startswith("."):  # a temporary file of `write_atomically`
                if f"{suffix}." in path.name and now_s - about.st_mtime > _ABANDONED_S:
                    path.unlink()
            elif path.suffix == suffix:
                entries.append((about.st_mtime, about.st_size, path))
    total = sum(size for _, size, _ in entries)
    if total <= max_bytes:
        return total
    for _, size, path in sorted(entries)[:-1]:  # the newest stays, however large
        if total <= _KEPT_SHARE * max_bytes:
            break
        with contextlib.suppress(OSError):
            if beside:
                path.with_suffix(beside).unlink(missing_ok=True)
            path.unlink()
            total -= size
    return total


def default_cache_dir() -> Path:
    """``$SEEM_ROS_CACHE``, else ``$XDG_CACHE_HOME/seem_ros``, else ``~/.cache/seem_ros``.

    Raises:
        BackendError: ``$SEEM_ROS_CACHE`` names a user that there is not.
    """
    if os.environ.get("SEEM_ROS_CACHE"):
        return expanded(os.environ["SEEM_ROS_CACHE"], "$SEEM_ROS_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "seem_ros"
    except RuntimeError:  # a user without a home folder: a place where nothing can be written
        return Path(os.devnull) / "seem_ros"
