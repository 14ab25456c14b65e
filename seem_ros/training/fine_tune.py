# SPDX-License-Identifier: Apache-2.0
"""Teaches a model package new things without losing the old ones: what `training.train --data LABELS` runs.

The encoder of pictures stays as it is; what reads it learns on. What was known stays known, because old scenes go along
("replay"), because the model's former answers are truth where nothing new is (`keeping.py`), and because the result
lies between the old weights and the trained ones. It is `average.pt` with `card.yaml` beside it, which
`seem_ros.tools.export` makes a package of.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import yaml
from torch import nn
from tqdm import tqdm

from seem_ros.datasets.scenes.label_folder import LabelFolder
from seem_ros.datasets.scenes.mixture import Mixture, SourceSpec
from seem_ros.datasets.scenes.pasting import PasteConfig, collect
from seem_ros.datasets.scenes.shards import Shards
from seem_ros.datasets.scenes.views import ViewConfig
from seem_ros.errors import DataError
from seem_ros.files import check_name, claim_folder
from seem_ros.runtime.checkpoint import trainable_model
from seem_ros.runtime.package import Package, file_sha256, find_package, open_package
from seem_ros.training.keeping import Keeping
from seem_ros.training.objective import Step
from seem_ros.training.progress import Curve
from seem_ros.training.referring_phrases import SpokenNames
from seem_ros.training.run_state import average_gradients, between, cosine, follow, save_run

WRITTEN = ("average.pt", "last.pt", "card.yaml", "curve.csv", "curve.png", "settings.yaml")
#: Cut-outs of the new things that are pasted into other pictures.
_CUTOUTS = 200
_SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
class FineTuneConfig:
    """One run. Two runs with the same values, data and process count see the same pictures.

    Attributes:
        data: folder with index.json (as `seem_ros.tools.label` writes it), or of such folders.
        out: folder for the result.
        init: the package that is taught.
        replay: folders with old scenes: rendered clips, or labelled folders; without any, old things fade.
        replay_share: part of the clips that are old scenes.
        minutes: how long, of a GPU by the clock, else of the CPU's time; the learning rate falls to nothing over it.
        learning_rate: of AdamW at its height.
        clips: clips a step and process; each gives two frames.
        height, width: of the network's input while training, multiples of 32; smaller than the package's is faster.
        paste_share: part of the clips that new things are pasted into.
        new_share: how far the result goes from the old weights to the trained ones: 1 learns most and forgets most.
        seed: seeds everything.
    """

    data: str
    out: str
    init: str = "builtin"
    replay: tuple[str, ...] = ()
    replay_share: float = 0.4
    minutes: float = 15.0
    learning_rate: float = 4e-4
    clips: int = 4
    height: int = 192
    width: int = 256
    paste_share: float = 0.4
    new_share: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.clips < 1 or self.learning_rate <= 0:
            raise DataError("minutes and learning_rate are above 0, clips at least 1")
        if self.height % 32 or self.width % 32 or min(self.height, self.width) < 32:
            raise DataError(f"height and width are multiples of 32, got {self.height}x{self.width}")
        if not 0 <= self.replay_share < 1:
            raise DataError(f"replay_share lies from 0 up to 1, got {self.replay_share}")
        if not 0 < self.new_share <= 1:
            raise DataError(f"new_share lies above 0 and up to 1, got {self.new_share}")


def fine_tune(config: FineTuneConfig, rank: int = 0, processes: int = 1) -> tuple[Path, int]:
    """Runs, or goes on with, one fine-tuning.

    Args:
        config: what to do.
        rank: of this process; rank 0 writes.
        processes: that share the work; `torch.distributed` has been set up where there are several.

    Returns:
        The folder of the result, and how many steps this call took: none where an earlier one had all its minutes.

    Raises:
        SeemError: data or package cannot be used; nothing was written then.
    """
    check_name("the folder of the result, which names the package,", Path(config.out).resolve().name)
    package = open_package(find_package(config.init))
    mixture, names = _data(config, package)
    taught = _what_is_taught(config, package)
    out = Path(config.out)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else "cpu"
    torch.manual_seed(config.seed)
    model = trainable_model(package).to(device=device, memory_format=torch.channels_last)
    _freeze(model)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.03},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
    )
    before = {key: value.detach().clone() for key, value in model.state_dict().items()}
    average = {key: value.clone() for key, value in before.items()}
    step, spent = 0, 0.0
    if (out / "last.pt").is_file():
        state = torch.load(out / "last.pt", weights_only=True, map_location=device)
        if state.get("taught") != taught:
            raise DataError(
                f"{out} was taught other labels or old scenes, or from another package: give another --out, or what it "
                "was begun with"
            )
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average, step, spent = state["average"], state["step"], state["seconds"]
    begun = step
    keeping = Keeping(trainable_model(package).to(device), [entry.name for entry in package.spec.vocabulary])
    objective = Step(model, names, torch.device(device), 4096 if str(device) != "cpu" else 0, keeping)
    if rank == 0:
        claim_folder(out, WRITTEN)
        (out / "settings.yaml").write_text(yaml.safe_dump({**vars(config), "replay": list(config.replay)}))
    curve = Curve(out / "curve.csv") if rank == 0 else None
    # Minutes of work: beside other programs a CPU run takes longer, but learns as much.
    now = time.monotonic if str(device) != "cpu" else time.process_time
    clock, saved, history = now(), time.monotonic(), []
    bar = tqdm(total=round(config.minutes * 60), initial=round(spent), unit="s", disable=None if rank == 0 else True)
    while True:
        done = spent + now() - clock
        part = torch.tensor([min(1.0, done / (60 * config.minutes))])
        if processes > 1:
            dist.broadcast(part, 0)  # one clock for all, so that all stop at the same step
        if float(part) >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = _rate(config, step, float(part))
        rng = np.random.default_rng((config.seed, step, rank))
        torch.manual_seed(config.seed * 100_003 + step * 17 + rank)
        clips = [mixture.draw(rng, config.height, config.width) for _ in range(config.clips)]
        loss, parts = objective(clips, rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if processes > 1:
            average_gradients(parameters, processes)
        norm = torch.nn.utils.clip_grad_norm_(parameters, 3.0)
        if torch.isfinite(norm):  # one strange batch must not end a run
            optimiser.step()
        step += 1
        if curve is None:
            continue
        follow(average, model, step, 0.998)
        history.append({"loss": float(loss.detach()), "norm": float(norm), **parts})
        bar.n = round(done)
        bar.set_postfix(step=step, loss=f"{history[-1]['loss']:.2f}", refresh=True)
        if step % 20 == 0:
            keys = sorted({key for row in history for key in row})
            means = {key: float(np.mean([row[key] for row in history if key in row])) for key in keys}
            curve.add({"step": step, "images": 2 * config.clips * processes * step, "seconds": round(done, 1), **means})
            history = []
        if time.monotonic() - saved > _SAVE_EVERY_S:
            saved = time.monotonic()
            mixed = between(before, average, config.new_share)
            save_run(out, model, optimiser, average, mixed, step=step, seconds=done, taught=taught)
    bar.close()
    if curve is not None:
        mixed = between(before, average, config.new_share)
        seconds = spent + now() - clock
        save_run(out, model, optimiser, average, mixed, step=step, seconds=seconds, taught=taught)
        curve.plot(out / "curve.png")
        card = make_card(package, mixture, config, step * 2 * config.clips * processes)
        (out / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True))
    return out, step - begun


def make_card(package: Package, mixture: Mixture, config: FineTuneConfig, images: int) -> dict[str, Any]:
    """What `seem_ros.tools.export --card` needs: the package's own, and the new names and their words."""
    spec = package.spec
    old = {entry.name: entry.is_thing for entry in spec.vocabulary}
    new = {name: True for name in mixture.names if name not in old}
    known = None
    if spec.known_words is not None:
        known = list(
            dict.fromkeys([*spec.known_words, *(word for name in new for word in re.findall(r"[^\W_]+", name.lower()))])
        )
    return {
        "name": Path(config.out).resolve().name,
        "vocabulary": [{"name": name, "is_thing": thing} for name, thing in {**old, **new}.items()],
        "known_words": known,
        "thresholds": spec.postprocess.to_mapping(),
        "max_points": spec.max_points,
        "max_references": spec.max_references,
        "prompt_buckets": list(spec.prompt_buckets),
        "made_by": {
            "command": "python -m seem_ros.training.train",
            "taught from": spec.name,
            "image passes": images,
            "minutes": config.minutes,
            "share of the new weights": config.new_share,
            "old scenes": ", ".join(Path(folder).name for folder in config.replay) or "none",
        },
        "data": [
            {
                "name": source.name,
                "pictures": len(source),
                "objects": sum(source.counts("train").values()),
                "licence": source.licence or "not told",
            }
            for source in mixture.sources
            if isinstance(source, LabelFolder)
        ],
    }


def _data(config: FineTuneConfig, package: Package) -> tuple[Mixture, SpokenNames]:
    """The mix of new and old, and the names that are said. Everything is read once before anything is written."""
    share = config.replay_share if config.replay else 0.0
    specs = [SourceSpec("labels", config.data, 1.0 - share)]
    for folder in config.replay:
        kind = "simulated" if next(Path(folder).glob("shard_*.json"), None) else "labels"
        specs.append(SourceSpec(kind, folder, share / len(config.replay)))
    new = Mixture(specs[:1])
    new.check()
    rng = np.random.default_rng(config.seed)
    folders = [source for source in new.sources if isinstance(source, LabelFolder)]
    pictures = (source.read(int(i)) for source in folders for i in rng.permutation(len(source)))
    mixture = Mixture(specs, ViewConfig(), PasteConfig(share=config.paste_share), collect(pictures, _CUTOUTS))
    old = package.spec.vocabulary
    mixture.spell_as(entry.name for entry in old)
    shown = set(mixture.names)
    stuff = [entry.name for entry in old if not entry.is_thing]
    things = [name for name in mixture.names if name not in stuff]
    others = [entry.name for entry in old if entry.is_thing and entry.name not in shown]
    headers = [source.header for source in mixture.sources if isinstance(source, Shards)]
    colours = list(dict.fromkeys(colour for header in headers for colour in header["colours"]))
    held_out = [tuple(pair) for header in headers for pair in header["held_out_pairs"]]
    return mixture, SpokenNames(things, colours, stuff, held_out, others)


def _what_is_taught(config: FineTuneConfig, package: Package) -> str:
    """SHA-256 (hex) of the package and of every index of labels: a run goes on only with the same."""
    digest = hashlib.sha256(package.spec.sha256[package.weights].encode())
    for folder in (config.data, *config.replay):
        for index in sorted([*Path(folder).glob("index.json"), *Path(folder).glob("*/index.json")]):
            digest.update(file_sha256(index).encode())
    return digest.hexdigest()


def _freeze(model: nn.Module) -> None:
    """Leaves the picture's encoder and every batch norm as they are: fifteen minutes teach them nothing good."""
    model.train()
    for parameter in model.backbone.parameters():
        parameter.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            for parameter in module.parameters():
                parameter.requires_grad_(False)


def _rate(config: FineTuneConfig, step: int, part: float) -> float:
    """A short warm-up, then a cosine to a hundredth."""
    warm = min(1.0, (step + 1) / 30)
    return config.learning_rate * warm * cosine(part)
