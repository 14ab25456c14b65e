# SPDX-License-Identifier: Apache-2.0
"""Texts to features once: a cache in memory and on disk between the tokenizer and the text encoder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.runtime.batches import TextFeatures


def default_cache_dir() -> Path:
    """``$SEEM_ROS_CACHE``, else ``$XDG_CACHE_HOME/seem_ros``, else ``~/.cache/seem_ros``."""
    if os.environ.get("SEEM_ROS_CACHE"):
        return Path(os.environ["SEEM_ROS_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "seem_ros"


class CachedText:
    """Encodes texts, each only once.

    An entry is keyed by the text, the tokenizer, and the identity of the encoder (its weights and precision), so a
    new model never reads an old model's vectors.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        length: int,
        identity: str,
        encode: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
        cache_dir: Path | None,
        capacity: int = 512,
    ) -> None:
        """Prepares the cache.

        Args:
            tokenizer: Text to ids.
            length: Token positions L of the encoder.
            identity: What makes vectors comparable: encoder, weights, precision and tokenizer.
            encode: ids int64 [1, L] and valid bool [1, L] to tokens float32 [1, L, C] and embedding float32 [1, D].
            cache_dir: Root of the disk cache, or None for memory only.
            capacity: Texts kept in memory.
        """
        self._tokenizer, self._length, self._encode, self._capacity = tokenizer, length, encode, capacity
        self._memory: OrderedDict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = OrderedDict()
        model_key = hashlib.sha256(identity.encode()).hexdigest()[:24]
        self._folder = None if cache_dir is None else cache_dir / "text" / model_key

    def __call__(self, texts: Sequence[str]) -> TextFeatures:
        """Features of ``texts``, in order.

        Raises:
            PromptError: No text, an empty one, or one with too many tokens.
        """
        ids, valid = self._tokenizer.encode(texts, self._length)
        rows = [self._one(ids[i : i + 1], valid[i : i + 1]) for i in range(len(texts))]
        return TextFeatures(*(np.concatenate(part) for part in zip(*rows, strict=True)))

    def _one(self, ids: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        key = hashlib.sha256(ids.tobytes()).hexdigest()[:32]
        found = self._memory.get(key)
        if found is None:
            found = self._read(key)
            if found is None or not np.array_equal(found[1], valid):
                tokens, embedding = self._encode(ids, valid)
                found = (
                    np.ascontiguousarray(tokens, np.float32),
                    valid.copy(),
                    np.ascontiguousarray(embedding, np.float32),
                )
                self._write(key, found)
            self._memory[key] = found
        self._memory.move_to_end(key)
        while len(self._memory) > self._capacity:
            self._memory.popitem(last=False)
        return found

    def _read(self, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """An entry from disk; a damaged one counts as none and is written again."""
        if self._folder is None or not (self._folder / f"{key}.npz").is_file():
            return None
        try:
            with np.load(self._folder / f"{key}.npz", allow_pickle=False) as stored:
                found = stored["tokens"], stored["valid"], stored["embedding"]
            good = found[0].ndim == 3 and found[0].shape[:2] == found[1].shape == (1, self._length)
            return found if good and np.isfinite(found[0]).all() and np.isfinite(found[2]).all() else None
        except (OSError, ValueError, KeyError, EOFError, ImportError, RuntimeError):
            return None
        except Exception as error:  # zipfile raises its own kinds for truncated files
            if type(error).__module__ in ("zipfile", "zlib"):
                return None
            raise

    def _write(self, key: str, entry: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Keeps an entry on disk; a disk that is full or read-only costs speed later, never an answer now."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".tmp", delete=False) as stream:
                np.savez(stream, tokens=entry[0], valid=entry[1], embedding=entry[2])
            Path(stream.name).replace(self._folder / f"{key}.npz")
        except OSError:
            return
