# SPDX-License-Identifier: Apache-2.0
"""How a prompt starts its query in the built-in model (not part of the official SEEM).

The official decoder has 101 trained queries, one of which happens to fit the prompt. A small model with one query per
prompt learns several times faster when that query starts from what the prompt says: its geometry (a prior box), its
text, its reference, and the place of the picture that looks most like them (a dense similarity at stride 8).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seem_ros.model.codes import PriorKind
from seem_ros.model.layers import MLP
from seem_ros.model.position import box_sine
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors

OCTAVES = 8


class PromptPrior(nn.Module):
    """Start content and position of a prompt's query, and the prior of its box."""

    def __init__(self, dim: int, text_dim: int) -> None:
        super().__init__()
        self.dense = nn.Linear(dim, text_dim)
        self.reference_key = nn.Linear(dim, text_dim)
        self.dense_scale = nn.Parameter(torch.tensor(3.3))
        self.kind = nn.Embedding(len(PriorKind), dim)
        self.box = MLP(4 * 2 * OCTAVES, dim, dim, 2)
        self.box_position = nn.Linear(4 * 2 * OCTAVES, dim)
        self.text = nn.Linear(text_dim, dim)
        self.points = nn.Linear(dim, dim)
        self.reference = nn.Linear(dim, dim)
        self.found = nn.Linear(dim, dim)
        self.found_position = nn.Linear(2 * 2 * OCTAVES + 1, dim)
        self.point_position = nn.Linear(2 * 2 * OCTAVES, dim)

    def dense_embedding(self, level: Tensor) -> Tensor:
        """Stride-8 map [N, h, w, C] -> normalised pixel embeddings [N, h, w, D]."""
        return F.normalize(self.dense(level).float(), dim=-1)

    def map_dense_embedding(self, level: Tensor) -> Tensor:
        """As `dense_embedding`, of a map [N, C, h, w]: by a convolution, whose result runtimes need not turn round."""
        embedded = F.conv2d(level, self.dense.weight[:, :, None, None], self.dense.bias)
        return F.normalize(embedded.float(), dim=1).permute(0, 2, 3, 1)

    def forward(
        self, level: Tensor, dense: Tensor, prompts: PromptTensors, point_tokens: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Makes the start of every prompt's query.

        Args:
            level: stride-8 map [N, h, w, C].
            dense: `dense_embedding(level)`.
            prompts: N images x P prompts.
            point_tokens: [N, P, K, C], the prompt's point tokens averaged over the levels.

        Returns:
            content [N, P, C], position [N, P, C], similarity logits [N, P, h * w] to what the prompt says.
        """
        h, w = level.shape[1:3]
        kind = prompts.prior_kind.long()
        has_box = (kind > 0)[..., None]
        where = box_sine(prompts.prior_box)
        content = self.kind(kind) + self.box(where) * has_box
        position = self.box_position(where) * has_box

        positive = (prompts.points_label > 0)[..., None].to(point_tokens.dtype)
        points = (point_tokens * positive).sum(2) / positive.sum(2).clamp(min=1)
        content = content + self.points(points) * (positive.sum(2) > 0)

        valid = prompts.reference_valid[..., None].to(point_tokens.dtype)
        reference = (prompts.reference_tokens.mean(3) * valid).sum(2) / valid.sum(2).clamp(min=1)
        has_reference = valid.sum(2) > 0
        content = content + self.reference(reference) * has_reference

        has_text = prompts.has_text[..., None]
        content = content + self.text(prompts.text_embedding) * has_text

        key = F.normalize(prompts.text_embedding, dim=-1) * has_text
        key = key + F.normalize(self.reference_key(reference).float(), dim=-1) * has_reference
        key = F.normalize(key, dim=-1, eps=1e-4)
        similarity = (key @ dense.flatten(1, 2).transpose(1, 2)) * self.dense_scale.exp()
        weights = similarity.softmax(-1)
        found = weights.to(level.dtype) @ level.flatten(1, 2)
        y = ((torch.arange(h, device=level.device) + 0.5) / h)[:, None].expand(h, w)
        x = ((torch.arange(w, device=level.device) + 0.5) / w)[None].expand(h, w)
        grid = torch.stack((x, y), -1).flatten(0, 1)
        centre = weights @ grid
        spread = (weights @ (grid * grid) - centre * centre).sum(-1, keepdim=True).clamp(min=0).sqrt()
        asked = has_text | has_reference
        content = content + self.found(found) * asked
        position = position + self.found_position(torch.cat((box_sine(centre), spread), -1)) * asked
        return content, position, similarity


def box_prior_logits(prompts: PromptTensors) -> Tensor:
    """Offsets for the box head: a click says where the centre is, a region, box or previous mask says all of the box.

    Returns:
        [N, P, 4] logits, 0 where nothing is known.
    """
    logits = torch.logit(prompts.prior_box.clamp(0.01, 0.99))
    centre = (prompts.prior_kind > 0)[..., None]
    size = (prompts.prior_kind > 1)[..., None]
    return torch.cat((logits[..., :2] * centre, logits[..., 2:] * size), -1)
