# SPDX-License-Identifier: Apache-2.0
"""What every training run keeps beside the model: its rate, its averaged weights, and checkpoints to go on from."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from seem_ros.errors import SeemError


def cosine(part: float) -> float:
    """The learning rate's factor after a part (0..1) of a run: a cosine from 1 to a hundredth."""
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part))


def half_precision(device: torch.device) -> torch.autocast:
    """bfloat16 where the device computes in it; a CPU that does not would take ten times as long."""
    able = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=able)


def join_processes() -> tuple[int, int]:
    """This process's rank and their number, as `torchrun` says: (0, 1) where it was not used."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if processes > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return (dist.get_rank() if processes > 1 else 0), processes


def leave_processes(processes: int) -> None:
    """Waits for the other processes of a run and parts from them."""
    if processes > 1:
        dist.barrier()
        dist.destroy_process_group()


def average_gradients(parameters: list[nn.Parameter], processes: int) -> None:
    """Averages gradients over the processes in one flat message; what had no part in the step has a gradient of 0."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    if processes == 1:
        return
    flat = torch.cat([parameter.grad.reshape(-1) for parameter in parameters])
    dist.all_reduce(flat)
    flat /= processes
    for parameter, part in zip(parameters, flat.split([parameter.numel() for parameter in parameters]), strict=True):
        parameter.grad.copy_(part.view_as(parameter))


@torch.no_grad()
def follow(average: dict[str, Tensor], model: nn.Module, step: int, ema: float) -> None:
    """Moves the averaged weights towards the model's: by less and less at first, then by 1 - `ema` a step."""
    decay = min(ema, (1 + step) / (10 + step))
    for key, value in model.state_dict().items():
        if value.dtype.is_floating_point:
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)


@torch.no_grad()
def between(old: dict[str, Tensor], new: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights on the straight line from old ones (share 0) to what a training made of them (share 1).

    Half-way the old is known almost as well as before, and the new almost as well as at the end (Wortsman et al. 2022,
    "Robust fine-tuning of zero-shot models").
    """
    return {
        key: torch.lerp(old[key], value, share) if value.dtype.is_floating_point else value
        for key, value in new.items()
    }


def save_run(
    out: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    result: dict[str, Tensor] | None = None,
    **progress: object,
) -> None:
    """Writes `last.pt` (all that a run goes on from) and `average.pt`, each whole or not at all.

    Args:
        out: folder.
        model, optimiser, average: of the run.
        result: what `average.pt` gets in place of `average`.
        progress: further values that the run goes on from.

    Raises:
        SeemError: the folder cannot be written.
    """
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "average": average, **progress}
    try:
        for name, content in (("last.pt", state), ("average.pt", average if result is None else result)):
            torch.save(content, out / f".{name}.part")
            os.replace(out / f".{name}.part", out / name)
    except (OSError, RuntimeError) as error:  # torch tells a full disk as RuntimeError
        for name in ("last.pt", "average.pt"):
            (out / f".{name}.part").unlink(missing_ok=True)
        raise SeemError(f"{out} cannot be written: {error}") from error
