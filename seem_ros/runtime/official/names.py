# SPDX-License-Identifier: Apache-2.0
"""Which official models were released, in which files, and where those lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from seem_ros.errors import CheckpointError
from seem_ros.files import expanded

REPOSITORY = "xdecoder/SEEM"
# The rules demo run v0's file; SEEM's DaViT weights were never released.
RELEASED = ("focalt_v0", "focalt_v1", "focall_v0", "focall_v1", "samvitb_v1", "samvitl_v1")
_DEMO = ("focalt_demo", "focall_demo")


def is_official(model: str) -> bool:
    """Whether this is the name of a model that the authors released."""
    return model in RELEASED or model in _DEMO


def weights_dir() -> Path:
    """Where checkpoints are kept and looked for: ``$SEEM_ROS_WEIGHTS``, by default ``~/.cache/seem_ros/weights``.

    Raises:
        BackendError: ``$SEEM_ROS_WEIGHTS`` names a user that there is not.
    """
    if os.environ.get("SEEM_ROS_WEIGHTS"):
        return expanded(os.environ["SEEM_ROS_WEIGHTS"], "$SEEM_ROS_WEIGHTS")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seem_ros" / "weights"


def file_name(model: str) -> str:
    """Name of the released file that a model needs: ``focalt_demo`` -> ``seem_focalt_v0.pt``.

    Raises:
        CheckpointError: no such file was released.
    """
    name = model.removeprefix("seem_").removesuffix(".pt")
    if not is_official(name):
        raise CheckpointError(
            f"no official weights are released for {model!r}; there are {', '.join(RELEASED)} (and "
            f"{', '.join(_DEMO)}, which run v0's)"
        )
    return f"seem_{name.removesuffix('_demo') + '_v0' if name in _DEMO else name}.pt"


def by_hand(name: str, reason: str) -> str:
    """What to do without a network."""
    return (
        f"{name} could not be fetched ({reason}). On a machine with internet, download\n"
        f"    https://huggingface.co/{REPOSITORY}/resolve/main/{name}\n"
        f"and put it, under this name, into\n    {weights_dir()}\n"
        f"or give its path wherever a model name is asked for."
    )
