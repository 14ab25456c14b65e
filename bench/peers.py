# SPDX-License-Identifier: Apache-2.0
r"""Ours beside what a user would pick instead: one run, one machine, one runtime, the same precision.

    pip install ultralytics             # only for this comparison; nothing of it is part of seem_ros
    python bench/peers.py --package builtin --out out/peers

Speed alone is compared: the peers' networks have random weights and run at the size that they are used at. A row of
ours is a whole answer (a picture encoded and four prompts decoded); a detector's row is its network without sorting out
its boxes; an encoder's row answers no prompt yet. Everything is timed in turns with a calibration convolution beside
it. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measuring import CALIBRATION, calibration_ms, click_prompts, machine, paired, plot, table
from torch import nn

from seem_ros.errors import BackendError, SeemError
from seem_ros.runtime import load_backend
from seem_ros.runtime.package import open_package
from seem_ros.runtime.parity_gate import drawn_scene

PROMPTS = 4
_HINTS = {"fp32": "f32", "bf16": "bf16"}
YARDSTICK = "yolo11n-seg 480x640"


@dataclass(frozen=True)
class Peer:
    """A network to time.

    Attributes:
        make: Makes it with random weights, ready to be traced.
        height, width: Its input, pixels: what it is usually given for a 4:3 picture.
    """

    make: Callable[[], nn.Module]
    height: int
    width: int


def ultralytics_network(configuration: str, classes: int) -> nn.Module:
    """One of ultralytics' segmentation networks by its own configuration file, norms folded, as it is exported.

    Raises:
        SeemError: ultralytics is not installed.
    """
    os.environ["YOLO_AUTOINSTALL"] = "false"  # a comparison installs nothing by itself
    try:
        from ultralytics.nn.tasks import SegmentationModel
    except ImportError as error:
        raise SeemError(
            f"the peers need ultralytics, for this comparison only: pip install ultralytics ({error})"
        ) from error
    model = SegmentationModel(configuration, nc=classes, verbose=False).fuse(verbose=False).eval()
    for module in model.modules():
        if hasattr(module, "export"):
            module.export, module.format = True, "onnx"
    return model


def timm_encoder(name: str) -> nn.Module:
    """An image encoder by its shape."""
    import timm

    return timm.create_model(name, num_classes=0, global_pool="").eval()


PEERS = {
    YARDSTICK: Peer(lambda: ultralytics_network("yolo11n-seg.yaml", 80), 480, 640),
    "FastSAM-s 480x640": Peer(lambda: ultralytics_network("yolov8s-seg.yaml", 1), 480, 640),
    "FastSAM-s 768x1024 (its own size)": Peer(lambda: ultralytics_network("yolov8s-seg.yaml", 1), 768, 1024),
    "NanoSAM's encoder (ResNet-18, 1024x1024)": Peer(lambda: timm_encoder("resnet18"), 1024, 1024),
    "MobileSAM's encoder (TinyViT-5M, 1024x1024)": Peer(lambda: timm_encoder("tiny_vit_5m_224"), 1024, 1024),
}


def graph(peer: Peer, path: Path) -> Path:
    """The peer's network as ONNX, made once."""
    if not path.is_file():
        import logging
        import warnings

        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        example = torch.zeros(1, 3, peer.height, peer.width)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                peer.make(), (example,), path, dynamo=True, opset_version=20, external_data=False, verbose=False
            )
    return path


def openvino_call(path: Path, peer: Peer, precision: str, threads: int) -> Callable[[], object]:
    """The network in OpenVINO, on one random picture."""
    import openvino as ov

    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = ov.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    picture = np.random.default_rng(0).random((1, 3, peer.height, peer.width), np.float32)
    request.set_input_tensor(ov.Tensor(picture, shared_memory=True))
    return request.infer


def official_call(threads: int) -> Callable[[], object]:
    """SEEM's own formulation (Focal-T, rules v0, 480x640) in torch float32: encode and answer a prompt at a time."""
    import straightforward as plain

    from seem_ros.model.checkpoints import deterministic_model
    from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
    from seem_ros.runtime.backends.torch_backend import TorchBackend
    from seem_ros.runtime.spec import ModelSpec

    torch.set_num_threads(threads)
    model = deterministic_model("focalt_v0")
    backend = TorchBackend(model, ModelSpec.of_config(model.config, (480, 640)), device="cpu")
    batch = click_prompts(backend, PROMPTS)
    prompts = PromptTensors(
        **{name: torch.from_numpy(getattr(batch, name))[None] for name in batch.__dataclass_fields__}
    )
    picture = torch.from_numpy(drawn_scene(480, 640))

    @torch.inference_mode()
    def answer() -> None:
        encoded = plain.encode_image(model, model.normalise(picture.permute(2, 0, 1)[None]))
        for i in range(PROMPTS):
            plain.decode(model, encoded, prompts, i)

    return answer


def our_call(package: str, precision: str, threads: int) -> Callable[[], object]:
    """A frame of a package: a picture encoded and four clicks answered."""
    backend = load_backend(package, "openvino", precision=precision, device="CPU", threads=threads)
    picture, prompts = drawn_scene(*backend.spec.input_hw), click_prompts(backend, PROMPTS)
    return lambda: backend.decode(backend.encode_image(picture), prompts)


def ratios(found: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Times as shares of the yardstick's at the same precision; int8 stands beside its best float precision."""
    yard = found[YARDSTICK]
    best = min(yard.values())
    return {
        name: {column: value / yard.get(column, best) for column, value in row.items()} for name, row in found.items()
    }


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="builtin", help="name or folder")
    parser.add_argument(
        "--precisions",
        nargs="+",
        default=None,
        choices=("fp32", "bf16", "int8"),
        help="default fp32, bf16 where the CPU computes in it, int8 where the package has it",
    )
    parser.add_argument(
        "--peers",
        nargs="+",
        default=list(PEERS),
        choices=list(PEERS),
        metavar="NAME",
        help="which peers; the yardstick always",
    )
    parser.add_argument("--no-official", action="store_true", help="without SEEM's own formulation (seconds a picture)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10, help="calls per row and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("out/peers"))
    return parser


def calls(arguments: argparse.Namespace) -> dict[str, dict[str, Callable[[], object]]]:
    """Everything that is timed: rows of precisions."""
    from seem_ros.runtime.backends.openvino_backend import has_bf16

    package = open_package(arguments.package)
    wanted = arguments.precisions or ["fp32", *["bf16"][: has_bf16()], *["int8"][: "int8" in package.graphs]]
    height, width = package.spec.input_hw
    works: dict[str, dict[str, Callable[[], object]]] = {
        f"seem_ros {package.spec.name} {height}x{width}, {PROMPTS} prompts": {
            p: our_call(str(package.folder), p, arguments.threads) for p in wanted
        }
    }
    for name in dict.fromkeys((YARDSTICK, *arguments.peers)):
        peer = PEERS[name]
        path = graph(peer, arguments.out / f"{name.split(' (')[0].replace(' ', '_')}.onnx")
        works[name] = {p: openvino_call(path, peer, p, arguments.threads) for p in wanted if p in _HINTS}
    if not arguments.no_official:
        works[f"SEEM, official formulation (Focal-T 480x640, {PROMPTS} prompts, torch)"] = {
            "fp32": official_call(arguments.threads)
        }
    return works


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes ``peers.md``, ``peers.json`` and ``peers.png``."""
    arguments = build_parser().parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        works = calls(arguments)
        before = calibration_ms(arguments.threads)
        found = paired(works, arguments.repeats, arguments.rounds)
        after = calibration_ms(arguments.threads)
    except (SeemError, BackendError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    share = ratios(found)
    report = "\n\n".join(
        [
            "# Speed beside peers",
            f"{machine()}; OpenVINO, {arguments.threads} threads; best of {arguments.rounds} rounds of "
            f"{arguments.repeats} calls in turns, all in one run; peers with random weights.",
            f"Calibration ({CALIBRATION}): {before:.1f} ms before, {after:.1f} ms after.",
            table(found),
            table(share, f"times {YARDSTICK}", 2),
        ]
    )
    (arguments.out / "peers.md").write_text(report + "\n")
    (arguments.out / "peers.json").write_text(
        json.dumps({"machine": machine(), "calibration_ms": [before, after], "ms": found, "share": share}, indent=1)
    )
    shown = {name: {"fp32": row["fp32"]} for name, row in found.items() if "fp32" in row and "official" not in name}
    plot(arguments.out / "peers.png", shown, ["fp32"], "One picture, OpenVINO float32")
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
