# SPDX-License-Identifier: Apache-2.0
"""Where a package may be written: nowhere that other people's files are."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import yaml

from seem_ros.errors import PackageError
from seem_ros.runtime.package import DESCRIPTION, FORMAT


def check_target(folder: Path) -> Path:
    """The folder that a package may be written to, links resolved.

    Raises:
        PackageError: It is a file, or holds something and is no model package.
    """
    try:
        folder = Path(folder).expanduser().resolve()
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return folder
    except (OSError, RuntimeError, ValueError) as error:
        raise PackageError(f"the folder {folder} cannot be used: {error}") from error
    if not folder.is_dir():
        raise PackageError(f"{folder} is a file; give a folder")
    if _own_files(folder) is None:
        raise PackageError(
            f"{folder} is not empty and holds no model package ({DESCRIPTION}): nothing was written. Give a folder "
            "that is missing, empty or a model package"
        )
    return folder


def exchange(work: Path, folder: Path) -> None:
    """Puts the finished package ``work`` in the place of ``folder``; files that no package names stay where they are.

    Raises:
        OSError: A folder cannot be renamed or written.
        PackageError: Something else has come into the folder meanwhile.
    """
    check_target(folder)
    if not folder.exists() or not any(folder.iterdir()):
        os.replace(work, folder)
        return
    old_files = _own_files(folder) or frozenset()
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    os.replace(folder, aside)
    os.replace(work, folder)
    for path in aside.iterdir():
        if path.name in old_files:
            path.unlink()
        elif not os.path.lexists(folder / path.name):
            os.replace(path, folder / path.name)
    try:
        aside.rmdir()
    except OSError as error:  # a file of somebody's with the name of a new graph: kept, and said where
        raise PackageError(
            f"the package was written to {folder}; files of the old folder that stood in its way are in {aside}"
        ) from error


def _own_files(folder: Path) -> frozenset[str] | None:
    """Names of the files that a package made, None where there is no package."""
    try:
        plain = yaml.safe_load((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if not isinstance(plain["format"], int) or plain["format"] > FORMAT:
            return None
        names = [str(name) for name in plain["model"]["sha256"]]
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        return None
    return frozenset((DESCRIPTION, *(name for name in names if Path(name).name == name)))
