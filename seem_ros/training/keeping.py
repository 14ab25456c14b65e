# SPDX-License-Identifier: Apache-2.0
"""Keeps what a model knew while it learns: its former answers are truth where nothing new is (Li & Hoiem 2017,
"Learning without Forgetting"). Old names need no pictures of their own for that.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.errors import ModelError
from seem_ros.model.query_decoder.decoder import Decoded, ImageTensors
from seem_ros.model.seem import Seem
from seem_ros.training import simulated_prompts as draw
from seem_ros.training.losses import BCE_WEIGHT, DENSE_WEIGHT, DICE_WEIGHT, NAME_WEIGHT, PRESENCE_WEIGHT, class_logits
from seem_ros.training.prompt_sampling import Ask, Scene
from seem_ros.training.referring_phrases import BACKGROUND, TEMPLATES

#: Asks per frame: old names of a frame are mostly of things that are not there, so two; and a click anywhere.
_NAMES, _CLICKS = 2, 1
#: A former answer that lies on a new thing by more than this part of it was wrong, or would be now.
_ON_NEW = 0.2
#: Probabilities of names are softened by this factor, so that the second and third guess are kept, too.
_SOFT = 2.0


class Keeping:
    """The model as it was, and losses against it.

    Args:
        model: before its training.
        names: what it was taught; names of things and of stuff.
    """

    def __init__(self, model: Seem, names: Sequence[str]) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.names = tuple(names)

    @torch.no_grad()
    def encode_image(self, maps: list[Tensor], fine: Tensor | None) -> ImageTensors:
        """What the former decoder reads, from the backbone's maps: the backbone itself is not trained."""
        return self.model.decoder.prepare(*self.model.pixel_decoder(list(maps), fine))

    def asks(self, scenes: Sequence[Scene], rng: np.random.Generator) -> list[list[Ask]]:
        """Old names and clicks anywhere, `_NAMES` + `_CLICKS` for each frame; answers are not known."""
        rows = []
        for scene in scenes:
            for f in range(2):
                ids, row = scene.clip.ids[f], []
                for _ in range(_NAMES):
                    name = self.names[rng.integers(len(self.names))]
                    row.append(Ask(scene.first + f, text=TEMPLATES[rng.integers(len(TEMPLATES))].format(name)))
                for _ in range(_CLICKS):
                    y, x = (int(rng.integers(side)) for side in ids.shape)
                    row.append(Ask(scene.first + f, geometry=draw.from_clicks([(x, y)], [], ids.shape)))
                rows.append(row)
        return rows

    def is_new(self, scenes: Sequence[Scene], size: tuple[int, int]) -> Tensor:
        """Where things lie whose names the model did not know, bool [N, h, w]."""
        masks = []
        for scene in scenes:
            new = [i for i, thing in scene.things.items() if thing.shape and thing.shape not in self.names]
            masks += [torch.from_numpy(np.isin(scene.clip.ids[f], new)) for f in range(2)]
        return F.adaptive_max_pool2d(torch.stack(masks).float()[:, None], size)[:, 0] > 0

    def losses(
        self,
        model: Seem,
        image: ImageTensors,
        former: ImageTensors,
        objects: Tensor,
        scenes: Sequence[Scene],
        ask: Callable[[ImageTensors, list[list[Ask]], Seem], Decoded],
        classes: tuple[Sequence[str], Tensor, Tensor],
        scale: Tensor,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        """All of them, for one batch.

        Args:
            model: as it is now.
            image, former: what the present and the former decoder read.
            objects: class embeddings [N, Q, D] of its object queries.
            scenes: of the batch.
            ask: asks a model.
            classes: names, and what they are to the present and to the former model, [K, D] each.
            scale: logarithm of the class logits' scale.
            rng: draws what is asked.

        Raises:
            ModelError: the model does not name every pixel: it is none of our own.
        """
        if image.dense is None or former.dense is None:
            raise ModelError("only models of our own architecture keep what they knew while they are taught")
        asks, (names, bank, bank_then) = self.asks(scenes, rng), classes
        with torch.no_grad():
            was = ask(former, asks, self.model)
            dense_was = self.model.decoder.prior.dense_scale.exp() * former.dense.float() @ bank_then.T
            last = self.model.decoder.decode_objects(former)[-1]
            objects_were = class_logits((last.hidden @ self.model.decoder.class_embed)[:, 0], bank_then, scale)
            places = self.model.decoder.masks(last, former.level_masks[2])[:, 0] > 0
        now = ask(image, asks, model)
        presence = model.decoder.presence_logits(now.states[-1])[..., 0]
        parts = self.answers(now, presence, was, self.is_new(scenes, tuple(was.mask_logits.shape[-2:])))
        dense = model.decoder.prior.dense_scale.exp() * image.dense.float() @ bank.T
        new = self.is_new(scenes, tuple(image.dense.shape[1:3]))
        on_new = self.is_new(scenes, tuple(places.shape[-2:]))
        on_new = (places & on_new[:, None]).flatten(2).sum(2) > _ON_NEW * places.flatten(2).sum(2)
        old = torch.tensor([name in self.names or name == BACKGROUND for name in names], device=dense.device)
        objects_are = class_logits(objects, bank, scale)
        return {
            "keep_mask": parts["keep_mask"],
            "keep_presence": PRESENCE_WEIGHT * parts["keep_presence"],
            "keep_dense": DENSE_WEIGHT * divergence(dense[..., old], dense_was[..., old], new),
            "keep_objects": NAME_WEIGHT * divergence(objects_are[..., old], objects_were[..., old], on_new),
            "keep_words": self.words(bank, bank_then, names, scale),
        }

    def answers(self, now: Decoded, presence: Tensor, former: Decoded, new: Tensor) -> dict[str, Tensor]:
        """Masks and presence of answers against the former ones.

        Args:
            now: answers [N, P]; presence: their logits [N, P].
            former: of the model as it was.
            new: [N, H/2, W/2] where new things are.
        """
        truth = former.mask_logits.float().sigmoid()
        inside = truth > 0.5
        on_new = (inside & new[:, None]).flatten(2).sum(2) / inside.flatten(2).sum(2).clamp(min=1)
        counted = (on_new <= _ON_NEW).float()
        there = former.presence.float()
        known = F.binary_cross_entropy_with_logits(presence.float(), there, reduction="none")
        return {
            "keep_presence": (known * counted).sum() / counted.sum().clamp(min=1),
            "keep_mask": same_masks(now.mask_logits.flatten(0, 1), truth.flatten(0, 1), (counted * there).flatten()),
        }

    def words(self, now: Tensor, former: Tensor, names: Sequence[str], scale: Tensor) -> Tensor:
        """How far names of old have moved: the mean squared change of a class logit against a random direction."""
        old = torch.tensor([name in self.names for name in names], device=now.device)
        moved = ((now - former) ** 2).sum(-1)
        return scale.detach().exp() ** 2 / now.shape[-1] * (moved * old).sum() / old.sum().clamp(min=1)


def divergence(now: Tensor, former: Tensor, new: Tensor) -> Tensor:
    """Mean divergence of names (logits [..., K]) from the former ones where nothing new is (bool [...])."""
    was = (former.float() / _SOFT).softmax(-1)
    gap = F.kl_div((now.float() / _SOFT).log_softmax(-1), was, reduction="none").sum(-1)
    return _SOFT**2 * (gap * ~new).sum() / (~new).sum().clamp(min=1)


def same_masks(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """As `mask_loss`, for truth that is itself unsure: squares in the dice's denominator have their least at truth.

    Args:
        logits, truth: [M, h, w], truth in 0..1; weight: [M], 0 = not counted.
    """
    logits, truth = logits.flatten(1).float(), truth.flatten(1)
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1)
    p = logits.sigmoid()
    dice = 1 - (2 * (p * truth).sum(1) + 1) / ((p**2).sum(1) + (truth**2).sum(1) + 1)
    return ((BCE_WEIGHT * bce + DICE_WEIGHT * dice) * weight).sum() / weight.sum().clamp(min=1) / 3
