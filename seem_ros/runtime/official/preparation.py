# SPDX-License-Identifier: Apache-2.0
"""A package for an official model's name: the one that is kept, or one that another process fetches and exports now.

Export needs torch and a few gigabytes for a minute or two; in a process of its own they are given back afterwards, and
it can be ended at any time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from seem_ros.errors import BackendError, CheckpointError, PackageError
from seem_ros.runtime.official.names import is_official
from seem_ros.runtime.package import DESCRIPTION, Package, find_package, open_package
from seem_ros.sealed import default_cache_dir

# What makes the package, with the folder of packages and the model's name behind it.
COMMAND = (sys.executable, "-m", "seem_ros.export.official")
READY = "ready: "
_LAST_WORDS = 2000  # characters of what the process says at its end


def kept_package(model: str, cache_dir: Path | None = None) -> Path:
    """Folder in which an official model's package is kept."""
    return (cache_dir or default_cache_dir()) / "models" / model


def prepared_package(
    model: str | os.PathLike[str], say: Callable[[str], None], cache_dir: Path | None = None
) -> Package:
    """Opens a package by name or folder; an official model's is made first where there is none.

    Args:
        model: As for `open_package`, or the name of an official model such as ``focalt_v1``.
        say: Told what is done and how far it is.
        cache_dir: Root of the cache; default ``~/.cache/seem_ros``.

    Raises:
        PackageError: The package cannot be used.
        CheckpointError: Its checkpoint cannot be fetched or read; says what to put where.
        BackendError: What the export needs is not installed, or it was stopped.
    """
    return Preparation(model, say, cache_dir).run()


class Preparation:
    """`prepared_package` that can be stopped.

    Args:
        model, say, cache_dir: As there.
    """

    def __init__(
        self, model: str | os.PathLike[str], say: Callable[[str], None], cache_dir: Path | None = None
    ) -> None:
        self._model, self._say, self._cache_dir = os.fspath(model), say, cache_dir
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self) -> Package:
        """See `prepared_package`."""
        if not is_official(self._model):
            return open_package(self._model)
        try:
            return open_package(find_package(self._model))  # one that the user has put where models are
        except PackageError as error:
            if "no model package" not in str(error):
                raise
        folder = kept_package(self._model, self._cache_dir)
        if (folder / DESCRIPTION).exists():
            try:
                return open_package(folder)
            except PackageError as error:
                self._say(f"{error}; it is made again")
        return open_package(self._make(folder.parent))

    def stop(self) -> None:
        """Ends what runs, and what would be started: `run` raises. What was fetched by then is kept."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _make(self, models_dir: Path) -> Path:
        environment = dict(os.environ)
        home = str(Path(__file__).resolve().parents[3])  # of this seem_ros, wherever it was imported from
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (home, environment.get("PYTHONPATH"))))
        ready = None
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            with self._lock:
                if self._stopped:
                    raise BackendError(f"preparing {self._model} was stopped")
                self._process = subprocess.Popen(
                    [*COMMAND, str(models_dir), self._model],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                    errors="replace",
                    env=environment,
                )
            with self._process as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith(READY):
                        ready = Path(line.removeprefix(READY).rstrip("\n"))
                    else:
                        self._say(line.strip())
            said.seek(0)
            last_words = said.read()[-_LAST_WORDS:].strip()
        if ready is not None and process.returncode == 0:
            return ready
        if self._stopped:
            raise BackendError(f"preparing {self._model} was stopped")
        if process.returncode < 0:
            raise BackendError(f"preparing {self._model} was ended by signal {-process.returncode}; 9 = out of memory?")
        raise CheckpointError(last_words or f"preparing {self._model} ended with exit status {process.returncode}")
