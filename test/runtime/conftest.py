# SPDX-License-Identifier: Apache-2.0
"""The built-in model's package, and every backend that can run here; TensorRT-RTX on an emulated GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seem_ros.model.codes import SelectBy
from seem_ros.runtime.batches import PromptBatch
from seem_ros.runtime.interface import Backend
from seem_ros.runtime.loader import load_backend
from seem_ros.runtime.package import Package, open_package
from seem_ros.runtime.parity_gate import GateInputs, read_gate_inputs

EMULATED = "tensorrt_rtx, emulated"


@pytest.fixture(scope="session")
def package() -> Package:
    """The package that ships with seem_ros."""
    return open_package(Path(__file__).parents[2] / "models" / "lite")


@pytest.fixture(scope="session")
def stored(package: Package) -> GateInputs:
    """A picture and four prompts."""
    return read_gate_inputs(package.path(package.gate))


@pytest.fixture(scope="session")
def open_new(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Backend]:
    """Opens a backend on one thread of the CPU, or on an emulated GPU."""
    cache = tmp_path_factory.mktemp("cache")

    def get(name: str) -> Backend:
        if name != EMULATED:
            return load_backend(package, name, cache_dir=cache, device="cpu", threads=1)
        from emulated_gpu import EmulatedCuda, EmulatedTensorRt, emulated

        gpu = EmulatedCuda()
        with emulated(gpu, EmulatedTensorRt(gpu)):
            return load_backend(package, "tensorrt_rtx", precision="fp32", cache_dir=cache, threads=1, background=False)

    return get


@pytest.fixture(scope="session")
def open_backend(open_new: Callable[[str], Backend]):
    """The same, once per session."""
    opened: dict[str, Backend] = {}

    def get(name: str) -> Backend:
        if name not in opened:
            opened[name] = open_new(name)
        return opened[name]

    yield get
    for backend in opened.values():
        backend.close()


@pytest.fixture
def linked_package(package: Package, tmp_path: Path) -> Path:
    """A copy of the package whose files can be replaced (hard links; write new files, never into old ones)."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in package.folder.iterdir():
        try:
            os.link(path, folder / path.name)
        except OSError:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="session")
def replace_file() -> Callable[[Path, bytes], None]:
    """Puts another file in the place of a linked one."""

    def replace(path: Path, content: bytes) -> None:
        path.unlink()
        path.write_bytes(content)

    return replace


@pytest.fixture(scope="session")
def with_text(stored: GateInputs) -> Callable[[Backend], PromptBatch]:
    """The stored prompts with their text encoded by a backend."""

    def make(backend: Backend) -> PromptBatch:
        batch = stored.prompts.select(np.arange(len(stored.prompts)))
        text = backend.encode_text([t for t in stored.texts if t])
        for row, i in enumerate(np.flatnonzero(batch.select_by == SelectBy.TEXT)):
            batch.text_tokens[i], batch.text_valid[i] = text.tokens[row], text.valid[row]
            batch.text_embedding[i], batch.has_text[i] = text.embedding[row], True
        return batch

    return make
