# SPDX-License-Identifier: Apache-2.0
"""Reference pictures, looked at once: a bounded cache of what the model read in them."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from seem_ros.perception import asking
from seem_ros.perception.encoded import EncodedFrame
from seem_ros.perception.frames import Frame
from seem_ros.perception.prompts import Reference
from seem_ros.runtime.interface import Backend


class ReferenceCache:
    """Tokens of the most recently used reference pictures."""

    def __init__(self, backend: Backend, encode: Callable[[Frame], EncodedFrame]) -> None:
        self._backend, self._encode = backend, encode
        self._known: OrderedDict[bytes, asking.ReferenceTokens] = OrderedDict()

    def read(self, reference: Reference, limit: int) -> asking.ReferenceTokens:
        """What a prompt with this reference asks with; ``limit`` references are kept."""
        key = asking.reference_key(reference)
        if key not in self._known:
            encoded = self._encode(Frame(reference.image))
            self._known[key] = asking.read_reference(reference, encoded.geometry, encoded.features, self._backend)
            while len(self._known) > limit:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def clear(self) -> None:
        """Forgets all."""
        self._known.clear()
