# SPDX-License-Identifier: Apache-2.0
"""The loss of one batch, computed on the device without waiting for it: objects, words, and rounds of prompts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.model.query_decoder.decoder import ImageTensors
from seem_ros.model.query_decoder.tensors import Decoded, QueryState
from seem_ros.model.seem import Seem
from seem_ros.training.batched import simulated_pointing as draw
from seem_ros.training.batched.ask_plan import AskPlan
from seem_ros.training.batched.mask_losses import edges, greedy, mask_loss, masks_of
from seem_ros.training.batched.picture_store import IGNORED, to_device
from seem_ros.training.batched.prompt_rounds import AskBatch, PromptRounds
from seem_ros.training.batched.two_views import ViewBatch
from seem_ros.training.losses import (
    BCE_WEIGHT,
    BOX_WEIGHT,
    CLASS_WEIGHT,
    DENSE_WEIGHT,
    DICE_WEIGHT,
    NAME_WEIGHT,
    PRESENCE_WEIGHT,
    box_loss,
    class_logits,
)
from seem_ros.training.run_state import half_precision

VOID_WEIGHT = 0.1
GONE_ON = 3  # slots of the first round that later rounds go on with
_HIDDEN = -20.0  # logit of a pixel that does not count: surely background, where the truth says so too


class BatchObjective:
    """Computes the loss of a batch for a model.

    Args:
        model: the model being trained.
        device: where it is.
        rounds: of prompts; each after the first adds a click on the answer's largest error.
    """

    def __init__(self, model: Seem, device: torch.device, rounds: int = 4) -> None:
        self.model, self.device, self.rounds = model, device, rounds
        self.prompts = PromptRounds(model, device)

    def __call__(self, views: ViewBatch, plan: AskPlan) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and its parts (tensors, so that nothing waits)."""
        device, decoder = self.device, self.model.decoder
        n, p = plan.kind.shape
        stack = torch.stack((views.ids, views.gids), 1)
        parts: dict[str, Tensor] = {}
        with half_precision(device):
            pixels = self.model.normalise(views.rgb).contiguous(memory_format=torch.channels_last)
            image = self.model.encode_image(pixels)
            scale = self.model.text_encoder.logit_scale
            banks = []
            for names in plan.banks:
                banks.append(F.normalize(self.prompts.encode(names)[2].float(), dim=-1))
            names = to_device(plan.names, device)
            things = to_device(plan.things, device)
            ignored = F.max_pool2d((views.ids == IGNORED).to(torch.bfloat16)[:, None], 2)[:, 0] > 0
            parts.update(self._objects(image, plan, stack, names, banks, scale))
            parts.update(self._dense(image, views, names, things, banks))

            asked = self.prompts.asked(plan)
            prompts, said = self.prompts.first(image, plan, asked, stack)
            answer = decoder.decode(image, prompts, appearance=False, memory=True)
            truth = self._losses(image, answer, asked, stack, ignored, names, banks, scale, parts, "1")
            keep = torch.arange(n * p, device=device).reshape(n, p)[:, :GONE_ON].flatten()
            truth, later, said = truth[keep], self.prompts.subset(asked, keep), said.kept(keep)
            fine = answer.mask_logits[:, :GONE_ON].flatten(0, 1).detach()
            memory = answer.memory_mask[:, :GONE_ON].detach().float()
            remembers = torch.rand(n, GONE_ON, device=device) < 0.5
            for r in range(2, self.rounds + 1):
                prompts = self.prompts.again(said, truth, fine, memory, remembers, r)
                answer = decoder.decode(image, prompts, appearance=False, memory=True)
                self._losses(image, answer, later, stack, ignored, names, banks, scale, parts, str(r), truth)
                fine = answer.mask_logits.flatten(0, 1).detach()
                memory = answer.memory_mask.detach().float()
        total = torch.stack(list(parts.values())).sum()
        return total, {k: v.detach() for k, v in parts.items()}

    # ---- losses -------------------------------------------------------------------------------------------------
    def _chosen(self, asked: AskBatch, fine: Tensor, stack: Tensor) -> Tensor:
        """The one right answer that each prediction is held against: of several, the one it overlaps most. [M]."""
        if asked.several is None or asked.allowed is None:
            return asked.target
        with torch.no_grad():
            rows = asked.several
            p = F.avg_pool2d(fine[rows].float().sigmoid()[:, None], 2)[:, 0].flatten(1)
            ids = stack[asked.frame[rows], 0][:, 2::4, 2::4].flatten(1).long()
            both = torch.zeros(len(rows), 256, device=self.device).scatter_add_(1, ids, p)
            area = torch.zeros(len(rows), 256, device=self.device).scatter_add_(1, ids, torch.ones_like(p))
            dice = (2 * both / (p.sum(1, keepdim=True) + area + 1e-3)).masked_fill(~asked.allowed, -1)
            return asked.target.index_copy(0, rows, dice.argmax(1))

    def _losses(
        self,
        image: ImageTensors,
        answer: Decoded,
        asked: AskBatch,
        stack: Tensor,
        ignored: Tensor,
        names: Tensor,
        banks: list[Tensor],
        scale: Tensor,
        parts: dict[str, Tensor],
        name: str,
        truth: Tensor | None = None,
    ) -> Tensor:
        """Adds one round's losses to `parts`; returns the truth [M, H/2, W/2]."""
        fine = answer.mask_logits.flatten(0, 1)
        target = self._chosen(asked, fine, stack)
        if truth is None:
            truth = masks_of(stack, asked.frame, asked.layer, target)
        weight = asked.counted * (target > 0)
        with torch.no_grad():
            box = draw.boxes(truth > 0)
            h, w = stack.shape[-2:]
            size = torch.tensor([w, h], device=self.device, dtype=torch.float32)
            box = torch.cat(((box[:, :2] + box[:, 2:]) / 2 / size, (box[:, 2:] - box[:, :2]) / size), 1)
        share = 1.0 if name == "1" else 0.5
        out = ignored[asked.frame] & (truth < 0.5)
        parts[f"mask{name}"] = share * self._layers(
            image, answer.states, fine.masked_fill(out, _HIDDEN), truth, box, weight
        )
        logits = self.model.decoder.presence_logits(answer.states[-1]).flatten().float()
        presence = F.binary_cross_entropy_with_logits(logits, asked.there, reduction="none")
        count = asked.counted.sum().clamp(min=1)
        parts[f"presence{name}"] = share * PRESENCE_WEIGHT * (presence * asked.counted).sum() / count
        if name == "1":
            embedding = answer.embedding.flatten(0, 1)
            for b, bank in enumerate(banks):
                wanted = names[asked.frame, b, target]
                wanted = torch.where((weight > 0) & (asked.layer == 0), wanted, torch.full_like(wanted, -1))
                loss = F.cross_entropy(class_logits(embedding, bank, scale), wanted.clamp(min=0), reduction="none")
                known = (wanted >= 0).float()
                parts[f"label{b}"] = (loss * known).sum() / known.sum().clamp(min=1)
        return truth

    def _layers(
        self,
        image: ImageTensors,
        states: list[QueryState],
        fine: Tensor,
        truth: Tensor,
        boxes: Tensor,
        weight: Tensor,
    ) -> Tensor:
        """Mask and box losses of the finest masks and of every other layer's.

        Args:
            states: predictions of all layers, of P elements with one query or of one element with Q queries.
            fine: [M, H/2, W/2] last mask logits; truth: [M, H/2, W/2]; boxes: [M, 4]; weight: [M].
        """
        small = F.avg_pool2d(truth[:, None], 4)[:, 0]
        total = mask_loss(fine, truth, weight, edges(truth))
        for i, state in enumerate(states):
            if i % 2 != (len(states) - 1) % 2:  # every other layer is enough supervision
                continue
            share = 1.0 if i == len(states) - 1 else 0.5
            masks = self.model.decoder.masks(state, image.level_masks[2]).flatten(0, 2)
            assert state.box is not None  # every own architecture has a box head
            box = state.box.flatten(0, 2)
            total = total + share * (mask_loss(masks, small, weight) + box_loss(box, boxes, weight))
        return total / 3

    def _objects(
        self, image: ImageTensors, plan: AskPlan, stack: Tensor, names: Tensor, banks: list[Tensor], scale: Tensor
    ) -> dict[str, Tensor]:
        """Object queries against the things of the first view of every scene."""
        device, decoder = self.device, self.model.decoder
        half = slice(None, None, 2)
        # Every own architecture has all of these maps.
        assert image.mask_features is not None and image.fine_features is not None and image.dense is not None
        image = ImageTensors(
            [x[half] for x in image.sources],
            [x[half] for x in image.keys],
            [x[half] for x in image.values],
            image.mask_features[half],
            [x[half] for x in image.level_masks],
            image.fine_features[half],
            image.dense[half],
        )
        states = decoder.decode_objects(image)
        last = states[-1]
        embedding = (last.hidden @ decoder.class_embed)[:, 0]
        n, q = embedding.shape[:2]
        h, w = stack.shape[-2:]
        logits = [class_logits(embedding, bank, scale) for bank in banks]
        with torch.no_grad():
            objects = to_device(plan.objects[half], device)
            t = objects.shape[1]
            frame = torch.arange(n, device=device).repeat_interleave(t)
            layer, target = objects[..., 0].flatten(), objects[..., 1].flatten()
            truth = masks_of(stack[half], frame, layer, target)
            real = target > 0
            size = torch.tensor([w, h], device=device, dtype=torch.float32)
            box = draw.boxes(truth > 0)
            box = torch.cat(((box[:, :2] + box[:, 2:]) / 2 / size, (box[:, 2:] - box[:, :2]) / size), 1)
            small = F.avg_pool2d(truth[:, None], 4).reshape(n, t, -1).float()
            coarse = decoder.masks(last, image.level_masks[2])[:, 0].flatten(2).float()
            own = [names[half][torch.arange(n, device=device)[:, None], b, objects[..., 1]] for b in range(2)]
            own = [torch.where(real.reshape(n, t) & (objects[..., 0] == 0), x, torch.full_like(x, -1)) for x in own]
            positive = F.softplus(-coarse) @ small.transpose(1, 2) + F.softplus(coarse) @ (1 - small).transpose(1, 2)
            p = coarse.sigmoid()
            dice = 1 - (2 * p @ small.transpose(1, 2) + 1) / (p.sum(2)[..., None] + small.sum(2)[:, None] + 1)
            chance = logits[0].softmax(-1).gather(2, own[0].clamp(min=0)[:, None].expand(n, q, t))
            cost = BCE_WEIGHT * positive / coarse.shape[2] + DICE_WEIGHT * dice
            cost = cost - CLASS_WEIGHT * chance * (own[0] >= 0)[:, None]
            assert last.box is not None
            cost = cost + BOX_WEIGHT * torch.cdist(last.box[:, 0].float(), box.reshape(n, t, 4), p=1)
            cost = cost.masked_fill(~real.reshape(n, 1, t), float("inf"))
            match = greedy(cost.float())
            taken = torch.full((n, q + 1), t, dtype=torch.long, device=device)
            taken.scatter_(
                1, torch.where(match >= 0, match, q), torch.arange(t, device=device).expand(n, t).contiguous()
            )
            taken = taken[:, :q]
            has = taken < t
            at = taken.clamp(max=t - 1)
            rows = torch.arange(n, device=device)[:, None]
            truth = truth.reshape(n, t, *truth.shape[1:])[rows, at].flatten(0, 1)
            box = box.reshape(n, t, 4)[rows, at].flatten(0, 1)
            complete = to_device(plan.complete[half], device)[:, None]
        parts: dict[str, Tensor] = {}
        simulated = (names[half][:, 1] >= 0).any(1)[:, None]
        for b, x in enumerate(logits):
            void = x.shape[2] - 1
            label = own[b][rows, at]
            wanted = torch.where(has, label, torch.full_like(label, void))
            # The second bank names simulated things only: elsewhere nothing is known of it.
            known = (has & (label >= 0)) | (~has & complete & (simulated if b else torch.ones_like(simulated)))
            each = F.cross_entropy(x.flatten(0, 1), wanted.clamp(min=0).flatten(), reduction="none")
            weight = known.flatten() * torch.where(has.flatten(), 1.0, VOID_WEIGHT)
            parts[f"class{b}"] = NAME_WEIGHT * (each * weight).sum() / weight.sum().clamp(min=1)
        fine = decoder.fine_masks(last, image)[:, 0].flatten(0, 1)
        parts["objects"] = self._layers(image, states, fine, truth, box, has.flatten().float())
        return parts

    def _dense(
        self, image: ImageTensors, views: ViewBatch, names: Tensor, things: Tensor, banks: list[Tensor]
    ) -> dict[str, Tensor]:
        """Cross entropy of every stride-8 pixel's embedding against the class names, objects weighted up."""
        assert image.dense is not None
        ids = views.ids[:, 4::8, 4::8].flatten(1).long()
        n = len(ids)
        area = torch.zeros(n, 256, device=self.device).scatter_add_(1, ids, torch.ones(ids.shape, device=self.device))
        share = torch.where(things, 1.0, 0.3) / area.clamp(min=1).sqrt()
        scale = self.model.decoder.prior.dense_scale.exp()
        parts = {}
        for b, bank in enumerate(banks):
            label = names[:, b].gather(1, ids)
            weight = share.gather(1, ids) * (label >= 0)
            logits = scale * image.dense.flatten(1, 2).float() @ bank.T
            loss = F.cross_entropy(logits.flatten(0, 1), label.clamp(min=0).flatten(), reduction="none")
            weight = weight.flatten()
            parts[f"dense{b}"] = DENSE_WEIGHT * (loss * weight).sum() / weight.sum().clamp(min=1e-3)
        return parts
