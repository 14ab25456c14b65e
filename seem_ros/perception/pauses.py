# SPDX-License-Identifier: Apache-2.0
"""Long work lets others in between its pieces: a call with many prompts must not blind a robot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pauses:
    """Called between pieces of long work; whoever owns the thread may then look at a camera frame, or end the work by
    raising. Nothing happens until somebody asks to be let in."""

    def __init__(self) -> None:
        self._let_in: Callable[[], None] = lambda: None
        self._held = 0

    def let_in(self, visit: Callable[[], None]) -> None:
        """Have ``visit`` called in every pause from now on."""
        self._let_in = visit

    def __call__(self) -> None:
        """A pause."""
        if not self._held:
            self._let_in()

    @contextmanager
    def held(self) -> Iterator[None]:
        """No pauses in here: something is half changed, or it is the visit itself."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
