# SPDX-License-Identifier: Apache-2.0
"""Files and command lines as targets: model packages, cached things, checkpoints, and every tool's arguments."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hostile import TEXTS, Dice, pick

from seem_ros.errors import SeemError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "models" / "lite"
VALUES = (
    0, 1, -1, 2**31, 10**30, 1.5, float("nan"), float("inf"), "", "x", "../x", "x" * 3000, None, True, [], {}, [1, 2],
    {"a": 1}, "2026-99-99", [[[[]]]], "&a", "*a", "!!python/object:os.system",
)  # fmt: skip
WORDS = (
    "photo.png", "text.txt", "broken.png", "broken.yaml", "list.yaml", "empty", "missing", "out", "1", "0", "-1",
    "1e400", "nan", "x", "", "1,2", "1,2,3,4", "480x640", "\udcff", "ü", "lite", "text.txt/x",
)  # fmt: skip
TOOLS = (
    "seem_ros.tools.segment", "seem_ros.tools.export", "seem_ros.tools.record", "seem_ros.tools.weights",
    "seem_ros.tools.evaluate", "seem_ros.sim.dataset", "seem_ros.sim.clips", "seem_ros.training.train",
    "seem_ros.tools.parity.__main__", "seem_ros.tools.synonyms", "seem_ros.tools.label", "seem_ros.tools.correct",
)  # fmt: skip


class FileTarget:
    """Has a scratch folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="seem_ros_fuzz_"))

    def close(self) -> None:
        """Removes what was made here."""
        shutil.rmtree(self.folder, ignore_errors=True)


class PackageTarget(FileTarget):
    """Descriptions and files of a package, altered."""

    def __init__(self) -> None:
        super().__init__()
        for path in PACKAGE.iterdir():
            os.link(path, self.folder / path.name) if _same_disk(path, self.folder) else shutil.copy(path, self.folder)
        self.text = (PACKAGE / "model.yaml").read_text()
        self.plain = yaml.safe_load(self.text)

    def one(self, rng: Dice) -> str:
        """An altered description: opened, or refused with one line."""
        from seem_ros.runtime.package import open_package

        if rng.random() < 0.6:
            plain = yaml.safe_load(self.text)
            plain.pop("check", None)
            _alter(plain, rng)
            try:
                text = yaml.safe_dump(plain)
            except yaml.YAMLError:
                return "not written"
        else:
            text = _spoilt(self.text.encode(), rng).decode("utf-8", "replace")
        path = self.folder / "model.yaml"
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            open_package(self.folder, verify=False)
        except SeemError as error:
            assert "\n" not in str(error) and len(str(error)) < 4000, (
                f"{len(str(error))} characters: {str(error)[:300]}"
            )
            return "refused"
        return "opened"


def _same_disk(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == folder.stat().st_dev


def _alter(plain: Any, rng: Dice) -> None:
    """Changes something deep inside."""
    here = plain
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return
        key = pick(rng, keys)
        if isinstance(here[key], (dict, list)) and here[key] and rng.random() < 0.8:
            here = here[key]
            continue
        roll = rng.random()
        if roll < 0.7:
            here[key] = pick(rng, VALUES)
        elif isinstance(here, dict) and roll < 0.85:
            here[pick(rng, TEXTS)] = here.pop(key)
        else:
            del here[key]
        return


def _spoilt(content: bytes, rng: Dice) -> bytes:
    """Bits flipped, bytes cut out, twice, or cut off."""
    data = bytearray(content)
    roll = rng.random()
    at = int(rng.integers(len(data)))
    if roll < 0.6:
        for _ in range(int(rng.integers(1, 8))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif roll < 0.75:
        del data[at : at + int(rng.integers(1, 400))]
    elif roll < 0.85:
        data[at:at] = data[at : at + int(rng.integers(1, 400))]
    else:
        del data[at:]
    return bytes(data)


class CacheTarget(FileTarget):
    """A text's file in the cache."""

    def __init__(self) -> None:
        super().__init__()
        from seem_ros.model.text.tokenizer import Tokenizer

        self.tokenizer = Tokenizer.load()
        self.right = self._cached()(["the red mug"])
        (self.path,) = self.folder.rglob("*.text")
        self.good = self.path.read_bytes()

    def _cached(self) -> Any:
        from seem_ros.runtime.text import CachedText

        def encode(ids: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.repeat(ids[..., None].astype(np.float32), 8, -1), np.ones((1, 4), np.float32)

        return CachedText(self.tokenizer, (16, 8, 4), "a model", encode, self.folder)

    def one(self, rng: Dice) -> str:
        """A spoilt file counts as none."""
        spoilt = _spoilt(self.good, rng)
        self.path.write_bytes(spoilt)
        answer = self._cached()(["the red mug"])
        np.testing.assert_array_equal(answer.tokens, self.right.tokens)
        return "whole" if spoilt == self.good else "made again"


class CheckpointTarget(FileTarget):
    """Weight files, spoilt."""

    def __init__(self) -> None:
        super().__init__()
        import torch
        from safetensors.torch import save_file

        state = {"a.weight": torch.ones(4, 4), "b.bias": torch.zeros(3), "step": torch.tensor(3)}
        torch.save(state, self.folder / "good.pt")
        save_file(state, self.folder / "good.safetensors")
        self.good = {p.suffix: p.read_bytes() for p in self.folder.iterdir()}

    def one(self, rng: Dice) -> str:
        """Read, or refused with one line."""
        from seem_ros.model.checkpoints import read_state

        suffix = pick(rng, sorted(self.good))
        path = self.folder / f"spoilt{suffix}"
        path.write_bytes(_spoilt(self.good[suffix], rng))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_state(path)
        except SeemError as error:
            assert len(str(error)) < 4000
            return "refused"
        return "read"


class ToolTarget(FileTarget):
    """Arguments of every tool: it ends with 0, 1 or 2 and lines for people."""

    def __init__(self) -> None:
        super().__init__()
        import cv2

        self.back = Path.cwd()
        os.chdir(self.folder)
        cv2.imwrite("photo.png", np.zeros((48, 64, 3), np.uint8))
        Path("text.txt").write_text("no picture")
        Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(200)))
        Path("broken.yaml").write_text("a: [")
        Path("list.yaml").write_text("- 1\n")
        Path("empty").mkdir()
        self.options: dict[str, list[str]] = {}

    def close(self) -> None:
        """Back to where it was."""
        os.chdir(self.back)
        super().close()

    def one(self, rng: Dice) -> str:
        """A command line."""
        name = pick(rng, TOOLS)
        module = importlib.import_module(name)
        known = self.options.setdefault(name, _options(module))
        # never a hub, a camera or an hour of work: what is fuzzed is what is done with arguments and files
        words = [w for w in known if w not in ("--help", "-h", "--minutes", "--scenes", "--count", "--frames")]
        line = []
        for _ in range(int(rng.integers(0, 7))):
            if words and rng.random() < 0.5:
                line.append(pick(rng, words))
            line.append(pick(rng, WORDS))
        if name in ("seem_ros.sim.dataset", "seem_ros.sim.clips", "seem_ros.tools.record"):
            line += ["--out", "text.txt/x"]  # a folder that cannot be made: no scene is rendered
        if name == "seem_ros.tools.weights":
            line += ["--offline"]
        said, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
            try:
                status = module.main(line)
            except SystemExit as end:
                status = end.code
        assert status in (0, 1, 2), f"{name} {line}: exit status {status!r}"
        text = told.getvalue()
        assert "Traceback" not in text, f"{name} {line}: {text[-1500:]}"
        return f"{name.rpartition('.')[2]} {status}"


def _options(module: Any) -> list[str]:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        module.main(["--help"])
    words = told.getvalue().replace(",", " ").replace("[", " ").replace("]", " ").split()
    return sorted({word for word in words if word.startswith("--") and word.strip("-")})


TARGETS = {"packages": PackageTarget, "caches": CacheTarget, "checkpoints": CheckpointTarget, "tools": ToolTarget}
