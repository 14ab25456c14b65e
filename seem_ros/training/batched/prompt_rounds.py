# SPDX-License-Identifier: Apache-2.0
"""The prompts of a batch: what is drawn and said in the first round, and one more click on every error later."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.model.query_decoder.decoder import ImageTensors
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
from seem_ros.model.seem import Seem
from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.training.batched import ask_plan as asks
from seem_ros.training.batched import simulated_pointing as draw
from seem_ros.training.batched.ask_plan import AskPlan
from seem_ros.training.batched.mask_losses import masks_of
from seem_ros.training.batched.picture_store import to_device

POINTS, REFERENCES = 32, 8  # slots of a prompt, as the package has them
FIRST_CLICKS, CLICKS = 5, 9  # of the first round, and in all
REGION_POINTS = 12  # what is left of a region's points when clicks are added
ROUGHEST = 6  # pixels at stride 2 that a region is too large: 20 of a picture 480 high, a hand's outline
TEXT_TOKENS = 16  # as an exported decoder reads


@dataclass
class Pointing:
    """The pointing of M asks so far: clicks, points of a region, and the first prior.

    Attributes:
        xy: [M, CLICKS, 2] network pixels; sign: [M, CLICKS] +1, -1, 0 = unused.
        region: [M, POINTS, 2]; region_label: [M, POINTS]; drawn: [M] bool, a region or a box rather than clicks.
        box: [M, 4] x0, y0, x1, y1 network pixels; kind: [M] int8 of the prior.
    """

    xy: Tensor
    sign: Tensor
    region: Tensor
    region_label: Tensor
    drawn: Tensor
    box: Tensor
    kind: Tensor

    def kept(self, rows: Tensor) -> Pointing:
        """Only these rows."""
        return Pointing(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass
class AskBatch:
    """The plan as tensors, flattened to M = N * P; masks at stride 2."""

    frame: Tensor
    kind: Tensor
    layer: Tensor
    target: Tensor
    counted: Tensor
    there: Tensor
    several: Tensor | None  # [S] rows, [S, 256] allowed ids
    allowed: Tensor | None


_SEVERAL = ("several", "allowed")  # fields of an AskBatch that are not a row per ask


class PromptRounds:
    """Makes the prompts of every round for a model."""

    def __init__(self, model: Seem, device: torch.device) -> None:
        self.model, self.device = model, device
        self.tokenizer = Tokenizer.load()
        self._ids: dict[str, list[int]] = {}

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Texts -> token features [T, L, C], validity [T, L], embeddings [T, D]; L is always `TEXT_TOKENS`."""
        ids, valid = self._tokens(texts)
        tokens, pooled = self.model.encode_text(ids)
        return tokens, valid, pooled

    def _tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        for text in texts:
            if text not in self._ids:
                self._ids[text] = self.tokenizer.ids(text)[:TEXT_TOKENS]
        rows = [self._ids[text] for text in texts]
        ids = np.full((len(rows), TEXT_TOKENS), rows[0][-1], np.int64)
        valid = np.zeros((len(rows), TEXT_TOKENS), bool)
        for i, row in enumerate(rows):
            ids[i, : len(row)], valid[i, : len(row)] = row, True
        return to_device(ids, self.device), to_device(valid, self.device)

    def asked(self, plan: AskPlan) -> AskBatch:
        """A plan as tensors."""
        n, p = plan.kind.shape
        to = lambda x: to_device(x.reshape(n * p), self.device)  # noqa: E731
        several = allowed = None
        if plan.several:
            rows = torch.tensor([a * p + b for a, b in plan.several])
            table = torch.zeros(len(rows), 256, dtype=torch.bool)
            for k, ids in enumerate(plan.several.values()):
                table[k, ids] = True
            several, allowed = to_device(rows.numpy(), self.device), to_device(table.numpy(), self.device)
        frame = torch.arange(n, device=self.device).repeat_interleave(p)
        return AskBatch(
            frame,
            to(plan.kind),
            to(plan.layer),
            to(plan.target),
            to(plan.counted).float(),
            to(plan.there).float(),
            several,
            allowed,
        )

    def subset(self, asked: AskBatch, keep: Tensor) -> AskBatch:
        """Only some asks; none of them has several answers."""
        kept = {one.name: getattr(asked, one.name)[keep] for one in fields(asked) if one.name not in _SEVERAL}
        return AskBatch(**kept, several=None, allowed=None)

    def first(
        self, image: ImageTensors, plan: AskPlan, asked: AskBatch, stack: Tensor
    ) -> tuple[PromptTensors, Pointing]:
        """The prompts of the first round."""
        device, config = self.device, self.model.config
        n, p = plan.kind.shape
        m, (h, w) = n * p, stack.shape[-2:]
        tokens, valid, pooled = self.encode(plan.texts or ["nothing"])
        out = PromptTensors.empty(
            n,
            p,
            points=POINTS,
            text=tokens.shape[1],
            references=REFERENCES,
            dim=config.decoder.dim,
            text_dim=config.text.dim,
            mask_dim=config.decoder.mask_dim,
            mask_hw=(h // 4, w // 4),
            device=device,
        )
        with torch.no_grad():
            said = self._point(asked, stack)
            self._remember(out, said, plan, stack)
            self._place(out, said, *self._points(said))
        where = plan.text.reshape(m)
        at = (where >= 0).nonzero()[0]
        if len(at):
            rows, which = to_device(at, device), to_device(where[at], device)
            out.text_tokens = _put(out.text_tokens, rows, tokens[which].float())
            out.text_embedding = _put(out.text_embedding, rows, pooled[which].float())
            out.text_valid.view(m, -1)[rows] = valid[which]
            out.has_text.view(m)[rows] = True
        look = plan.look.reshape(m, 3)
        at = (look[:, 0] >= 0).nonzero()[0]
        if len(at):
            rows = to_device(at, device)
            read, mean = self._read(image, look[at], stack)
            few = to_device(plan.pooled.reshape(m)[at], device)
            averaged = torch.cat((read.unflatten(1, (4, -1)).mean(2), read[:, 4:]), 1)
            read = torch.where(few[:, None, None, None], averaged, read).float()
            out.reference_tokens = _put(out.reference_tokens, rows, read)
            out.reference_embedding = _put(out.reference_embedding, rows, mean.float())
            number = torch.arange(REFERENCES, device=device)
            out.reference_valid.view(m, -1)[rows] = (number < 4) | ~few[:, None]
        return out, said

    def _point(self, asked: AskBatch, stack: Tensor) -> Pointing:
        """Draws clicks, boxes, strokes and regions on the wanted things."""
        device, (h, w) = self.device, stack.shape[-2:]
        kind, m = asked.kind, len(asked.kind)
        part = masks_of(stack, asked.frame, asked.layer, asked.target)
        # Of things thinner than a cell, the cell that holds most of them.
        top = part.flatten(1).amax(1)[:, None, None].clamp(max=0.5)
        truth = (part >= top) & (top > 0)
        deep, around = draw.depth(truth), draw.near_outside(truth)
        xy = torch.zeros(m, CLICKS, 2, device=device)
        sign = torch.zeros(m, CLICKS, dtype=torch.long, device=device)
        many = kind == asks.CLICKS
        seldom = torch.rand(m, FIRST_CLICKS, device=device) < 0.5
        for k in range(FIRST_CLICKS):
            if k < 3:
                xy[:, k] = draw.pick_clicks(truth, deep, 0.6)
                sign[:, k] = (many & seldom[:, k] if k else (kind == asks.CLICK) | many).long()
            else:
                xy[:, k] = draw.pick_clicks(around, around.to(torch.bfloat16), 0.0)
                sign[:, k] = -(many & seldom[:, k] & around.flatten(1).any(1)).long()
        box = draw.jittered(draw.boxes(truth), h, w)
        radius = torch.randint(-2, ROUGHEST + 1, (m,), device=device)
        rough = draw.resized(truth, radius, ROUGHEST)
        region, label = (
            torch.zeros(m, POINTS, 2, device=device),
            torch.zeros(m, POINTS, dtype=torch.long, device=device),
        )
        for code, (where, ok) in (
            (asks.BOX, (draw.box_points(box, POINTS), torch.ones_like(label, dtype=torch.bool))),
            (asks.REGION, draw.region_points(rough, POINTS)),
            (asks.SCRIBBLE, draw.strokes(truth, deep, POINTS)),
        ):
            mine = (kind == code)[:, None]
            region = torch.where(mine[..., None], where, region)
            label = torch.where(mine, ok.long(), label)
        drawn = (kind == asks.BOX) | (kind == asks.REGION) | (kind == asks.SCRIBBLE)
        extent = torch.where(drawn[:, None], _extent(region, label), _extent(xy, sign, 1.0))
        boxed = kind == asks.BOX
        prior = torch.where(boxed[:, None], box, extent)
        number = torch.where(boxed, 3, torch.where(drawn, 2, ((kind == asks.CLICK) | many).long())).to(torch.int8)
        prior = torch.where((number > 0)[:, None], prior, torch.zeros_like(prior))
        return Pointing(xy, sign, region, label, drawn, prior, number)

    def _remember(self, out: PromptTensors, said: Pointing, plan: AskPlan, stack: Tensor) -> None:
        """The masks of a frame before, as a tracker would have them."""
        before = plan.before.reshape(-1)
        at = (before >= 0).nonzero()[0]
        if not len(at):
            return
        rows = to_device(at, self.device)
        which = to_device(np.concatenate((before[at, None], plan.memory_of.reshape(-1, 2)[at]), 1), self.device)
        old = disturbed(masks_of(stack, which[:, 0], which[:, 1], which[:, 2]) >= 0.5)
        small = F.avg_pool2d(old.to(torch.bfloat16)[:, None], 2)[:, 0].float()
        some = old.flatten(1).any(1)
        out.previous_mask.flatten(0, 1)[rows] = (small - 0.5) * 12
        out.has_previous.view(-1)[rows] = some
        said.box[rows] = torch.where(some[:, None], draw.boxes(old), torch.zeros_like(said.box[rows]))
        said.kind[rows] = torch.where(some, 4, 0).to(torch.int8)

    def _points(self, said: Pointing) -> tuple[Tensor, Tensor]:
        """All pointing as [M, POINTS, 2] network pixels and labels."""
        points, label = draw.click_points(said.xy, said.sign, POINTS)
        clicked = (said.sign != 0).any(1)
        keep = torch.linspace(0, POINTS - 1, REGION_POINTS, device=self.device).round().long()
        rest = POINTS - REGION_POINTS
        few, few_label = draw.click_points(said.xy, said.sign, rest)
        mixed = torch.cat((said.region[:, keep], few), 1)
        mixed_label = torch.cat((said.region_label[:, keep], few_label), 1)
        both, region = (said.drawn & clicked)[:, None], (said.drawn & ~clicked)[:, None]
        points = torch.where(both[..., None], mixed, torch.where(region[..., None], said.region, points))
        return points, torch.where(both, mixed_label, torch.where(region, said.region_label, label))

    def _place(self, out: PromptTensors, said: Pointing, points: Tensor, label: Tensor) -> None:
        n, p = out.points_label.shape[:2]
        h, w = (4 * side for side in out.previous_mask.shape[-2:])
        size = torch.tensor([w, h], device=self.device, dtype=torch.float32)
        out.points_xy = (points / size).clamp(0, 1).reshape(n, p, POINTS, 2)
        out.points_label = label.to(torch.int8).reshape(n, p, POINTS)
        centre, extent = (said.box[:, :2] + said.box[:, 2:]) / 2 / size, (said.box[:, 2:] - said.box[:, :2]) / size
        out.prior_box = (torch.cat((centre, extent), 1) * (said.kind > 0)[:, None]).reshape(n, p, 4)
        out.prior_kind = said.kind.reshape(n, p)

    def _read(self, image: ImageTensors, look: np.ndarray, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Reads things' looks at random points of theirs: look [R, 3] (frame, layer, id)."""
        n = stack.shape[0]
        h, w = stack.shape[-2:]
        source = to_device(look, self.device)
        slot, used = np.zeros(len(look), np.int64), np.zeros(n, np.int64)
        for k, frame in enumerate(look[:, 0]):
            slot[k] = used[frame]
            used[frame] += 1
        place = to_device(slot, self.device)
        with torch.no_grad():
            there = masks_of(stack, source[:, 0], source[:, 1], source[:, 2]) > 0
            noise = torch.rand(there.shape, device=self.device) + 2 * there
            chosen = noise.flatten(1).topk(REFERENCES, 1).indices
            width = there.shape[2]
            xy = draw.to_pixels(torch.stack((chosen % width, chosen // width), -1))
            xy = xy / torch.tensor([w, h], device=self.device)
            grid = torch.zeros(n, int(used.max()), REFERENCES, 2, device=self.device)
            grid[source[:, 0], place] = xy
            label = torch.ones(grid.shape[:3], dtype=torch.int8, device=self.device)
        read, mean = self.model.decoder.sample(image, grid, label)
        return read[source[:, 0], place], mean[source[:, 0], place]

    def again(
        self,
        said: Pointing,
        truth: Tensor,
        fine: Tensor,
        memory: Tensor,
        remembers: Tensor,
        r: int,
    ) -> PromptTensors:
        """One more click on every answer's largest error; half of the asks have their last mask as memory."""
        config, (n, p) = self.model.config, remembers.shape
        with torch.no_grad():
            at, sign, wrong = draw.error_clicks(truth >= 0.5, fine > 0)
            k = FIRST_CLICKS + r - 2
            said.xy[:, k], said.sign[:, k] = at, sign * wrong
            out = PromptTensors.empty(
                n,
                p,
                points=POINTS,
                text=1,
                references=1,
                dim=config.decoder.dim,
                text_dim=config.text.dim,
                mask_dim=config.decoder.mask_dim,
                mask_hw=tuple(memory.shape[-2:]),
                device=self.device,
            )
            spans = ~said.drawn & ~remembers.flatten() & (said.sign > 0).any(1)
            prior = replace(said, box=torch.where(spans[:, None], _extent(said.xy, said.sign, 1.0), said.box))
            self._place(out, prior, *self._points(said))
            out.previous_mask = memory * remembers[..., None, None]
            out.has_previous = remembers & (memory > 0).flatten(2).any(2)
        return out


def _put(values: Tensor, rows: Tensor, new: Tensor) -> Tensor:
    """values [N, P, ...] with rows of the flattened prompts replaced."""
    return values.flatten(0, 1).index_copy(0, rows, new).unflatten(0, values.shape[:2])


def _extent(points: Tensor, label: Tensor, margin: float = 0.0) -> Tensor:
    """[M, 4] x0, y0, x1, y1 around the positive points, one past the last pixel; zeros without any."""
    positive = (label > 0)[..., None]
    low = torch.where(positive, points, torch.full_like(points, 1e6)).amin(1) - margin
    high = torch.where(positive, points, torch.full_like(points, -1e6)).amax(1) + 1 + margin
    box = torch.cat((low, high), 1)
    return torch.where(positive.any(1), box, torch.zeros_like(box))


def disturbed(mask: Tensor) -> Tensor:
    """Previous masks as a tracker would have them: shifted, grown or shrunk, with a part missing, or with one too many.

    Args:
        mask: [M, h, w] bool at stride 2.

    Returns:
        The same; in one of seven a side is missing, in another one of seven it is there twice, the second time beside
        itself, as where the mask has run over into a neighbour that looks alike.
    """
    m, h, w = mask.shape
    device = mask.device
    out = _shifted(mask, (torch.randn(m, 2, device=device) * 1.5).round().long())
    out = draw.resized(out, torch.randint(-2, 3, (m,), device=device))
    box = draw.boxes(out) / draw.STRIDE
    angle = torch.rand(m, device=device) * (2 * math.pi)
    way = torch.stack((angle.sin(), angle.cos()), 1)  # y, x
    radius = ((box[:, 2:] - box[:, :2]).flip(1) * way.abs()).sum(1) / 2
    row, column = torch.arange(h, device=device)[None, :, None], torch.arange(w, device=device)[None, None]
    middle = (box[:, :2] + box[:, 2:]).flip(1) / 2
    along = (row - middle[:, 0, None, None]) * way[:, 0, None, None]
    along = along + (column - middle[:, 1, None, None]) * way[:, 1, None, None]
    fault = torch.rand(m, device=device)[:, None, None]
    part = (torch.rand(m, device=device) * 2 - 1) * radius
    gone = (fault < 1 / 7) & (along > part[:, None, None])
    beside = _shifted(out, (way * (radius * (1 + torch.rand(m, device=device)))[:, None]).round().long())
    return (out & ~gone) | (beside & (fault > 6 / 7))


def _shifted(mask: Tensor, by_yx: Tensor) -> Tensor:
    """Masks [M, h, w] moved by whole cells, int64 [M, 2]; what comes in from outside is as the rim."""
    m, h, w = mask.shape
    y = (torch.arange(h, device=mask.device)[None] - by_yx[:, :1]).clamp(0, h - 1)
    x = (torch.arange(w, device=mask.device)[None] - by_yx[:, 1:]).clamp(0, w - 1)
    return mask.gather(1, y[:, :, None].expand(m, h, w)).gather(2, x[:, None].expand(m, h, w))
