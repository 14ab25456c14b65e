# SPDX-License-Identifier: Apache-2.0
"""An eight-bit image encoder beside a package's other graphs: static quantisation by ONNX Runtime's own quantiser.

Weights are signed, one scale per output channel; activations signed and symmetric, as TensorRT wants them. Only what
enters a convolution or a product with weights is rounded, never what leaves it: rounding before the clipping of a ReLU6
costs five times as much (measured on the built-in architecture: 0.37 against 0.07 of the fine features' spread). The
graph keeps its float weights, in the package's one file, and rounds them when it is loaded.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from seem_ros.errors import DataError, ModelError, PackageError
from seem_ros.export.mask_overlaps import mask_overlaps
from seem_ros.export.plain_weights import with_plain_weights, with_stored_weights
from seem_ros.export.weight_store import tensor_spans
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.letterbox import fit
from seem_ros.runtime.backends.onnxruntime_backend import open_onnxruntime
from seem_ros.runtime.package import DESCRIPTION, GraphFiles, Package, open_package, write_description
from seem_ros.runtime.spec import ModelSpec

GRAPH = "image_encoder_int8.onnx"
MOST_PICTURES = 64  # ranges no longer change beyond: ReLU6 bounds most of them
_HELD_OUT = 4  # every fourth picture judges the others' ranges
MEAN_IOU = 0.985  # of the masks with those of the float graph
# Blocks that see nearly raw pixels, at strides 2 and 4: an eighth of the time, and half of all the error.
_FRAGILE = ("backbone.conv_stem.", "backbone.blocks.0.", "backbone.blocks.1.", "backbone.net.conv1.")
# Share of the work in eight bits, the most first, until the masks agree. The last twentieth does a third of the harm,
# and is narrow layers: on the built-in model they save no time that could be measured.
_SHARES = (0.95, 0.9, 0.8, 0.7, 0.6)
# Pictures that say which layers hurt: the order hardly differs between pictures, and each costs a run per layer.
_ASKED = 2
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_QUANTISED = ("Conv", "MatMul", "Gemm")


@dataclass(frozen=True, eq=False)
class NetworkPicture:
    """A picture as the network takes it.

    Attributes:
        rgb: uint8 [H, W, 3], padded to the network's size.
        content_hw: Height and width of what is picture, pixels.
    """

    rgb: np.ndarray
    content_hw: tuple[int, int]


@dataclass(frozen=True)
class Int8Report:
    """What the eight-bit encoder does to answers on pictures that its ranges were not read from.

    Attributes:
        mean_iou: Mean intersection over union of its masks with the float graph's.
        prompts: Clicks and boxes that were compared.
        quantised: Convolutions and products in eight bits.
        kept: Those left in float.
    """

    mean_iou: float
    prompts: int
    quantised: int
    kept: int

    @property
    def message(self) -> str:
        """One line."""
        return (
            f"int8: {self.quantised} layers in eight bits, {self.kept} in float; masks of {self.prompts} prompts "
            f"on held-out pictures agree with float by {self.mean_iou:.4f} mean IoU (>= {MEAN_IOU})"
        )


def calibration_pictures(folder: Path, spec: ModelSpec) -> list[NetworkPicture]:
    """Pictures of a folder and its subfolders as the network takes them, evenly picked, at most `MOST_PICTURES`.

    Raises:
        DataError: The folder is missing, or holds fewer than 8 readable pictures.
    """
    if not folder.is_dir():
        raise DataError(f"calibration folder {folder} does not exist")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _ENDINGS)
    places = np.unique(np.linspace(0, max(len(files) - 1, 0), MOST_PICTURES).round().astype(int))
    found = []
    for path in (files[i] for i in places[: len(files)]):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is not None:
            geometry = fit(bgr.shape[:2], spec.input_hw, spec.resize)
            found.append(NetworkPicture(geometry.shrink(np.ascontiguousarray(bgr[..., ::-1])), geometry.content_hw))
    if len(found) < 8:
        raise DataError(
            f"calibration needs at least 8 readable pictures of what the camera sees, {folder} has {len(found)} "
            f"({', '.join(_ENDINGS)})"
        )
    return found


def add_int8(
    package: Package, pictures: Sequence[NetworkPicture], progress: Callable[[str], None] = lambda line: None
) -> tuple[Package, Int8Report]:
    """Adds an eight-bit image encoder to a package; an older one is replaced.

    Args:
        package: Verified package; its folder gets one more graph, and its description is written last.
        pictures: What the camera sees; three quarters give the ranges, the rest judges.
        progress: Told one line per step.

    Returns:
        The package as it is now, and what was measured.

    Raises:
        ModelError: The masks differ too much; names the layer that hurts most. Nothing was changed.
        PackageError: The package's folder cannot be written.
    """
    try:
        return _add_int8(package, pictures, progress)
    except OSError as error:
        raise PackageError(f"{package.folder} cannot be written: {error.strerror or error}") from error


def _add_int8(
    package: Package, pictures: Sequence[NetworkPicture], progress: Callable[[str], None]
) -> tuple[Package, Int8Report]:
    logging.getLogger("onnxruntime.quantization").setLevel(logging.ERROR)
    held_out = list(pictures[::_HELD_OUT])
    reading = [p for i, p in enumerate(pictures) if i % _HELD_OUT]
    with tempfile.TemporaryDirectory(prefix=".int8.", dir=package.folder) as name:
        work = Path(name)
        progress(f"int8: reading ranges from {len(reading)} pictures")
        own = work / "own"  # onnx reads no weights with several names, as installers leave them that link their files
        own.mkdir()
        graph, weights = (
            Path(shutil.copy(package.path(name), own))
            for name in (package.graphs["fp32"].image_encoder, package.weights)
        )
        quantiser = _Quantiser(graph, weights, work, reading)
        for share in _SHARES:
            quantiser.round_share(share, held_out[:_ASKED])
            candidate = _candidate(package, work, quantiser)
            report = _compare(candidate, held_out, quantiser)
            progress(report.message)
            if report.mean_iou >= MEAN_IOU:
                break
        else:
            hurts = quantiser.hurts(held_out[:_ASKED])
            worst, share = max(hurts.items(), key=lambda item: item[1])
            raise ModelError(
                f"{report.message}: too far, and the package is as it was; the layer that hurts most is "
                f"{quantiser.layers[worst]} (alone it moves the features by {share:.3f} of their spread)"
            )
        os.replace(work / GRAPH, package.folder / GRAPH)
        os.replace(work / DESCRIPTION, package.folder / DESCRIPTION)
    return open_package(package.folder), report


class _Quantiser:
    """A float graph with its activations' ranges, to be rounded as a whole or a layer at a time."""

    def __init__(self, graph: Path, weights: Path, work: Path, pictures: Sequence[NetworkPicture]) -> None:
        from onnxruntime.quantization import CalibrationMethod, create_calibrator

        self._stored = ir.load(graph)
        self._plain, self._made = with_plain_weights(ir.load(graph), work / "float.onnx")
        names = {start: name for name, (start, _) in tensor_spans(weights).items()}
        nodes = [node for node in self._plain.graph.node if node.op_type in _QUANTISED]
        constants = {value.name for value in self._plain.graph.initializer}
        self.layers = {
            node.name: self._layer_name(node.input[1], names) for node in nodes if node.input[1] in constants
        }
        self._work = _multiplications(self._plain, self.layers)
        self._always = {n for n, layer in self.layers.items() if f"{layer}.".startswith(_FRAGILE)}
        self._hurts: dict[str, float] = {}
        self.fragile = list(self._always)
        calibrator = create_calibrator(
            str(work / "float.onnx"),
            list(_QUANTISED),
            augmented_model_path=str(work / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Reader(pictures))
        self._ranges = calibrator.compute_data()

    def _layer_name(self, weight: str, names: Mapping[int, str]) -> str:
        """What a layer is called in the model: the exporter names turned weights by numbers."""
        tensor = self._stored.graph.initializers[self._made[weight].source].const_value
        if isinstance(tensor, ir.ExternalTensor):
            weight = names.get(tensor.offset, weight)
        return weight.removeprefix("model.").split(".weight")[0]

    def graph(self, layers: Sequence[str]) -> onnx.ModelProto:
        """The graph with these layers rounded."""
        from onnxruntime.quantization import QDQQuantizer, QuantType

        model = onnx.ModelProto()
        model.CopyFrom(self._plain)
        quantiser = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=list(layers),
            nodes_to_exclude=[],
            op_types_to_quantize=list(_QUANTISED),
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "AddQDQPairToWeight": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": list(_QUANTISED),
            },
        )
        quantiser.quantize_model()
        _read_unrounded(quantiser.model.model.graph)
        return quantiser.model.model

    def write(self, path: Path) -> None:
        """The whole graph but its fragile layers, with its weights where the float graph has them."""
        model = ir.from_proto(self.graph([n for n in self.layers if n not in self.fragile]))
        common.RemoveUnusedNodesPass()(model)
        with_stored_weights(model, self._stored, self._made)
        for value in (*model.graph.inputs, *model.graph.outputs):
            value.metadata_props.clear()
        ir.save(model, path)

    def round_share(self, share: float, pictures: Sequence[NetworkPicture]) -> None:
        """Leaves in float what hurts most for the work it does, until this share of the work is in eight bits."""
        self.fragile = list(self._always)
        hurts = self.hurts(pictures)
        rest = [n for n in self.layers if n not in self._always]
        rest.sort(key=lambda n: -(hurts[n] ** 2) / self._work[n])
        spare = (1 - share) * sum(self._work[n] for n in rest)
        for name in rest:
            spare -= self._work[name]
            if spare < 0:
                return
            self.fragile.append(name)

    def hurts(self, pictures: Sequence[NetworkPicture]) -> dict[str, float]:
        """By how much of the features' spread each layer alone moves them, by its node's name: the mean over the
        outputs, for the mask features are few numbers among many."""
        if self._hurts:
            return self._hurts
        import onnxruntime as ort

        def run(model: onnx.ModelProto) -> list[list[np.ndarray]]:
            options = ort.SessionOptions()
            options.log_severity_level = 3
            session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            return [session.run(None, feed) for feed in map(_feed, pictures)]

        wanted = run(self._plain)
        for node in self.layers:
            if node not in self._always:
                moved = [
                    np.mean((f - w) ** 2) / max(float(w.var()), 1e-12)
                    for found, want in zip(run(self.graph([node])), wanted, strict=True)
                    for f, w in zip(found, want, strict=True)
                ]
                self._hurts[node] = float(np.sqrt(np.mean(moved)))
        return self._hurts


def _read_unrounded(graph: onnx.GraphProto) -> None:
    """Leaves rounded numbers to the products: the quantiser gives them to all that read the same tensor.

    Sums, enlargements and outputs are better off without, and an output that OpenVINO takes for rounded is scaled and
    turned round in passes of its own: a tenth of the built-in model's encoder.
    """
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", *_QUANTISED):
            continue
        for i, name in enumerate(node.input):
            back = makers.get(name)
            if back is not None and back.op_type == "DequantizeLinear":
                rounding = makers.get(back.input[0])
                if rounding is not None:
                    node.input[i] = rounding.input[0]


def _multiplications(model: onnx.ModelProto, layers: Iterable[str]) -> dict[str, float]:
    """How many each layer does, by its name."""
    found = onnx.shape_inference.infer_shapes(model).graph
    sizes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*found.value_info, *found.output)}
    weights = {value.name: list(value.dims) for value in found.initializer}
    work = {}
    for node in found.node:
        if node.name in layers:
            weight = weights[node.input[1]]
            each = weight[1:] if node.op_type == "Conv" else weight[:1]
            work[node.name] = float(np.prod(sizes[node.output[0]]) * np.prod(each))
    return work


class _Reader:
    """Pictures one by one, as the calibrator asks for them."""

    def __init__(self, pictures: Sequence[NetworkPicture]) -> None:
        self._rest: Iterator[NetworkPicture] = iter(pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next picture's inputs, None at the end."""
        picture = next(self._rest, None)
        return None if picture is None else _feed(picture)

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        found = self.get_next()
        if found is None:
            raise StopIteration
        return found


def _feed(picture: NetworkPicture) -> dict[str, np.ndarray]:
    return {"image": picture.rgb, "content_hw": np.array(picture.content_hw, np.int32)}


def _candidate(package: Package, work: Path, quantiser: _Quantiser) -> Package:
    """The package with the eight-bit graph, in a folder of its own that shares its files."""
    for name in package.spec.sha256:
        if name == GRAPH or (work / name).exists():  # linked in an earlier round
            continue
        try:
            os.link(package.path(name), work / name)
        except OSError:  # a file system without links
            shutil.copyfile(package.path(name), work / name)
    quantiser.write(work / GRAPH)
    full = package.graphs["fp32"]
    files = GraphFiles(GRAPH, full.text_encoder, full.decoders, full.objects, full.small_decoders)
    write_description(replace(package, folder=work, graphs={**package.graphs, "int8": files}))
    return open_package(work)


def _compare(candidate: Package, pictures: Sequence[NetworkPicture], quantiser: _Quantiser) -> Int8Report:
    """Masks by the float graph and by the eight-bit one."""
    frames = [Frame(np.ascontiguousarray(p.rgb[: p.content_hw[0], : p.content_hw[1]])) for p in pictures]
    with open_onnxruntime(candidate) as plain, open_onnxruntime(candidate, precision="int8") as rounded:
        found = mask_overlaps(Segmenter(plain), Segmenter(rounded), frames)
    kept = len(quantiser.fragile)
    # Where the float model is sure of nothing there is nothing to judge by.
    return Int8Report(float(np.mean(found)) if found else 0.0, len(found), len(quantiser.layers) - kept, kept)
