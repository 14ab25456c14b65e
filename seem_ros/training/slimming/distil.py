# SPDX-License-Identifier: Apache-2.0
"""Start weights of the slim built-in model of the full one's.

    python -m seem_ros.training.slimming.distil --config config/train_lite.yaml --teacher FULL --out start.pt

The teacher's full convolutions are factorised (`factorise.py`), then what they became is trained until it gives the
teacher's maps on the packs' pictures, and the mask refiner until it gives the teacher's corrections: hints in the sense
of Romero et al., "FitNets" (2015). All else stays the teacher's. A quarter of an hour on two CPU cores; afterwards
`training.batched.train` with the result as `init`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from seem_ros.errors import CheckpointError, SeemError
from seem_ros.model.config import LITE_SLIM
from seem_ros.model.seem import Seem
from seem_ros.runtime.checkpoint import lite_of
from seem_ros.training.batched.ask_planner import AskPlanner
from seem_ros.training.batched.batch_objective import BatchObjective
from seem_ros.training.batched.overlays import SourceMix
from seem_ros.training.batched.picture_store import PackedPictures
from seem_ros.training.batched.train import BatchedTrainConfig, source_weights, start_weights
from seem_ros.training.batched.two_views import ViewBatch, ViewSampler
from seem_ros.training.run_state import cosine, half_precision
from seem_ros.training.slimming.factorise import factorised

# Both parts learn alone: a step of the refiner runs the teacher on prompts and takes as long as eight of the maps.
_STEPS_OF_MAPS = 3
_CALIBRATION_BATCHES = 4


class Distiller:
    """Trains a slim model's new convolutions to give what its teacher's gave."""

    def __init__(self, config: BatchedTrainConfig, teacher: dict[str, Tensor], device: torch.device) -> None:
        """Factorises the teacher.

        Raises:
            SeemError: the teacher is slim already, or none of the built-in model, or the packs cannot be read.
        """
        self.config, self.device = config, device
        store = PackedPictures([Path(path) for path in config.packs], device)
        self.views = ViewSampler(store, SourceMix(source_weights(config, store)), config.height, config.width, device)
        self.planner = AskPlanner(store)
        architecture = lite_of(teacher)
        if architecture == LITE_SLIM:
            raise CheckpointError("the teacher is of the slim architecture itself")
        self.teacher, self.student = Seem(architecture), Seem(LITE_SLIM)
        self.student.load_state_dict(factorised(teacher, LITE_SLIM))
        self.has_new_refiner = not architecture.decoder.refine_depthwise
        try:
            self.teacher.load_state_dict(teacher)
        except RuntimeError as error:
            raise CheckpointError(
                f"the teacher does not fit the model {architecture.name}: {str(error).splitlines()[-1]}"
            ) from error
        for model in (self.teacher, self.student):
            model.to(device=device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.maps = list(self.student.pixel_decoder.parameters())
        self.refiner = list(self.student.decoder.refiner.parameters())
        self.objective = BatchObjective(self.teacher, device, config.rounds)
        self.calls: list[tuple[tuple, Tensor]] = []
        self.features = torch.empty(0)  # mask features [N, Cm, h, w] of the pictures that the teacher saw last
        self.teacher.decoder.refiner.register_forward_hook(
            lambda _, given, delta: self.calls.append((given, delta.detach()))
        )
        self.teacher.pixel_decoder.register_forward_hook(lambda *called: setattr(self, "features", called[2][1]))
        self._give_adapters_statistics()
        for parameter in (*self.maps, *self.refiner):
            parameter.requires_grad_(True)

    def run(self, seconds: float) -> None:
        """Trains for so long; prints both errors, as parts of the teacher's variance."""
        optimiser = torch.optim.Adam([*self.maps, *self.refiner], lr=self.config.learning_rate)
        began, step, shown = time.monotonic(), 0, {"maps": 1.0, "refiner": 1.0}
        while (part := (time.monotonic() - began) / seconds) < 1:
            for group in optimiser.param_groups:
                group["lr"] = self.config.learning_rate * cosine(part)
            views = self._draw(step)
            refines = self.has_new_refiner and step % (_STEPS_OF_MAPS + 1) == _STEPS_OF_MAPS
            which = "refiner" if refines else "maps"
            loss = self._corrections(views, step) if which == "refiner" else self._maps(views)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([*self.maps, *self.refiner], self.config.clip_norm)
            optimiser.step()
            shown[which] += 0.05 * (float(loss.detach()) - shown[which])
            step += 1
            if step == 1 or step % 10 == 0 or time.monotonic() - began >= seconds:
                print(f"step {step}: maps {shown['maps']:.3f}, refiner {shown['refiner']:.3f}", flush=True)

    def _draw(self, step: int) -> ViewBatch:
        torch.manual_seed(step)
        return self.views.draw(self.config.scenes, np.random.default_rng((self.config.seed, step)))

    def _maps(self, views: ViewBatch) -> Tensor:
        """How far the student's maps are from the teacher's, of the same backbone's."""
        with half_precision(self.device):
            with torch.no_grad():
                maps, fine = self.teacher.backbone(self.teacher.normalise(views.rgb))
                levels, *wanted = self.teacher.pixel_decoder(maps, fine)
            own_levels, *given = self.student.pixel_decoder(maps, fine)
        pairs = zip((*own_levels, *given), (*levels, *wanted), strict=True)
        return torch.stack([_error(own, target) for own, target in pairs]).mean()

    def _corrections(self, views: ViewBatch, step: int) -> Tensor:
        """How far the student's refiner is from the teacher's, on prompts of the teacher's training."""
        self.calls.clear()
        with torch.no_grad():
            self.objective(views, self.planner.plan(views, np.random.default_rng((self.config.seed, step))))
        losses, refiner = [], self.student.decoder.refiner
        picture = refiner.picture(self.features.detach().float())
        for (coarse, hidden, _, prompts), delta in self.calls:
            own = refiner(coarse.detach().float(), hidden.detach().float(), picture, prompts)
            losses.append(_error(own, delta.float()))
        self.calls.clear()
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _give_adapters_statistics(self) -> None:
        """Sets the adapters' norms to what their convolutions give, without a change of the answers."""
        norms = [self.student.pixel_decoder.get_submodule(f"adapter_{k}.norm") for k in (1, 2, 3)]
        seen: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}
        hooks = [n.register_forward_hook(lambda norm, given, _: seen[norm].append(given[0])) for n in norms]
        for batch in range(_CALIBRATION_BATCHES):
            views = self._draw(batch)
            self.student.pixel_decoder(*self.student.backbone(self.student.normalise(views.rgb)))
        for hook in hooks:
            hook.remove()
        for norm, given in seen.items():
            x = torch.cat(given).transpose(0, 1).flatten(1)
            norm.running_mean.copy_(x.mean(1))
            norm.running_var.copy_(x.var(1))
            norm.weight.copy_((norm.running_var + norm.eps).sqrt())
            norm.bias.add_(norm.running_mean)


def _error(own: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference as a part of the target's variance."""
    own, target = own.float(), target.float()
    return (own - target).square().mean() / target.var().clamp(min=1e-6)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m seem_ros.training.slimming.distil", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--config", required=True, help="YAML file of BatchedTrainConfig's fields")
    parser.add_argument("--packs", nargs="*", help="wins over the configuration file")
    parser.add_argument("--teacher", required=True, help="an average.pt or a package of the built-in model")
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--out", required=True, help="file for the start weights")
    given = parser.parse_args(arguments)
    try:
        if Path(given.out).exists():
            raise SeemError(f"--out {given.out} is there already")
        if not Path(given.out).parent.is_dir():
            raise SeemError(f"--out {given.out}: there is no such folder")
        if not given.seconds > 0:
            raise SeemError(f"--seconds: more than 0 is allowed, got {given.seconds}")
        config = BatchedTrainConfig.load(given.config, packs=given.packs)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        distiller = Distiller(config, start_weights(given.teacher), device)
        distiller.run(given.seconds)
        torch.save(distiller.student.to("cpu").state_dict(), given.out)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
