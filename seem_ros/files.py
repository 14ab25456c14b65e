# SPDX-License-Identifier: Apache-2.0
"""Names that are no paths, folders that nobody else's files are lost in, files that are whole or not there.

A tool removes or overwrites only what it made itself. What it made is listed in a small file inside its folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from seem_ros.errors import BackendError, DataError

MAX_NAME_CHARACTERS = 100  # with a suffix it still fits the 255 bytes that file systems give a name
MARKER = ".seem_ros_made"
_NAME = re.compile(r"\w[\w .+-]*")


def check_name(what: str, name: object, error: type[Exception] = DataError) -> str:
    """A name that becomes a file's or folder's name, as it is.

    Args:
        what: What it names, for the message.
        name: A letter, digit or _ first, then also space, point, plus and minus.
        error: What to raise.

    Raises:
        error: It is empty, too long, or could lead out of its folder.
    """
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise error(
            f"{what} must be a name of 1 to {MAX_NAME_CHARACTERS} letters, digits, spaces, or any of _ . + - and begin "
            f"with a letter, digit or _, not a path; got {str(name)[:60]!r}"
        )
    return name


def unused_name(name: str, is_used: Callable[[str], bool]) -> str:
    """A name as it is, or with the first number from 2 on that makes it another one: photo.jpg beside photo.png."""
    numbered = (f"{name}_{again}" for again in itertools.count(2))
    return next(one for one in itertools.chain([name], numbered) if not is_used(one))


def share_folders() -> Iterator[Path]:
    """Where models/ and config/ of this package may lie: a source tree, a ROS installation, a pip installation."""
    yield Path(__file__).resolve().parents[1]
    for prefix in (*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix):
        if prefix:
            yield Path(prefix) / "share" / "seem_ros"


def claim_folder(folder: Path, outputs: Iterable[str]) -> None:
    """Makes a tool's output folder, and notes what it will write there.

    Args:
        folder: Made if missing; may hold anything else.
        outputs: Files and folders to be written, relative to ``folder``.

    Raises:
        DataError: One of the outputs is there already and was not made by such a tool, or the folder cannot be made.
    """
    folder, outputs = Path(folder), list(outputs)
    marker = folder / MARKER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours = _listed(marker)
        foreign = [name for name in outputs if name not in ours and os.path.lexists(folder / name)]
        if foreign:
            raise DataError(
                f"{folder} holds {', '.join(foreign)}, which this tool did not make and will not overwrite; give "
                "another folder"
            )
        if set(outputs) - ours:
            _list(marker, ours | set(outputs))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "") or error
        raise DataError(f"the folder {folder} cannot be made or written: {reason}") from error


class MadeFiles:
    """The files that a tool writes below folders of its output folder; what it wrote there before is removed first.

    So a second run leaves no picture of the first one among its own, and none of anybody else's is lost.

    Args:
        folder: Claimed with `claim_folder`.
        below: Folders in it, relative.
    """

    def __init__(self, folder: Path, below: Iterable[str]) -> None:
        self._folder, self._made = Path(folder), list[str]()
        folders = {place.rstrip("/") for place in below}
        inside = tuple(f"{place}/" for place in folders)
        listed = _listed(self._folder / MARKER)
        before = {name for name in listed - folders if name.startswith(inside) and ".." not in Path(name).parts}
        for name in before:
            (self._folder / name).unlink(missing_ok=True)
        _list(self._folder / MARKER, listed - before)

    def add(self, path: Path) -> Path:
        """Notes a file that is about to be written; returns it."""
        self._made.append(path.relative_to(self._folder).as_posix())
        return path

    def __enter__(self) -> MadeFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.note()

    def note(self) -> None:
        """Writes the list for the next run; also after an interruption."""
        _list(self._folder / MARKER, _listed(self._folder / MARKER) | set(self._made))


def _listed(marker: Path) -> set[str]:
    return set(marker.read_text(encoding="utf-8").splitlines()) if marker.is_file() else set()


def _list(marker: Path, names: Iterable[str]) -> None:
    write_atomically(marker, "".join(f"{name}\n" for name in sorted(names)).encode(), durable=False)


def write_atomically(path: Path, content: bytes, durable: bool = True) -> None:
    """Writes a file that is either the old or the new one, whatever happens meanwhile.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def expanded(path: str | os.PathLike[str], what: str) -> Path:
    """A path with ``~`` and ``~user`` understood.

    Args:
        path: As a user wrote it.
        what: Whose it is, for the message.

    Raises:
        BackendError: There is no such user, or no file can have this name.
    """
    try:
        if "\0" in os.fspath(path):
            raise ValueError("it holds a zero byte")
        return Path(path).expanduser()
    except (RuntimeError, ValueError, TypeError) as error:
        raise BackendError(f"{what} cannot be {str(path)[:200]!r}: {error}") from error


@contextlib.contextmanager
def only_one(lock: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Lets one process of a machine at a time do something; the lock of one that died is free.

    Args:
        lock: A file for this alone; it is made, and stays.
        on_wait: Called once where another process has it.

    Raises:
        OSError: The file cannot be made.
    """
    with lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
