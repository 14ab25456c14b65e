# SPDX-License-Identifier: Apache-2.0
"""Transforms between frames over time, by the documented rules of tf2; plain values, no ROS in here.

Kept are, for each child frame, its transforms of the last ten seconds (static ones for good). A lookup climbs from both
frames to their common ancestor and takes every dynamic transform at the asked time, interpolated between its
neighbours, never beyond them. Where tf2 throws one of its exceptions, a `TransformError` says the same.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field

from seem_ros.errors import SeemError
from seem_ros.perception.structures.rigid_transform import RigidTransform

NS_PER_S = 1_000_000_000
KEPT_NS = 10 * NS_PER_S  # as long as tf2's buffer by default
# a transform that is this much older than the newest one is another story (a bag that loops): tf2's listener is told so
# by the clock, which says nothing where nobody publishes /clock
NEW_STORY_NS = KEPT_NS


class TransformError(SeemError):
    """A frame cannot be given in another at a time; base of the three reasons."""


class UnknownFrameError(TransformError):
    """Nobody has ever told of a frame (tf2's LookupException)."""


class UnconnectedError(TransformError):
    """Both frames are known, but no chain of transforms joins them, or it goes in a circle (ConnectivityException)."""


class ExtrapolationError(TransformError):
    """The time lies before or after what is known (ExtrapolationException)."""

    def __init__(self, message: str, too_new: bool) -> None:
        super().__init__(message)
        self.too_new = too_new  # it may still come


@dataclass(eq=False)
class _History:
    """What is known of one child frame: parents and transforms by rising stamps; one entry for a static frame."""

    is_static: bool
    stamps_ns: list[int] = field(default_factory=list)
    entries: list[tuple[str, RigidTransform]] = field(default_factory=list)

    def add(self, stamp_ns: int, parent: str, transform: RigidTransform) -> None:
        if self.is_static:
            self.stamps_ns, self.entries = [0], [(parent, transform)]
            return
        if self.stamps_ns and stamp_ns < self.stamps_ns[-1] - NEW_STORY_NS:
            self.stamps_ns.clear()
            self.entries.clear()
        place = bisect_left(self.stamps_ns, stamp_ns)
        if place < len(self.stamps_ns) and self.stamps_ns[place] == stamp_ns:
            return  # said again: the first word stands
        self.stamps_ns.insert(place, stamp_ns)
        self.entries.insert(place, (parent, transform))
        old = bisect_left(self.stamps_ns, self.stamps_ns[-1] - KEPT_NS)
        del self.stamps_ns[:old], self.entries[:old]

    def at(self, stamp_ns: int, child: str) -> tuple[str, RigidTransform]:
        """Parent and transform (from the child to the parent) at a time; 0 = the newest."""
        stamps = self.stamps_ns
        if not stamps:
            raise ExtrapolationError(f"frame {child!r} has not been told again since time went back", too_new=True)
        if self.is_static or stamp_ns == 0:
            return self.entries[-1]
        if len(stamps) == 1 and stamp_ns != stamps[0]:
            raise ExtrapolationError(
                f"frame {child!r} is known at {_seconds(stamps[0])} only, not at {_seconds(stamp_ns)}",
                stamp_ns > stamps[0],
            )
        if stamp_ns > stamps[-1]:
            raise ExtrapolationError(
                f"frame {child!r} is known up to {_seconds(stamps[-1])}, asked for is {_seconds(stamp_ns)} (in the "
                "future of what is known)",
                too_new=True,
            )
        if stamp_ns < stamps[0]:
            raise ExtrapolationError(
                f"frame {child!r} is known from {_seconds(stamps[0])} on, asked for is {_seconds(stamp_ns)} (in the "
                "past of what is known)",
                too_new=False,
            )
        after = bisect_left(stamps, stamp_ns)
        if stamps[after] == stamp_ns:
            return self.entries[after]
        (parent, early), (next_parent, late) = self.entries[after - 1], self.entries[after]
        if parent != next_parent:  # it was handed over in between: until then the old parent holds it
            return parent, early
        fraction = (stamp_ns - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
        return parent, early.towards(late, fraction)


class TransformBuffer:
    """The frames of a robot over time. Thread-safe."""

    def __init__(self) -> None:
        self._frames: dict[str, _History] = {}
        self._parents: set[str] = set()
        self._lock = threading.Lock()

    def add(self, parent: str, child: str, stamp_ns: int, transform: RigidTransform, is_static: bool) -> None:
        """Take in one transform.

        Args:
            parent, child: Names of the frames; a leading slash is dropped.
            stamp_ns: When it holds; without meaning where it is static.
            transform: From the child frame to the parent frame.
            is_static: It holds for good. A frame stays what it was first.

        Raises:
            TransformError: A name is empty, or a frame is to be its own parent; nothing was taken in.
        """
        parent, child = parent.removeprefix("/"), child.removeprefix("/")
        if not parent or not child:
            raise TransformError(f"a transform needs the names of two frames, got parent {parent!r}, child {child!r}")
        if parent == child:
            raise TransformError(f"frame {child!r} cannot be its own parent")
        with self._lock:
            history = self._frames.setdefault(child, _History(is_static))
            history.add(stamp_ns, parent, transform)
            self._parents.add(parent)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._frames.clear()
            self._parents.clear()

    def forget_moving(self, after_ns: int | None = None) -> None:
        """Time went back: where frames were is another story; what is fixed stays, as in tf2's buffer.

        Args:
            after_ns: Only frames that are known beyond this time: others have been told of anew already.
        """
        with self._lock:
            for history in self._frames.values():
                stamps = history.stamps_ns
                if not history.is_static and stamps and (after_ns is None or stamps[-1] > after_ns):
                    history.stamps_ns.clear()
                    history.entries.clear()

    def frames(self) -> tuple[str, ...]:
        """Every frame that was ever told of, sorted."""
        with self._lock:
            return tuple(sorted(self._parents | self._frames.keys()))

    def lookup(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """The transform that takes points of the source frame to the target frame.

        Args:
            target, source: Names of frames.
            stamp_ns: At this time; 0 = the newest time at which all of the chain is known.

        Raises:
            UnknownFrameError: A frame was never told of.
            UnconnectedError: No chain joins the two, or the tree goes in a circle.
            ExtrapolationError: The chain is not known at this time.
        """
        target, source = target.removeprefix("/"), source.removeprefix("/")
        with self._lock:
            for name in (target, source):
                if name not in self._frames and name not in self._parents:
                    known = ", ".join(sorted(self._parents | self._frames.keys())[:20]) or "none"
                    raise UnknownFrameError(f"there is no frame {name!r} in tf; known frames: {known}")
            if target == source:
                return RigidTransform.identity()
            if stamp_ns == 0:
                stamp_ns = self._newest_common(target, source)
            up_source = self._climb(source, stamp_ns)
            up_target = self._climb(target, stamp_ns)
            return self._join(target, source, up_target, up_source)

    def _newest_common(self, target: str, source: str) -> int:
        """The newest time that every dynamic transform of the chain reaches; 0 where all are static."""
        newest = [self._ancestors(name) for name in (target, source)]
        meeting = next((name for name in newest[1] if name in newest[0]), None)
        if meeting is None:
            return 0  # told by the join
        chain = [*_until(newest[0], meeting), *_until(newest[1], meeting)]
        stamps = [self._frames[name].stamps_ns[-1] for name in chain if not self._frames[name].is_static]
        return min(stamps, default=0)

    def _ancestors(self, name: str) -> list[str]:
        """The frame and its ancestors by the newest word."""
        line = [name]
        while line[-1] in self._frames and self._frames[line[-1]].entries:
            line.append(self._frames[line[-1]].entries[-1][0])
            _refuse_circle(line)
        return line

    def _climb(self, name: str, stamp_ns: int) -> _Climb:
        """From a frame up to the root at a time, as far as it is known then."""
        climb = _Climb([name], [RigidTransform.identity()])
        while climb.names[-1] in self._frames:
            here = climb.names[-1]
            try:
                parent, transform = self._frames[here].at(stamp_ns, here)
            except ExtrapolationError as error:
                climb.stopped_by = error
                break
            climb.names.append(parent)
            _refuse_circle(climb.names)
            climb.transforms.append(transform.after(climb.transforms[-1]))
        return climb

    @staticmethod
    def _join(target: str, source: str, up_target: _Climb, up_source: _Climb) -> RigidTransform:
        places = {name: index for index, name in enumerate(up_target.names)}
        for index, name in enumerate(up_source.names):
            if name in places:
                return up_target.transforms[places[name]].inverse().after(up_source.transforms[index])
        for climb in (up_source, up_target):
            if climb.stopped_by is not None:
                raise ExtrapolationError(
                    f"{climb.stopped_by}, on the way from frame {source!r} to {target!r}", climb.stopped_by.too_new
                )
        raise UnconnectedError(
            f"frames {target!r} and {source!r} are in two trees that nothing joins: the one ends at "
            f"{up_target.names[-1]!r}, the other at {up_source.names[-1]!r}"
        )


@dataclass(eq=False)
class _Climb:
    """Frames from one up towards the root, with the transform from the first to each."""

    names: list[str]
    transforms: list[RigidTransform]
    stopped_by: ExtrapolationError | None = None


def _refuse_circle(line: list[str]) -> None:
    before = line.index(line[-1])
    if before < len(line) - 1:
        raise UnconnectedError(f"the tf tree goes in a circle: {' -> '.join(line[before:][:8])}")


def _until(line: list[str], last: str) -> list[str]:
    return line[: line.index(last)]


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns // NS_PER_S}.{stamp_ns % NS_PER_S:09d} s"
