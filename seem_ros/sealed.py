# SPDX-License-Identifier: Apache-2.0
"""Files of the cache: each carries its own checksum, and one that is damaged counts as none.

A cache that is full, read-only or not there costs speed, never an answer: writing never raises.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from seem_ros.files import expanded, write_atomically

_MAGIC = b"seem_ros cache 1\n"
_HEADER_BYTES = len(_MAGIC) + hashlib.sha256().digest_size
_log = logging.getLogger(__name__)


def read_sealed(path: Path) -> bytes | None:
    """The content of a cached file; None where there is none, or it is truncated, altered or foreign."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("%s cannot be read and will be made again: %s", path, error)
        return None
    content = memoryview(whole)[_HEADER_BYTES:]
    if not whole.startswith(_MAGIC) or hashlib.sha256(content).digest() != whole[len(_MAGIC) : _HEADER_BYTES]:
        _log.warning("%s is damaged and will be made again", path)
        return None
    return bytes(content)


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
