# SPDX-License-Identifier: Apache-2.0
"""The frame that waits to be looked at: one, the newest; a second only while the first waits for its transform."""

from __future__ import annotations

import threading

from seem_ros.ros.camera.frame_buffer import StoredFrame


class WaitingFrame:
    """Thread-safe. A frame that nobody came to look at is replaced by a newer one.

    A frame that waits for something which is on its way is kept, and the newer one stands behind it: transforms come a
    little later than pictures, and if every picture pushed out the one before, none would ever be looked at.
    """

    def __init__(self) -> None:
        self._first: StoredFrame | None = None
        self._second: StoredFrame | None = None
        self._lock = threading.Lock()

    def put(self, stored: StoredFrame, keep_first: bool) -> bool:
        """A frame has arrived.

        Args:
            stored: The frame.
            keep_first: The one that waits is kept, if there is one.

        Returns:
            Whether another frame was dropped for it.
        """
        with self._lock:
            if self._first is not None and keep_first:
                dropped, self._second = self._second, stored
            else:
                dropped, self._first, self._second = self._first, stored, None
        return dropped is not None

    def peek(self) -> StoredFrame | None:
        """The frame that is next."""
        return self._first

    def take(self) -> StoredFrame | None:
        """The frame that is next; it no longer waits."""
        with self._lock:
            taken, self._first, self._second = self._first, self._second, None
        return taken

    def clear(self) -> None:
        """Drop what waits."""
        with self._lock:
            self._first = self._second = None
