# SPDX-License-Identifier: Apache-2.0
"""Imports MuJoCo so that a machine without OpenGL still has physics, and knows why it has no pictures.

MuJoCo chooses its GL library once, from MUJOCO_GL, when it is first imported, and fails with a traceback from deep
inside PyOpenGL where that library is missing. So the library is looked for here first.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Protocol

from seem_ros.errors import DataError

_LIBRARIES = {"egl": ("libEGL.so.1", "libEGL.so"), "osmesa": ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")}
_OFF = ("off", "disable", "disabled", "false", "0")
_OTHERS = ("glfw", "glx", "wgl", "cgl", "on", "enable", "enabled", "true", "1", "")


def _find_problem() -> str | None:
    """Returns why there will be no pictures, or None; sets MUJOCO_GL to egl on Linux when the user chose nothing."""
    if sys.platform.startswith("linux"):
        os.environ.setdefault("MUJOCO_GL", "egl")
    choice = os.environ.get("MUJOCO_GL", "").lower().strip()
    if choice in _OFF:
        return f"MUJOCO_GL is {choice}"
    if choice in _OTHERS:
        return None
    if choice not in _LIBRARIES:
        return f"MUJOCO_GL is {choice!r}, which is none of egl, osmesa, glfw"
    for name in _LIBRARIES[choice]:
        try:
            ctypes.CDLL(name)
            return None
        except OSError:
            continue
    return f"{_LIBRARIES[choice][0]} is not on this machine"


#: Why no pictures can be drawn, or None when they probably can.
GL_PROBLEM: str | None = _find_problem()
if GL_PROBLEM is not None:
    os.environ["MUJOCO_GL"] = "off"

try:
    import mujoco  # only now that its environment is settled
except ImportError as error:
    raise DataError("the simulation needs MuJoCo: pip install mujoco") from error


class GlContext(Protocol):
    """What all of MuJoCo's GL contexts can."""

    def make_current(self) -> None:
        """Makes the calling thread draw into this context."""

    def free(self) -> None:
        """Gives the context back; it cannot draw afterwards."""


def new_gl_context(width_px: int, height_px: int) -> GlContext:
    """Returns a GL context of the chosen kind, also where MuJoCo was imported earlier with another choice.

    Raises:
        DataError: there is no OpenGL.
    """
    if GL_PROBLEM is not None:
        raise no_gl_error(GL_PROBLEM)
    try:
        if os.environ.get("MUJOCO_GL", "").lower().strip() == "egl":
            from mujoco.egl import GLContext
        else:
            GLContext = mujoco.GLContext
        return GLContext(width_px, height_px)
    except Exception as error:  # the GL libraries raise anything: ImportError, AttributeError, EGLError, ...
        raise no_gl_error(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__) from error


def no_gl_error(reason: str) -> DataError:
    """Returns the error for a machine that cannot draw, in one sentence that says what to install."""
    return DataError(
        f"no OpenGL for offscreen rendering ({reason}): install Debian's libegl1 and libgl1-mesa-dri "
        f"and set MUJOCO_GL=egl"
    )


__all__ = ["GlContext", "mujoco", "new_gl_context", "no_gl_error"]
