# SPDX-License-Identifier: Apache-2.0
"""seem_ros: a robot's eyes that you can talk to.

>>> from seem_ros import Click, Frame, Prompt, Segmenter
>>> with Segmenter.load("builtin") as segmenter:
...     found = segmenter.segment([Prompt(text="the red mug"), Prompt(clicks=(Click(210, 96),))], Frame(rgb))

The names below are the library's; they are imported when they are first used, so that `seem_ros.msg` stays cheap. For a
running node there is `seem_ros.ros.client.SeemClient`.

The package's path is extended so that the generated `seem_ros.msg` and `seem_ros.srv` of an installed ROS workspace
join this source tree instead of being hidden by it.
"""

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seem_ros.errors import SeemError
    from seem_ros.perception.segmenter import Segmenter
    from seem_ros.perception.structures.frame import Frame, Intrinsics
    from seem_ros.perception.structures.prompts import Box, Click, Mask, Polygon, Prompt, Reference, Scribble
    from seem_ros.perception.tracking.tracker import Tracker

from seem_ros.privacy import switch_off_telemetry

switch_off_telemetry()
__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"

__all__ = [
    "Box",
    "Click",
    "Frame",
    "Intrinsics",
    "Mask",
    "Polygon",
    "Prompt",
    "Reference",
    "Scribble",
    "SeemError",
    "Segmenter",
    "Tracker",
]

_PROMPTS = "seem_ros.perception.structures.prompts"
_HOMES = {
    **dict.fromkeys(("Box", "Click", "Mask", "Polygon", "Prompt", "Reference", "Scribble"), _PROMPTS),
    **dict.fromkeys(("Frame", "Intrinsics"), "seem_ros.perception.structures.frame"),
    "SeemError": "seem_ros.errors",
    "Segmenter": "seem_ros.perception.segmenter",
    "Tracker": "seem_ros.perception.tracking.tracker",
}


def __getattr__(name: str) -> Any:
    """A name of the library, imported now (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
