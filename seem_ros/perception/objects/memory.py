# SPDX-License-Identifier: Apache-2.0
"""The objects that are known by a name, kept in step with the disk."""

from __future__ import annotations

import os
from pathlib import Path

from seem_ros.perception.objects.store import ObjectStore, StoredView
from seem_ros.perception.objects.taught import (
    MAX_VIEWS,
    ObjectError,
    TaughtObject,
    TaughtView,
    check_name,
    check_views,
    name_key,
)

MAX_OBJECTS = 256
MAX_BYTES = 512 * 1024 * 1024  # of all views in memory: 400 pictures of 640x480


def objects_folder(chosen: str = "") -> Path | None:
    """Where objects are kept: the chosen folder, or the user's data folder; None for a user without a home."""
    data = os.environ.get("XDG_DATA_HOME", "")
    try:
        if chosen:
            return Path(chosen).expanduser()
        return (Path(data) if data else Path.home() / ".local" / "share") / "seem_ros" / "objects"
    except RuntimeError:
        return None


class ObjectMemory:
    """Objects by name. Not thread-safe: it belongs to its segmenter's owner thread.

    >>> memory = ObjectMemory(Path.home() / "objects")
    >>> memory.teach("my mug", TaughtView(rgb, mask, time.time_ns()))
    >>> segmenter.objects = memory
    >>> segmenter.segment([Prompt(text="my mug")], frame)

    Args:
        folder: Where they are kept; None = nowhere, they are forgotten with the process.

    Attributes:
        problems: What could not be read from the folder, one line each.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._store = ObjectStore(folder) if folder is not None else None
        self._objects: dict[str, list[StoredView]] = {}
        self.problems: list[str] = []
        if self._store is not None:
            stored, self.problems = self._store.load()
            for one in stored:
                self._take_in(one)

    def _take_in(self, stored: StoredView) -> None:
        """A view from the disk, unless there are more than this version keeps."""
        key = name_key(stored.name)
        if key not in self._objects and len(self._objects) >= MAX_OBJECTS:
            self.problems.append(f"{stored.folder} is left out: {MAX_OBJECTS} objects are remembered already")
        elif self._bytes() + stored.view.nbytes > MAX_BYTES:
            self.problems.append(f"{stored.folder} is left out: the views take {MAX_BYTES // 2**20} MB already")
        elif len(self._objects.get(key, ())) >= MAX_VIEWS:
            self.problems.append(f"{stored.folder} is left out: {stored.name!r} has {MAX_VIEWS} views already")
        else:
            self._objects.setdefault(key, []).append(stored)

    def __len__(self) -> int:
        return len(self._objects)

    def objects(self) -> tuple[TaughtObject, ...]:
        """All objects by name."""
        return tuple(sorted(map(_object, self._objects.values()), key=lambda one: name_key(one.name)))

    def get(self, text: str) -> TaughtObject | None:
        """The object that a text names, whatever its case, spaces or article; None where it names none."""
        views = self._objects.get(name_key(text))
        return None if views is None else _object(views)

    def teach(self, name: str, view: TaughtView, replace: bool = False) -> TaughtObject:
        """Remember a view of an object.

        Args:
            name: Of the object; known or new.
            view: A picture in which it is marked.
            replace: Forget the views so far.

        Raises:
            ObjectError: The name cannot be used, there are too many objects or views, or the disk does not take it;
                nothing was changed.
        """
        name = check_name(name)
        key = name_key(name)
        before = self._objects.get(key, [])
        if not before and len(self._objects) >= MAX_OBJECTS:
            raise ObjectError(f"{MAX_OBJECTS} objects are remembered already; forget some first")
        if before and not replace:
            name = before[0].name  # one object, one spelling
        if self._bytes() + view.nbytes > MAX_BYTES:
            raise ObjectError(f"the views of all objects take {MAX_BYTES // 2**20} MB already; forget some first")
        kept = [] if replace else before
        TaughtObject(name, (*(one.view for one in kept), view))  # refused before anything is written
        stored = StoredView(name, view, Path()) if self._store is None else self._store.write(name, view)
        self._objects[key] = [*kept, stored]
        if replace:
            self._remove(before)
        return _object(self._objects[key])

    def forget(self, name: str, views: tuple[int, ...] = ()) -> tuple[str, ...]:
        """Forget an object, or some of its views.

        Args:
            name: Of the object.
            views: Their places, from 0; none = the whole object.

        Returns:
            The names that are left.

        Raises:
            ObjectError: There is no such object or view (nothing was changed), or the disk does not let it go.
        """
        key = name_key(name)
        if key not in self._objects:
            known = ", ".join(repr(one.name) for one in self.objects()[:20]) or "none"
            raise ObjectError(f"no object {name[:100]!r} is remembered; remembered are: {known}")
        all_views = self._objects[key]
        check_views(all_views[0].name, views, len(all_views))
        gone = [all_views[number] for number in sorted(set(views))] or list(all_views)
        self._remove(gone)
        left = [one for one in all_views if one not in gone]
        if left:
            self._objects[key] = left
        else:
            del self._objects[key]
        return tuple(one.name for one in self.objects())

    def _bytes(self) -> int:
        return sum(one.view.nbytes for views in self._objects.values() for one in views)

    def _remove(self, views: list[StoredView]) -> None:
        if self._store is not None:
            for one in views:
                self._store.remove(one)


def _object(views: list[StoredView]) -> TaughtObject:
    return TaughtObject(views[0].name, tuple(one.view for one in views))
