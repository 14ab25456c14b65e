# SPDX-License-Identifier: Apache-2.0
"""``python -m seem_ros.tools.weights NAME``: fetch an official checkpoint from its public hub, or say how to bring it.

The download resumes, is checked against the hub's digest and is kept in the hub's own cache, shared with other
programs.
"""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from seem_ros.errors import CheckpointError, SeemError

REPOSITORY = "xdecoder/SEEM"
# The rules demo run v0's file; SEEM's DaViT weights were never released.
RELEASED = ("focalt_v0", "focalt_v1", "focall_v0", "focall_v1", "samvitb_v1", "samvitl_v1")


def weights_dir() -> Path:
    """Where files brought by hand are looked for: ``$SEEM_ROS_WEIGHTS``, by default ``~/.cache/seem_ros/weights``."""
    if os.environ.get("SEEM_ROS_WEIGHTS"):
        return Path(os.environ["SEEM_ROS_WEIGHTS"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seem_ros" / "weights"


def file_name(model: str) -> str:
    """Name of the released file that a model needs: ``focalt_demo`` -> ``seem_focalt_v0.pt``.

    Raises:
        CheckpointError: no such file was released.
    """
    name = model.removeprefix("seem_").removesuffix(".pt")
    released = name.removesuffix("_demo") + "_v0" if name.endswith("_demo") else name
    if released not in RELEASED:
        raise CheckpointError(f"no official weights are released for {model!r}; there are {', '.join(RELEASED)} (and "
                              "focalt_demo, focall_demo, which run v0's)")
    return f"seem_{released}.pt"


def by_hand(name: str, reason: str) -> str:
    """What to do without a network."""
    return (f"{name} could not be fetched ({reason}). On a machine with internet, download\n"
            f"    https://huggingface.co/{REPOSITORY}/resolve/main/{name}\n"
            f"and put it, under this name, into\n    {weights_dir()}\n"
            f"or give its path wherever a model name is asked for.")


def find_weights(model: str, offline: bool = False) -> Path:
    """A checkpoint's file: a path as given, else one brought by hand, else from the hub or its cache.

    Args:
        model: name like ``focalt_v1``, or the path of a file.
        offline: look only at this machine.

    Raises:
        CheckpointError: the name is unknown, or the file is not here and cannot be fetched; says what to download and
        where
            to put it.
    """
    if Path(model).is_file():
        return Path(model)
    if os.sep in model or model.endswith((".safetensors",)):
        raise CheckpointError(f"{model} does not exist")
    name = file_name(model)
    if (weights_dir() / name).is_file():
        return weights_dir() / name
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise CheckpointError(by_hand(name, "huggingface_hub is not installed")) from error
    try:
        return Path(hf_hub_download(REPOSITORY, name, local_files_only=offline))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(by_hand(name, "not in the cache and offline" if offline else "no network")) from error
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(by_hand(name, reason)) from error


def main(arguments: list[str] | None = None) -> int:
    """Command line: prints the file's path; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m seem_ros.tools.weights", description=__doc__)
    parser.add_argument("model", help=f"one of {', '.join(RELEASED)}, or a file to check")
    parser.add_argument("--offline", action="store_true", help="use only what is on this machine")
    parser.add_argument("--check", action="store_true", help="also load it, strictly, and say what it is")
    options = parser.parse_args(arguments)
    try:
        path = find_weights(options.model, options.offline)
        print(path)
        if options.check:
            from seem_ros.model.checkpoints import load_checkpoint

            rules = "demo" if options.model.endswith("_demo") else None
            model = load_checkpoint(path, rules)
            count = sum(parameter.numel() for parameter in model.parameters())
            print(f"{model.config.name}: {count:,} parameters, every tensor in its place")
    except SeemError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
