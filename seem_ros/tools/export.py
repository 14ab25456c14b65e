# SPDX-License-Identifier: Apache-2.0
"""Writes a model package from a checkpoint, and builds TensorRT engines ahead of time.

    python -m seem_ros.tools.export seem_focalt_v0.pt --size 480x640 --precision fp16 --out models/focalt
    python -m seem_ros.tools.export out/train/average.pt --card models/lite.card.yaml --out models/lite
    python -m seem_ros.tools.export --package builtin --size 256x320 --out models/small    # the same model, seeing less
    python -m seem_ros.tools.export --package models/lite --precision int8 --calibration pictures
    python -m seem_ros.tools.export --package models/lite --build-engine --gpu SM89

A package runs without torch: ``model.yaml``, ONNX graphs with static shapes, their weights stored once, the tokenizer,
and stored inputs that every new engine is compared on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seem_ros.command_line import one_line_errors
from seem_ros.datasets.recorded_clip import RecordedClip, find_clip
from seem_ros.errors import DataError, ModelError, PackageError, SeemError
from seem_ros.export.model_card import TOLD
from seem_ros.plain_yaml import read_yaml_mapping
from seem_ros.runtime.package import PRECISIONS, Package, open_package
from seem_ros.runtime.postprocess_config import PostprocessConfig
from seem_ros.runtime.spec import ModelSpec, VocabularyEntry, mapping, sequence

if TYPE_CHECKING:
    from seem_ros.model.seem import Seem

_CARD_FIELDS = (
    "name",
    "vocabulary",
    "known_words",
    "thresholds",
    "max_points",
    "max_references",
    "prompt_buckets",
    *TOLD,
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m seem_ros.tools.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", nargs="?", help="official .pt or .safetensors, or the built-in model's weights")
    parser.add_argument("--package", help="a package instead of a checkpoint: for another --size, int8, or engines")
    parser.add_argument("--out", help="folder of the package; default models/<name>")
    parser.add_argument("--size", metavar="HxW", type=parse_size, help="network input; default the model's usual size")
    parser.add_argument("--rules", choices=("v0", "v1", "demo"), help="where the file's name does not say")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="fp16 and bf16 add such graphs; int8 adds an eight-bit image encoder, also to a --package",
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="FOLDER", help="with int8: pictures of what the camera sees, 8 or more"
    )
    parser.add_argument(
        "--half-weights",
        action="store_true",
        help="store matrices in float16 (half the size; float32 graphs cast them)",
    )
    parser.add_argument("--points", type=int, help="point slots per prompt, both signs; 1024 for parity")
    parser.add_argument("--references", type=int, help="reference point slots per prompt")
    parser.add_argument("--buckets", metavar="N,N,...", type=parse_buckets, help="prompt counts to make graphs for")
    parser.add_argument("--card", type=Path, help=f"YAML file with any of {', '.join(_CARD_FIELDS)}")
    parser.add_argument("--build-engine", action="store_true", help="build TensorRT engines into the cache")
    parser.add_argument(
        "--gpu",
        default="current",
        metavar="SMxx",
        help="with --build-engine: this GPU, or another one by compute capability (TensorRT-RTX only)",
    )
    parser.add_argument("--cache-dir", type=Path, help="engine cache; default ~/.cache/seem_ros")
    return parser


def parse_size(text: str) -> tuple[int, int]:
    """``480x640`` to (480, 640)."""
    height, separator, width = text.lower().partition("x")
    if not separator or not height.isdigit() or not width.isdigit():
        raise argparse.ArgumentTypeError(f"a size is HEIGHTxWIDTH such as 480x640, got {text!r}")
    return int(height), int(width)


def parse_buckets(text: str) -> tuple[int, ...]:
    """``1,4,16`` to (1, 4, 16)."""
    parts = text.split(",")
    if not all(p.isdigit() and int(p) > 0 for p in parts):
        raise argparse.ArgumentTypeError(f"buckets are counts such as 1,4,16, got {text!r}")
    return tuple(sorted({int(p) for p in parts}))


def read_card(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a package says about its model beyond the architecture, and what only its card tells people.

    Raises:
        ModelError: The file is missing or has unknown fields.
    """
    card = read_yaml_mapping(path, ModelError)
    unknown = sorted(set(card) - set(_CARD_FIELDS))
    if unknown:
        raise ModelError(f"model card {path} has unknown fields {unknown}; allowed are {', '.join(_CARD_FIELDS)}")
    if "vocabulary" in card:
        card["vocabulary"] = tuple(
            VocabularyEntry.of(entry) for entry in sequence("vocabulary", card["vocabulary"] or ())
        )
    if "thresholds" in card:
        card["postprocess"] = PostprocessConfig.from_mapping(mapping("thresholds", card.pop("thresholds") or {}))
    for name in ("known_words", "prompt_buckets"):
        if card.get(name) is not None:
            card[name] = tuple(sequence(name, card[name]))
    told = {name: card.pop(name) for name in TOLD if name in card}
    return card, told


def export(arguments: argparse.Namespace) -> Package:
    """Writes the package that the command line asks for.

    Raises:
        SeemError: The checkpoint or the options cannot be used.
    """
    from seem_ros.export.model_card import write_model_card
    from seem_ros.export.target import check_target
    from seem_ros.runtime.checkpoint import open_checkpoint

    fields, told = read_card(arguments.card) if arguments.card else ({}, {})
    if arguments.out:
        check_target(Path(arguments.out))  # before a checkpoint is read in vain
    model, spec = open_checkpoint(arguments.checkpoint, arguments.size, arguments.rules, **(fields | _slots(arguments)))
    package = _written(model, spec, arguments, arguments.half_weights or None)
    if told:
        write_model_card(package, told)
    return package


def resized(given: Package, arguments: argparse.Namespace) -> Package:
    """Writes a package's model anew, at another size of the network input.

    Raises:
        SeemError: The size does not fit the model, or the target or the package cannot be used.
    """
    from seem_ros.runtime.checkpoint import is_in_halves, trainable_model

    height, width = arguments.size
    name = f"{given.spec.name}_{height}x{width}"
    spec = replace(given.spec, name=name, input_hw=arguments.size, sha256={}, **_slots(arguments))
    return _written(trainable_model(given), spec, arguments, arguments.half_weights or is_in_halves(given) or None)


def _slots(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fields of a spec that the command line sets."""
    given = {
        "max_points": arguments.points,
        "max_references": arguments.references,
        "prompt_buckets": arguments.buckets,
    }
    return {name: value for name, value in given.items() if value is not None}


def _written(model: Seem, spec: ModelSpec, arguments: argparse.Namespace, half_weights: bool | None) -> Package:
    from seem_ros.export.package_writer import write_package

    return write_package(
        model,
        spec,
        Path(arguments.out) if arguments.out else Path("models") / spec.name,
        "fp32" if arguments.precision == "int8" else arguments.precision,
        half_weights,
        progress=lambda line: print(line),
        gate_rgb=_known_picture() if model.config.decoder.prior else None,  # only models of our own have a prior
    )


def _known_picture() -> np.ndarray | None:
    """What our own models know, for engines to be compared on; None where the recorded clip was not installed."""
    try:
        return RecordedClip(find_clip("tabletop")).read(0).rgb
    except DataError:
        return None


def with_int8(package: Package, calibration: Path) -> Package:
    """The package with an eight-bit image encoder.

    Raises:
        SeemError: The pictures cannot be used, or the masks differ too much.
    """
    from seem_ros.export.int8 import add_int8, calibration_pictures

    return add_int8(package, calibration_pictures(calibration, package.spec), print)[0]


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if bool(arguments.checkpoint) == bool(arguments.package):
        parser.error("give either a checkpoint or --package")
    if arguments.package and (arguments.card or arguments.rules):
        parser.error("--card and --rules go with a checkpoint: a package says such things of itself")
    if (arguments.precision == "int8") != bool(arguments.calibration):
        parser.error("--precision int8 and --calibration FOLDER go together: its ranges are read from pictures")
    if arguments.package and arguments.out and not arguments.size:
        parser.error("--out goes with a checkpoint or with --size: int8 and engines are added to the --package itself")
    try:
        package = open_package(arguments.package) if arguments.package else export(arguments)
        if arguments.package and arguments.size:
            package = resized(package, arguments)
        if arguments.calibration:
            package = with_int8(package, arguments.calibration)
        size = sum(package.path(name).stat().st_size for name in package.spec.sha256)
        print(f"{package.folder}: {package.spec.name}, {package.spec.precision}, {size / 1e6:.1f} MB")
        if arguments.build_engine:
            from seem_ros.runtime.tensorrt.engine_build import build_engines

            for line in build_engines(package, arguments.gpu, arguments.cache_dir):
                print(line)
        elif arguments.package and not arguments.calibration and not arguments.size:
            raise PackageError("--package alone does nothing: add --size, --precision int8 or --build-engine")
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
