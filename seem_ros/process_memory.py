# SPDX-License-Identifier: Apache-2.0
"""What a process of its own need not keep in memory."""

import contextlib
import ctypes
import sys

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def keep_memory_together() -> None:
    """Threads share one of glibc's arenas; call it before the libraries are imported, whose threads take the first.

    Each arena keeps what its threads' largest call needed, and of all but the first one the end is never given back:
    a node at rest had 286 MB or 273 MB with two of them, as it came, and has 272 MB with one.
    """
    with contextlib.suppress(OSError, AttributeError):  # glibc alone can be asked
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def leave_out_converter() -> None:
    """OpenVINO is loaded without its converter of other frameworks' models: 7 MB and 70 modules that we never use.

    OpenVINO goes on where it cannot be imported. Only for a process in which nobody else uses OpenVINO.
    """
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # Python's own way to forbid an import


def give_back_memory() -> None:
    """Free memory goes back to the system: what loading and calls needed for a moment is tens of megabytes."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
