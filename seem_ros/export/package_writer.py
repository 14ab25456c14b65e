# SPDX-License-Identifier: Apache-2.0
"""A model to a package on disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from safetensors.torch import save_file

from seem_ros.errors import PackageError
from seem_ros.export.graphs import traceables
from seem_ros.export.precision import lower_precision
from seem_ros.export.target import check_target, exchange
from seem_ros.export.tracing import trace
from seem_ros.export.weight_store import WeightStore
from seem_ros.model.seem import Seem
from seem_ros.model.text.tokenizer import DATA_FILE
from seem_ros.perception.structures.letterbox import fit
from seem_ros.runtime.backends.batch_norm_folding import fold_batch_norms, norm_state
from seem_ros.runtime.package import GraphFiles, Package, open_package, write_description
from seem_ros.runtime.parity_gate import write_gate_inputs
from seem_ros.runtime.spec import ModelSpec

WEIGHTS, TOKENIZER, GATE, NORMS = "weights.safetensors", "tokenizer.json", "gate.npz", "norms.safetensors"


def write_package(
    model: Seem,
    spec: ModelSpec,
    folder: Path,
    precision: str = "fp32",
    half_weights: bool | None = None,
    tokenizer: Path = DATA_FILE,
    progress: Callable[[str], None] = lambda line: None,
    gate_rgb: np.ndarray | None = None,
) -> Package:
    """Exports a model. Batch norms of ``model`` are folded in place.

    Args:
        model: Trained model.
        spec: Sizes and rules of the package; ``spec.precision`` is set to ``precision``.
        folder: Where the package goes: missing, empty, or a package, which is exchanged at the end, so that a failed
            export leaves the old one. Files beside an old package's own stay.
        precision: ``fp32``, or ``fp16``/``bf16`` to write such graphs beside the fp32 ones.
        half_weights: Store matrices in float16 (graphs compute in their own precision); default: with fp16 graphs.
        tokenizer: Tokenizer file to ship.
        progress: Told one line per step.
        gate_rgb: uint8 [H, W, 3] in RGB, any size: what the model knows, for engines to be compared on; default a drawn
            scene. On what a model does not know rounding moves its masks far.

    Raises:
        PackageError: The folder holds something else than a package, or cannot be written; nothing was changed.
        ModelError: A graph holds an operator that some runtime gets wrong, or is not whole.
    """
    folder = check_target(folder)
    norms = norm_state(model.eval())
    fold_batch_norms(model)
    half = precision == "fp16" if half_weights is None else half_weights
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise PackageError(f"{folder} cannot be written: {error.strerror or error}") from error
    try:
        graphs: dict[str, ir.Model] = {}
        every = traceables(model, spec)
        for number, (name, traced) in enumerate(every.items(), 1):
            progress(f"tracing {name}, {number} of {len(every)}")
            graphs[name] = trace(traced)
        progress("writing the weights")
        state = {k: v.detach().cpu().numpy() for k, v in model.state_dict().items()}
        store = WeightStore(state, half)
        for graph in graphs.values():
            store.collect(graph)
        store.write(work / WEIGHTS)
        sets: dict[str, GraphFiles] = {}
        for graph in graphs.values():
            store.attach(graph, work / WEIGHTS)
        sets["fp32"] = _save(graphs, work, "")
        if precision != "fp32":
            for name, graph in graphs.items():
                if name != "text_encoder":  # runs once per text: precision is worth more than its time
                    progress(f"{name}: {lower_precision(graph, precision)} nodes in {precision}")
            sets[precision] = _save(graphs, work, f"_{precision}")
        shutil.copyfile(tokenizer, work / TOKENIZER)
        shown = None if gate_rgb is None else fit(gate_rgb.shape[:2], spec.input_hw, spec.resize).shrink(gate_rgb)
        write_gate_inputs(work / GATE, spec, shown)
        if norms:
            save_file({k: v.cpu().contiguous() for k, v in norms.items()}, str(work / NORMS))
            (work / NORMS).chmod(0o644)
        fields: dict[str, Any] = spec.to_mapping() | {"precision": precision, "sha256": {}}
        write_description(
            Package(
                folder=work,
                spec=ModelSpec.from_mapping(fields),
                graphs=sets,
                weights=WEIGHTS,
                tokenizer=TOKENIZER,
                gate=GATE,
                architecture=model.config.to_dict(),
                norms=NORMS if norms else None,
            )
        )
        open_package(work)
        work.chmod(0o755)
        exchange(work, folder)
    except OSError as error:
        raise PackageError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)  # made above
    return open_package(folder)


def _save(graphs: Mapping[str, ir.Model], folder: Path, suffix: str) -> GraphFiles:
    names = {}
    for name, graph in graphs.items():
        for value in (*graph.graph.inputs, *graph.graph.outputs):
            value.metadata_props.clear()
        for node in graph.graph:
            node.metadata_props.clear()  # stack traces with paths of the exporting machine
            node.doc_string = None
        graph.metadata_props.clear()
        own = suffix if name != "text_encoder" else ""
        names[name] = f"{name}{own}.onnx"
        proto = ir.to_proto(graph)
        if name.startswith(
            "decoder_"
        ):  # shapes of what is inside are a third of the file, and every runtime infers them
            proto.graph.ClearField("value_info")
        (folder / names[name]).write_bytes(proto.SerializeToString())
    decoders: dict[bool, dict[int, str]] = {False: {}, True: {}}
    for name, file in names.items():
        kind, _, count = name.partition("_")
        if kind == "decoder":
            decoders[name.endswith("_small")][int(count.removesuffix("_small"))] = file
    return GraphFiles(
        names["image_encoder"], names["text_encoder"], decoders[False], names.get("objects"), decoders[True]
    )


def parameters(model: Seem) -> int:
    """Number of weights."""
    return int(sum(np.prod(p.shape) for p in model.parameters()))
