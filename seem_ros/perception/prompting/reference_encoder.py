# SPDX-License-Identifier: Apache-2.0
"""Reference pictures, looked at once: a bounded cache of what the model read in them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from seem_ros.perception.prompting import prompt_encoder
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Reference
from seem_ros.runtime.interface import Backend


class ReferenceCache:
    """Tokens of the most recently used reference pictures."""

    def __init__(self, backend: Backend, encode: Callable[[Frame], EncodedFrame]) -> None:
        self._backend, self._encode = backend, encode
        self._known: OrderedDict[bytes, prompt_encoder.ReferenceTokens] = OrderedDict()

    def read(self, reference: Reference, limit: int) -> prompt_encoder.ReferenceTokens:
        """What a prompt with this reference asks with; ``limit`` references are kept."""
        key = prompt_encoder.reference_key(reference)
        if key not in self._known:
            encoded = self._encode(Frame(reference.image))
            self._known[key] = prompt_encoder.read_reference(
                reference, encoded.geometry, encoded.features, self._backend
            )
            while len(self._known) > limit:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def clear(self) -> None:
        """Forgets all."""
        self._known.clear()
