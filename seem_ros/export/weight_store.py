# SPDX-License-Identifier: Apache-2.0
"""Weights stored once: one safetensors file that every graph of a package names as its external data."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
from safetensors.numpy import save_file

from seem_ros.errors import PackageError

_INLINE_BYTES = 2048  # smaller constants stay in the graph: an external reference costs more than it saves
_PREFIX = "model."  # what the graph modules put before the model's own parameter names


class WeightStore:
    """Collects the weights of a model and the constants of its graphs, writes them, then points graphs at them.

    Matrices and convolutions are stored in ``float16`` where asked; vectors (biases, norms) always in float32. Graphs
    cast what they read, so computing stays in the graph's own precision.
    """

    def __init__(self, state: Mapping[str, np.ndarray], half: bool) -> None:
        self._half = half
        self._state = dict(state)
        self._tensors = {name: self._stored(array) for name, array in state.items()}
        self._transposed = {_digest(a.T): name for name, a in state.items() if a.ndim == 2 and a.nbytes > _INLINE_BYTES}
        self._spans: dict[str, tuple[int, int]] = {}

    def collect(self, model: ir.Model) -> None:
        """Takes up the large constants of a graph that are no weights (positions, folded expressions)."""
        for value in model.graph.initializers.values():
            array = value.const_value.numpy()
            if array.nbytes > _INLINE_BYTES and self._key(value.name, array) not in self._tensors:
                # A constant keeps its precision: positions rounded to half would move masks.
                self._tensors[self._key(value.name, array)] = np.ascontiguousarray(array)

    def write(self, path: Path) -> None:
        """Writes the file and remembers where every tensor lies in it."""
        save_file(self._tensors, str(path))
        path.chmod(0o644)
        self._spans = tensor_spans(path)

    def attach(self, model: ir.Model, path: Path) -> None:
        """Replaces a graph's large constants by references into the written file, cast to the type they had.

        Raises:
            PackageError: The graph was not collected.
        """
        graph = model.graph
        for value in list(graph.initializers.values()):
            array = value.const_value.numpy()
            if array.nbytes <= _INLINE_BYTES:
                continue
            key = self._key(value.name, array)
            if key not in self._spans:
                raise PackageError(f"constant {value.name} of the graph was not written to {path}")
            stored, (offset, size) = self._tensors[key], self._spans[key]
            kind = ir.DataType.from_numpy(stored.dtype)
            tensor = ir.ExternalTensor(
                path.name, offset, size, kind, shape=ir.Shape(stored.shape), name=value.name, base_dir=path.parent
            )
            turned = key != self._key_as_is(value.name, array)
            if kind == value.const_value.dtype and not turned:
                value.const_value = tensor
                continue
            source = ir.Value(name=f"{value.name}_stored", shape=ir.Shape(stored.shape), type=ir.TensorType(kind))
            source.const_value = tensor
            tensor.name = source.name
            nodes, wanted = [], value.const_value.dtype
            if kind != wanted:
                nodes.append(ir.node("Cast", [source], {"to": wanted.value}, name=f"{value.name}_cast"))
            if turned:
                before = nodes[-1].outputs[0] if nodes else source
                nodes.append(ir.node("Transpose", [before], {"perm": [1, 0]}, name=f"{value.name}_turn"))
            for node in nodes:
                out = node.outputs[0]
                out.name = f"{node.name}_read"
                out.shape = ir.Shape(array.shape if node.op_type == "Transpose" else stored.shape)
                out.type = ir.TensorType(wanted)
            value.replace_all_uses_with(nodes[-1].outputs[0])
            graph.initializers.pop(value.name)
            graph.initializers[source.name] = source
            graph.insert_before(graph[0], nodes)

    def _key(self, name: str, array: np.ndarray) -> str:
        """The state-dict name of a constant that is a weight or a turned weight, else a name made of its content."""
        found = self._key_as_is(name, array)
        return found if found in self._state else self._transposed.get(_digest(array), found)

    def _key_as_is(self, name: str, array: np.ndarray) -> str:
        own = name.removeprefix(_PREFIX)
        state = self._state.get(own)
        if state is not None and state.shape == array.shape and np.array_equal(state, array):
            return own
        return f"graph.{_digest(array)}"

    def _stored(self, array: np.ndarray) -> np.ndarray:
        array = np.ascontiguousarray(array)
        if self._half and array.dtype == np.float32 and array.ndim > 1 and array.nbytes > _INLINE_BYTES:
            return array.astype(np.float16)
        return array


def tensor_spans(path: Path) -> dict[str, tuple[int, int]]:
    """Where each tensor of a safetensors file lies: name -> first byte and number of bytes."""
    with path.open("rb") as stream:
        length = struct.unpack("<Q", stream.read(8))[0]
        header = json.loads(stream.read(length))
    spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    return {name: (8 + length + start, stop - start) for name, (start, stop) in spans.items()}


def _digest(array: np.ndarray) -> str:
    content = np.ascontiguousarray(array).tobytes() + str((array.shape, array.dtype)).encode()
    return hashlib.sha256(content).hexdigest()[:20]
