# SPDX-License-Identifier: Apache-2.0
"""Trains the built-in model, or teaches a package new things.

    python -m seem_ros.training.train --config config/train_pico.yaml --out out/train           # from nothing
    python -m seem_ros.training.train --data labels --init builtin --minutes 15 --out out/mine  # what `label` made
    torchrun --standalone --nproc-per-node 8 -m seem_ros.training.train --data labels --out out/mine         # on 8 GPUs

Resumes by itself from `last.pt` in the output folder. Every step draws from a generator seeded by (seed, step,
process), so that a run that was interrupted goes on as if it had not been, as long as the data folder is the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import yaml
from tqdm import tqdm

from seem_ros.command_line import one_line_errors
from seem_ros.datasets.scenes.cutout_folder import CutoutFolder
from seem_ros.datasets.scenes.shards import Shards
from seem_ros.errors import CheckpointError, DataError, PackageError, SeemError
from seem_ros.model.checkpoints import read_state
from seem_ros.model.config import PICO
from seem_ros.model.seem import Seem
from seem_ros.runtime.checkpoint import trainable_model
from seem_ros.runtime.package import find_package, open_package
from seem_ros.training.clip_dataset import crop
from seem_ros.training.config import TrainConfig
from seem_ros.training.fine_tune import FineTuneConfig, fine_tune
from seem_ros.training.objective import Step
from seem_ros.training.progress import Curve
from seem_ros.training.referring_phrases import SpokenNames
from seem_ros.training.run_state import average_gradients, cosine, follow, join_processes, save_run

_WRITTEN = ("config.yaml", "last.pt", "average.pt", "curve.csv", "curve.png", "rendezvous")


def new_model(seed: int) -> Seem:
    """The built-in architecture with fresh weights."""
    torch.manual_seed(seed)
    model = Seem(PICO)
    torch.nn.init.trunc_normal_(model.text_encoder.lang_proj, std=PICO.text.dim**-0.5)
    with torch.no_grad():
        model.text_encoder.logit_scale.fill_(math.log(20.0))
    return model.to(memory_format=torch.channels_last)


def start_weights(path: str | Path) -> dict[str, torch.Tensor]:
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


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to a hundredth."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    part = min(1.0, (step - config.warmup) / max(1, steps - config.warmup))
    return config.learning_rate * cosine(part)


def batch(
    config: TrainConfig, shards: Shards, cutouts: CutoutFolder | None, rng: np.random.Generator, whole: bool
) -> list:
    """The clips of one step of one process: all whole or all cropped, so that they stack."""
    clips = []
    for _ in range(config.clips):
        if cutouts is not None and rng.random() < config.cutout_share:
            clip = cutouts.clip(rng)
        else:
            frames = tuple(int(f) for f in rng.permutation(shards.frames)[:2])
            clip = shards.clip(int(rng.integers(len(shards))), frames)
        height, width = (config.height, config.width) if not whole else (256, 320)
        clips.append(crop(clip, rng, height, width, whole))
    return clips


def work(rank: int, config: TrainConfig, most_steps: int = 0, minutes: float = 0.0) -> None:
    """One training process; stops early, with a checkpoint, after `most_steps` steps or `minutes` (0 = no limit)."""
    torch.set_num_threads(1 if config.processes > 1 else torch.get_num_threads())
    torch.set_flush_denormal(True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out = Path(config.out)
    if config.processes > 1 and not dist.is_initialized():
        dist.init_process_group(
            "gloo", init_method=f"file://{out.resolve()}/rendezvous", rank=rank, world_size=config.processes
        )
    shards = Shards(config.data)
    cutouts = CutoutFolder(config.cutouts) if config.cutouts else None
    h = shards.header
    vocabulary = SpokenNames(h["shapes"], h["colours"], h["stuff"], h["held_out_pairs"])
    model = new_model(config.seed)
    if config.init:
        model.load_state_dict(start_weights(config.init))
    model.to(device).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in parameters if p.ndim > 1]
    plain = [p for p in parameters if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    per_step = 2 * config.clips * config.processes
    steps, start, spent = -(-config.images // per_step), 0, 0.0
    last = out / "last.pt"
    if last.is_file():
        state = torch.load(last, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average, start, spent = state["average"], state["step"], state["seconds"]
    compute = Step(model, vocabulary, device, mask_points=4096 if device.type == "cuda" else 0)
    curve = Curve(out / "curve.csv") if rank == 0 else None
    bar = tqdm(total=steps, initial=start, disable=rank != 0, mininterval=5, unit="step")
    clock, history = time.monotonic(), []
    for step in range(start, steps):
        rng = np.random.default_rng((config.seed, step, rank))
        torch.manual_seed(hash((config.seed, step, rank)) & 0x7FFFFFFF)
        if step % 50 == 0:
            shards.refresh()
        rate = learning_rate(config, step, steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        # The same for all processes, which wait for each other.
        whole = np.random.default_rng((config.seed, step)).random() < config.whole_share
        loss, parts = compute(batch(config, shards, cutouts, rng, whole), rng)
        if not torch.isfinite(loss):
            raise SeemError(
                f"the loss is {float(loss)} at step {step}: {parts}; lower the learning rate or change the seed"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(parameters, config.processes)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm))
        optimiser.step()
        late = torch.tensor([float(minutes > 0 and time.monotonic() - clock > 60 * minutes)])
        if config.processes > 1 and minutes:
            dist.broadcast(late, 0)
        ends = step + 1 == steps or bool(late) or (most_steps and step + 1 - start >= most_steps)
        if rank:
            if ends:
                break
            continue
        follow(average, model, step, config.ema)
        history.append({"loss": float(loss.detach()), "norm": norm, **parts})
        bar.update()
        if (step + 1) % 20 == 0:
            mean = {
                k: float(np.mean([r[k] for r in history if k in r])) for k in sorted({k for r in history for k in r})
            }
            curve.add(
                {
                    "step": step + 1,
                    "images": (step + 1) * per_step,
                    "rate": rate,
                    "clips": len(shards),
                    "seconds": round(spent + time.monotonic() - clock, 1),
                    **mean,
                }
            )
            bar.set_postfix(loss=f"{mean['loss']:.2f}")
            history = []
        if (step + 1) % config.save_every == 0 or ends:
            seconds = spent + time.monotonic() - clock
            save_run(out, model, optimiser, average, step=step + 1, seconds=seconds)
            curve.plot(out / "curve.png")
        if ends:
            break
    if config.processes > 1:
        dist.barrier()
        dist.destroy_process_group()


def check_out(out: Path) -> None:
    """Makes the folder of a run; it may hold an earlier run, which is gone on with, and anything else beside.

    Raises:
        DataError: It holds files of a run's names that no run wrote, or cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        found = [name for name in _WRITTEN if os.path.lexists(out / name)]
    except OSError as error:
        raise DataError(f"the folder {out} cannot be used: {error.strerror or error}") from error
    try:
        if found:
            TrainConfig.load(out / "config.yaml")
    except (SeemError, OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise DataError(
            f"{out} holds {', '.join(found)} and no config.yaml of a training run: nothing was overwritten; give "
            f"another folder ({error})"
        ) from error


def teach(given: dict[str, Any], replay: tuple[str, ...], minutes: float, rank: int, processes: int) -> int:
    """Fine-tunes a package; returns the exit code.

    Raises:
        SeemError: an option does not belong here, or data and package cannot be used.
    """
    strange = [name for name in ("cutouts", "images") if given[name] is not None]
    if strange:
        raise DataError(f"--{strange[0]} belongs to a run with --config")
    if not given["data"] or not given["out"]:
        raise DataError("give --data and --out (a package is taught), or --config (a model is trained from it)")
    torch.set_num_threads(1 if processes > 1 else torch.get_num_threads())
    usual = {"init": given["init"]} if given["init"] else {}
    usual |= {"minutes": minutes} if minutes else {}
    config = FineTuneConfig(given["data"], given["out"], replay=replay, **usual)
    out = fine_tune(config, rank, processes)
    if rank == 0:
        height, width = open_package(find_package(config.init)).spec.input_hw
        print(
            f"{out}: taught. Make a package of it:\n  python -m seem_ros.tools.export {out}/average.pt "
            f"--card {out}/card.yaml --size {height}x{width} --out {out}/package"
        )
    if processes > 1:
        dist.barrier()
        dist.destroy_process_group()
    return 0


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m seem_ros.training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", help="YAML file of TrainConfig's fields; without one a package is taught --data")
    parser.add_argument(
        "--replay",
        action="append",
        default=[],
        metavar="DIR",
        help="without --config: old scenes that go along; repeatable",
    )
    for name, kind in (
        ("data", str),
        ("cutouts", str),
        ("out", str),
        ("init", str),
        ("images", int),
        ("processes", int),
    ):
        parser.add_argument(f"--{name}", type=kind, help="wins over the configuration file")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="stop after so long, with a checkpoint to go on from"
    )
    parser.add_argument(
        "--most-steps", type=int, default=0, help="stop after so many steps, with a checkpoint to go on from"
    )
    given = vars(parser.parse_args(arguments))
    minutes, most_steps, replay = given.pop("minutes"), given.pop("most_steps"), given.pop("replay")
    try:
        rank, processes = join_processes()
        if given["config"] is None:
            return teach(given, tuple(replay), minutes, rank, processes)
        config = TrainConfig.load(given.pop("config"), **given)
        if processes > 1:
            config = dataclasses.replace(config, processes=processes)
        out = Path(config.out)
        check_out(out)
        config.save(out / "config.yaml")
        (out / "rendezvous").unlink(missing_ok=True)
        Shards(config.data)
        if processes > 1:
            work(rank, config, most_steps, minutes)
        elif config.processes > 1:
            mp.spawn(work, (config, most_steps, minutes), nprocs=config.processes)
        else:
            work(0, config, most_steps, minutes)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
