# SPDX-License-Identifier: Apache-2.0
"""Built engines on disk: keyed by all that they depend on, verified before use, rebuilt when anything is off."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seem_ros.files import write_atomically
from seem_ros.sealed import MAX_COMPILED_BYTES, clear_oldest, mark_used

_FORMAT = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on; any difference is another engine.

    Attributes:
        flavour: ``tensorrt`` or ``tensorrt_rtx``.
        version: Of the library.
        gpu: Name of the GPU, or the target for an engine built ahead of time.
        compute_capability: E.g. ``8.9``.
        driver: CUDA driver version; empty for engines built ahead of time.
        graph: File name of the graph.
        sha256: Of the graph and its weights.
        precision: Of the graph.
        shapes: All inputs' shapes as text.
    """

    flavour: str
    version: str
    gpu: str
    compute_capability: str
    driver: str
    graph: str
    sha256: str
    precision: str
    shapes: str

    @property
    def digest(self) -> str:
        """Name of this engine's files."""
        content = json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class CachedEngine:
    """An engine that came from the cache or was just built into it.

    Attributes:
        plan: The serialised engine.
        built: It was built now.
        note: What the cache knows beside the plan, e.g. the parity gate's result.
    """

    plan: bytes
    built: bool
    note: dict[str, Any]


class EngineCache:
    """A folder of engines, safe for several processes.

    Args:
        folder: Root of the cache.
        max_bytes: Of all engines; those unused for longest go first.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_COMPILED_BYTES) -> None:
        self.folder, self._max_bytes = folder / "engines", max_bytes

    def find(self, key: EngineKey) -> CachedEngine | None:
        """A good engine of exactly this key, or None; what is truncated, foreign or stale counts as none."""
        meta = self._meta(key)
        if meta is None:
            return None
        plan_path = self._paths(key)[0]
        try:
            plan = plan_path.read_bytes()
        except OSError as error:
            _log.warning("engine %s is unreadable and will be rebuilt: %s", plan_path, error)
            return None
        if len(plan) != meta["size"] or hashlib.sha256(plan).hexdigest() != meta["sha256"]:
            _log.warning("engine %s is truncated or altered and will be rebuilt", plan_path)
            return None
        mark_used(plan_path)
        return CachedEngine(plan, False, meta["note"])

    def note(self, key: EngineKey) -> dict[str, Any] | None:
        """What is known of an engine, without reading the engine; None where there is no such engine."""
        meta = self._meta(key)
        return None if meta is None else meta["note"]

    def get_or_build(self, key: EngineKey, build: Callable[[], bytes]) -> CachedEngine:
        """The engine of a key; built under a lock if there is none, so that two nodes do not build it twice."""
        found = self.find(key)
        if found is not None:
            return found
        with self._locked(key):
            found = self.find(key)  # another process may have built it while we waited
            if found is not None:
                return found
            plan = build()
            try:
                self._store(key, plan)
            except OSError as error:
                _log.warning("engine %s cannot be kept and will be built again next time: %s", key.graph, error)
            return CachedEngine(plan, True, {})

    def annotate(self, key: EngineKey, note: dict[str, Any]) -> None:
        """Keeps what was learned about an engine, such as its gate's result, if it is still there."""
        with self._locked(key):
            meta = self._meta(key)
            if meta is not None:
                try:
                    write_atomically(self._paths(key)[1], _sealed(meta | {"note": note}))
                except OSError as error:
                    _log.warning("what was learned about engine %s cannot be kept: %s", key.graph, error)

    def forget(self, key: EngineKey) -> None:
        """Removes an engine, for instance one that the runtime refuses to load."""
        for path in self._paths(key):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def timing_cache(self, key: EngineKey) -> Path:
        """Where measured kernel times are kept: they hold for one library version on one GPU."""
        parts = f"{key.flavour} {key.version} {key.gpu} {key.compute_capability} {key.driver}"
        return self.folder / f"timing-{hashlib.sha256(parts.encode()).hexdigest()[:16]}.bin"

    def _paths(self, key: EngineKey) -> tuple[Path, Path]:
        return self.folder / f"{key.digest}.plan", self.folder / f"{key.digest}.json"

    def _meta(self, key: EngineKey) -> dict[str, Any] | None:
        """What lies beside a plan, if it is whole and of this key."""
        plan_path, note_path = self._paths(key)
        try:
            meta = json.loads(note_path.read_text(encoding="utf-8"))
            if _sealed({k: v for k, v in meta.items() if k != "check"}) != _sealed(meta):
                raise ValueError("its checksum does not fit")
            meta = {
                "key": dict(meta["key"]),
                "size": int(meta["size"]),
                "sha256": str(meta["sha256"]),
                "note": dict(meta["note"]),
            }
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            _log.warning("engine %s is unreadable and will be rebuilt: %s", plan_path, error)
            return None
        if meta["key"] != asdict(key):
            _log.warning("engine %s was built for something else and will be rebuilt", plan_path)
            return None
        return meta

    def _store(self, key: EngineKey, plan: bytes) -> None:
        plan_path, note_path = self._paths(key)
        meta = {"key": asdict(key), "size": len(plan), "sha256": hashlib.sha256(plan).hexdigest(), "note": {}}
        # The note last: a plan without one is never read.
        write_atomically(plan_path, plan)
        write_atomically(note_path, _sealed(meta))
        clear_oldest(self.folder, plan_path.suffix, self._max_bytes, beside=note_path.suffix)

    @contextlib.contextmanager
    def _locked(self, key: EngineKey) -> Iterator[None]:
        """One process at a time; where no lock can be made the cache cannot be written either."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            stream = (self.folder / f"{key.digest}.lock").open("w")
        except OSError as error:
            _log.warning("the engine cache %s cannot be written: %s", self.folder, error)
            yield
            return
        with stream:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield  # closing unlocks


def _sealed(meta: dict[str, Any]) -> bytes:
    """Metadata with their own checksum."""
    rest = {k: v for k, v in meta.items() if k != "check"}
    check = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    return json.dumps(rest | {"check": meta.get("check", check)}, indent=1, sort_keys=True).encode()
