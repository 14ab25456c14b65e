# SPDX-License-Identifier: Apache-2.0
"""The few layers that every part of the model shares."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# What a blocked score is set to: far below any score, so that its weight is exactly zero, yet finite in half precision
# too, where the least float32 becomes minus infinity and a row with every key blocked NaN.
_BLOCKED = -1e4
# How far below a row's highest score a graph lets one fall: a weight of 1e-35 is lost in any sum, yet no denormal
# number, of which ONNX Runtime's exponential makes many: they took it twelve times as long.
_LOWEST = -80.0


def traced() -> bool:
    """Whether a graph is being made."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def eager() -> bool:
    """Whether code may look at values and write in place: nothing is traced and no gradient is recorded."""
    return not (torch.is_grad_enabled() or traced())


def _masked(scores: Tensor, blocked: Tensor) -> Tensor:
    """Scores [B, heads, L, S] for a softmax in which blocked ones [B, 1, L, S] weigh nothing."""
    if not traced():
        return scores.masked_fill(blocked, _BLOCKED)
    scores = scores + blocked.to(scores.dtype) * _BLOCKED
    return torch.maximum(scores, scores.amax(-1, keepdim=True) + _LOWEST)


class Attention(nn.Module):
    """Multi-head attention with `torch.nn.MultiheadAttention`'s parameters, keys and values computable ahead of time.

    Written out, because rows with every key blocked must give zeros, not NaN, in self attention (official
    `nan_to_num`), and fused kernels treat such rows differently per device. Where no row is blocked as a whole and
    nothing is traced or trained, the CPU's fused kernel takes over: the scores of many queries against 4800 places
    never exist at once, which makes reading a picture four times as fast.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def _project(self, x: Tensor, part: int) -> Tensor:
        """One of the input projections (0 queries, 1 keys, 2 values): [B, L, C] -> [B, heads, L, C / heads]."""
        batch, length, dim = x.shape
        rows = slice(part * dim, (part + 1) * dim)
        # Of a matrix: runtimes flatten and restore it around every layer otherwise.
        projected = F.linear(x.flatten(0, 1), self.in_proj_weight[rows], self.in_proj_bias[rows])
        return projected.reshape(batch, length, self.heads, -1).transpose(1, 2)

    def _project_map(self, x: Tensor, part: int) -> Tensor:
        """As `_project`, of a map [B, C, h, w]."""
        batch, dim, height, width = x.shape
        rows = slice(part * dim, (part + 1) * dim)
        projected = F.conv2d(x, self.in_proj_weight[rows, :, None, None], self.in_proj_bias[rows])
        return projected.permute(0, 2, 3, 1).reshape(batch, height * width, self.heads, -1).transpose(1, 2)

    def map_keys(self, x: Tensor) -> Tensor:
        """As `keys`, of a map [B, C, h, w]."""
        return self._project_map(x, 1)

    def map_values(self, x: Tensor) -> Tensor:
        """As `values`, of a map [B, C, h, w]."""
        return self._project_map(x, 2)

    def keys(self, x: Tensor) -> Tensor:
        """Projects [B, S, C] to keys [B, heads, S, C / heads]."""
        return self._project(x, 1)

    def values(self, x: Tensor) -> Tensor:
        """Projects [B, S, C] to values [B, heads, S, C / heads]."""
        return self._project(x, 2)

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, blocked: Tensor | None = None, sighted: bool = False
    ) -> Tensor:
        """Attends.

        Args:
            query: [B, L, C].
            keys: [B, heads, S, C / heads], from `keys`.
            values: the same shape, from `values`.
            blocked: [B, L, S] bool, True = may not read; a row with every key blocked attends to nothing and gives the
                output projection's bias.
            sighted: every row has a key that it may read; the caller has made sure.

        Returns:
            [B, L, C].
        """
        batch, length, dim = query.shape
        q = self._project(query, 0)
        if (blocked is None or sighted) and eager() and query.device.type == "cpu":
            may = None if blocked is None else ~blocked[:, None]
            mixed = F.scaled_dot_product_attention(q, keys, values, may)
            return self.out_proj(mixed.transpose(1, 2).flatten(-2))
        scores = (q * (dim // self.heads) ** -0.5) @ keys.transpose(-1, -2)
        if blocked is not None:
            scores = _masked(scores, blocked[:, None])
        mixed = scores.softmax(-1).to(values.dtype) @ values
        if blocked is not None and not sighted:  # one factor per row, not per score: blocked scores weigh zero already
            mixed = mixed * (~blocked.all(-1))[:, None, :, None].to(mixed.dtype)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch * length, dim)).reshape(batch, length, dim)


class MLP(nn.Module):
    """Linear layers with ReLU between (keys `layers.<i>`)."""

    def __init__(self, dim_in: int, dim: int, dim_out: int, layers: int) -> None:
        super().__init__()
        sizes = [dim_in] + [dim] * (layers - 1) + [dim_out]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim_in] -> [..., dim_out]."""
        # Of a matrix: runtimes flatten and restore it around every layer otherwise.
        rows = x.reshape(-1, x.shape[-1])
        for i, layer in enumerate(self.layers):
            rows = layer(rows if i == 0 else rows.relu())
        return rows.reshape(*x.shape[:-1], -1)


class DepthwiseFilters(nn.Module):
    """Several depthwise 3x3 filters for every channel (keys `filters.<i>`).

    A convolution each: runtimes have fast kernels for one filter per channel, and none for several.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.filters = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False) for _ in range(count)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, count * C, h, w], one filter's results after another's."""
        return torch.cat([filters(x) for filters in self.filters], 1)


class SeparableConv(nn.Module):
    """A 3x3 convolution as depthwise filters and a pointwise mixture (Chollet, "Xception", 2017, section 3)."""

    def __init__(self, dim_in: int, dim_out: int, count: int) -> None:
        super().__init__()
        self.spread = DepthwiseFilters(dim_in, count)
        self.mix = nn.Conv2d(count * dim_in, dim_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, dim_in, h, w] -> [N, dim_out, h, w]."""
        return self.mix(self.spread(x))


class AttentionBlock(nn.Module):
    """Attention with residual and LayerNorm; `name` is the official name of the attention."""

    def __init__(self, name: str, dim: int, heads: int) -> None:
        super().__init__()
        self.add_module(name, Attention(dim, heads))
        self.norm = nn.LayerNorm(dim)

    @property
    def attention(self) -> Attention:
        """The attention module, whatever its official name."""
        return self.multihead_attn if hasattr(self, "multihead_attn") else self.self_attn


class FeedForward(nn.Module):
    """Two linear layers with ReLU, residual and LayerNorm."""

    def __init__(self, dim: int, ffn: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim, ffn)
        self.linear2 = nn.Linear(ffn, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        rows = x.reshape(-1, x.shape[-1])
        return self.norm(x + self.linear2(self.linear1(rows).relu()).reshape(x.shape))
