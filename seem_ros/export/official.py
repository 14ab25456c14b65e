# SPDX-License-Identifier: Apache-2.0
"""From an official model's name to its package: fetched, exported and kept, once for all processes of a machine.

Run as a program it is the worker of `seem_ros.runtime.official.preparation`, which reads what it prints.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from seem_ros.command_line import INTERRUPTED, MISTAKE
from seem_ros.errors import BackendError, CheckpointError, PackageError, SeemError
from seem_ros.extras import pip_line
from seem_ros.files import only_one
from seem_ros.runtime.official.download import fetch
from seem_ros.runtime.official.names import REPOSITORY, by_hand, file_name, weights_dir
from seem_ros.runtime.official.preparation import READY
from seem_ros.runtime.package import Package, open_package
from seem_ros.runtime.tensorrt.gpu_presence import nvidia_gpu

# What reads a checkpoint and writes graphs: all of extra torch.
_NEEDS = ("torch", "timm", "onnx", "onnx_ir", "onnxscript", "safetensors")


def find_checkpoint(model: str, say: Callable[[str], None], offline: bool = False) -> Path:
    """The file of an official model: brought by hand or fetched earlier, else in the hub's own cache, else fetched.

    Args:
        model: Name such as ``focalt_v1``.
        say: Told how far it is.
        offline: Look only at this machine.

    Raises:
        CheckpointError: No such file was released, or it is not here and cannot be fetched; says what to put where.
    """
    name = file_name(model)
    if (weights_dir() / name).is_file():
        return weights_dir() / name
    shared = _of_the_hubs_cache(name)
    if shared is not None:
        return shared
    if offline:
        raise CheckpointError(by_hand(name, "not on this machine, and offline"))
    try:
        return fetch(REPOSITORY, name, weights_dir(), say)
    except CheckpointError as error:
        raise CheckpointError(by_hand(name, str(error))) from error


def make_package(model: str, models_dir: Path, say: Callable[[str], None], offline: bool = False) -> Package:
    """Makes an official model's package, or waits for the process that is making it.

    Args:
        model: Name such as ``focalt_v1``.
        models_dir: The package becomes a folder of the model's name in there.
        say: Told what is done and how far it is.
        offline: Fetch nothing.

    Raises:
        SeemError: It cannot be made; one message says why and what to do.
    """
    file_name(model)  # refuses what was never released
    missing = [module for module in _NEEDS if importlib.util.find_spec(module) is None]
    if missing:
        raise BackendError(
            f"making a package of {model} needs {', '.join(missing)}: {pip_line('torch')}, or make it on "
            f"another machine (python -m seem_ros.tools.export seem_{model}.pt) and give its folder as model"
        )
    folder = models_dir / model
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with only_one(models_dir / f".{model}.lock", lambda: say(f"another process makes {model}; waiting for it")):
            try:
                return open_package(folder)
            except PackageError:
                pass
            path = find_checkpoint(model, say, offline)
            say(f"reading {path.name}")
            from seem_ros.export.package_writer import write_package
            from seem_ros.runtime.checkpoint import open_checkpoint

            network, spec = open_checkpoint(path, rules=model.rpartition("_")[2])
            precision = "fp16" if nvidia_gpu() else "fp32"
            return write_package(
                network, spec, folder, precision, progress=lambda line: say(f"exporting {model}: {line}")
            )
    except OSError as error:
        raise PackageError(f"{error.filename or models_dir}: {error.strerror or error}") from error


def _of_the_hubs_cache(name: str) -> Path | None:
    """The file where other programs have fetched it with the hub's own client."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(REPOSITORY, name)
    return Path(found) if isinstance(found, str) else None


def end_with_stdin() -> None:
    """Ends this process with the one that holds the other end of stdin, however that ends."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not through sys.stdin, whose lock would be held when Python ends
            pass
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()


def main(models_dir: str, model: str) -> int:
    """The worker: a line for each step, at last where the package is."""
    end_with_stdin()
    try:
        package = make_package(model, Path(models_dir), lambda line: print(line, flush=True))
    except SeemError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    print(f"{READY}{package.folder}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
