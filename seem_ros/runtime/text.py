# SPDX-License-Identifier: Apache-2.0
"""Texts to features once: a cache in memory and on disk between the tokenizer and the text encoder."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.runtime.batches import TextFeatures
from seem_ros.sealed import clear_oldest, read_sealed, write_sealed

MAX_DISK_BYTES = 256 << 20  # of all models' texts: 1,600 texts of an official model, 28,000 of the built-in one


class CachedText:
    """Encodes texts, each only once.

    An entry is keyed by the text, the tokenizer, and the identity of the encoder (its weights and precision), so a
    new model never reads an old model's vectors.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        sizes: tuple[int, int, int],
        identity: str,
        encode: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
        cache_dir: Path | None,
        capacity: int = 512,
        max_disk_bytes: int = MAX_DISK_BYTES,
    ) -> None:
        """Prepares the cache.

        Args:
            tokenizer: Text to ids.
            sizes: Token positions L of the encoder, width C of its tokens and D of its embeddings.
            identity: What makes vectors comparable: encoder, weights, precision and tokenizer.
            encode: ids int64 [1, L] and valid bool [1, L] to tokens float32 [1, L, C] and embedding float32 [1, D].
            cache_dir: Root of the disk cache, or None for memory only.
            capacity: Texts kept in memory.
            max_disk_bytes: Of all texts below ``cache_dir``; those unused for longest go first.
        """
        self._tokenizer, self._encode, self._capacity = tokenizer, encode, capacity
        self._length, self._width, self._embedding = sizes
        self._memory: OrderedDict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = OrderedDict()
        model_key = hashlib.sha256(f"{identity} {sizes}".encode()).hexdigest()[:24]
        self._folder = None if cache_dir is None else cache_dir / "text" / model_key
        self._max_disk_bytes = self._disk_bytes = max_disk_bytes  # counted when the first text is written

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
            stored = self._read(key)
            if stored is not None:
                found = stored[0], valid.copy(), stored[1]
            else:
                tokens, embedding = self._encode(ids, valid)
                found = (
                    np.ascontiguousarray(tokens, np.float32),
                    valid.copy(),
                    np.ascontiguousarray(embedding, np.float32),
                )
                self._write(key, found[0].tobytes() + found[2].tobytes())
            self._memory[key] = found
        self._memory.move_to_end(key)
        while len(self._memory) > self._capacity:
            self._memory.popitem(last=False)
        return found

    def _read(self, key: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Tokens and embedding from disk; what is damaged, of another size or not finite counts as none."""
        if self._folder is None:
            return None
        content = read_sealed(self._folder / f"{key}.text")
        tokens = self._length * self._width
        if content is None or len(content) != 4 * (tokens + self._embedding):
            return None
        numbers = np.frombuffer(content, np.float32)
        if not np.isfinite(numbers).all():
            return None
        return numbers[:tokens].reshape(1, self._length, self._width).copy(), numbers[None, tokens:].copy()

    def _write(self, key: str, content: bytes) -> None:
        """Keeps an entry on disk; a disk that is full or read-only costs speed later, never an answer now."""
        if self._folder is None or not write_sealed(self._folder / f"{key}.text", content, durable=False):
            return
        self._disk_bytes += len(content)
        if self._disk_bytes > self._max_disk_bytes:
            self._disk_bytes = clear_oldest(self._folder.parent, ".text", self._max_disk_bytes)
