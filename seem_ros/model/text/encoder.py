# SPDX-License-Identifier: Apache-2.0
"""The language encoder: a causal CLIP text tower with a projection into the joint space of texts and masks.

Reference: the text tower of UniCL as used by SEEM: 12 pre-norm blocks, quick GELU, LayerNorm eps 1e-12, a projection.
`transformers` has the same tower (`CLIPTextModel`; parameters carry its names, and a test holds the two equal), but
importing it takes three seconds and 240 MB, a sixth of what a whole focalt may use, to save the few lines below.

Because attention is causal, nothing after a text's end token can change anything before it: callers may cut the token
ids after the longest text, and the result stays the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seem_ros.errors import ModelError
from seem_ros.model.config import TextConfig
from seem_ros.model.text.tokenizer import END_ID

LAYER_NORM_EPS = 1e-12  # the official tower's own LayerNorm class; the rest of the model has 1e-5
LOGIT_SCALE_INIT = 2.6592600  # ln(1/0.07), the temperature that CLIP starts training with


def _linear(dim_in: int, dim_out: int, deviation: float) -> nn.Linear:
    layer = nn.Linear(dim_in, dim_out)
    nn.init.normal_(layer.weight, std=deviation)
    nn.init.zeros_(layer.bias)
    return layer


class CausalAttention(nn.Module):
    """Every token reads itself and those before it."""

    def __init__(self, dim: int, heads: int, deviation: float) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj, self.q_proj = (_linear(dim, dim, deviation) for _ in range(3))
        self.out_proj = _linear(dim, dim, dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, dim] -> the same shape."""
        q, k, v = (
            proj(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2))


class QuickMlp(nn.Module):
    """Linear, quick GELU (x sigmoid(1.702 x)), linear."""

    def __init__(self, dim: int, deviation: float) -> None:
        super().__init__()
        self.fc1 = _linear(dim, 4 * dim, (2 * dim) ** -0.5)
        self.fc2 = _linear(4 * dim, dim, deviation)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class TextBlock(nn.Module):
    """Attention and MLP, each after a LayerNorm and with a residual."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        deviation = config.dim**-0.5 * (2 * config.layers) ** -0.5  # CLIP's start
        self.self_attn = CausalAttention(config.dim, config.heads, deviation)
        self.layer_norm1 = nn.LayerNorm(config.dim, LAYER_NORM_EPS)
        self.mlp = QuickMlp(config.dim, deviation)
        self.layer_norm2 = nn.LayerNorm(config.dim, LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, dim] -> the same shape."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class TextTower(nn.Module):
    """Embeddings, blocks and the last norm, under the names that `transformers` gives them."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embeddings = nn.Module()
        if config.token_rank:  # a factored table
            self.embeddings.token_embedding = nn.Sequential(
                nn.Embedding(config.vocab, config.token_rank), nn.Linear(config.token_rank, config.dim, bias=False)
            )
        else:
            self.embeddings.token_embedding = nn.Embedding(config.vocab, config.dim)
            nn.init.normal_(self.embeddings.token_embedding.weight, std=0.02)
        self.embeddings.position_embedding = nn.Embedding(config.length, config.dim)
        nn.init.normal_(self.embeddings.position_embedding.weight, std=0.02)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(TextBlock(config) for _ in range(config.layers))
        self.final_layer_norm = nn.LayerNorm(config.dim, LAYER_NORM_EPS)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids [N, L] -> [N, L, dim]."""
        x = self.embeddings.token_embedding(ids) + self.embeddings.position_embedding.weight[: ids.shape[1]]
        for block in self.encoder.layers:
            x = block(x)
        return self.final_layer_norm(x)


class TextEncoder(nn.Module):
    """Token ids to token embeddings and one embedding per text.

    Attributes:
        logit_scale: [] natural logarithm of the class logits' scale (belongs to the language encoder's weights).
    """

    def __init__(self, config: TextConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TextConfig()
        self.tower = TextTower(config)
        self.lang_proj = nn.Parameter(torch.empty(config.dim, config.dim))
        nn.init.trunc_normal_(self.lang_proj, std=0.02)
        self.logit_scale = nn.Parameter(torch.tensor(LOGIT_SCALE_INIT))

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Encode texts.

        Args:
            ids: [N, L] int64 token ids from `Tokenizer.encode`, L up to `config.length`.

        Returns:
            tokens [N, L, dim], meaningful up to each text's first end token (later positions only repeat the
            padding and must be masked by the caller), and the texts' embeddings [N, dim], read at that end
            token. Neither is normalised.

        Raises:
            ModelError: more tokens than the tower has positions.
        """
        if ids.shape[1] > self.config.length:
            raise ModelError(f"texts have {ids.shape[1]} tokens, the text encoder has {self.config.length} positions")
        tokens = self.tower(ids) @ self.lang_proj
        end = (ids == END_ID).int().argmax(dim=1)
        pooled = tokens.gather(1, end[:, None, None].expand(-1, 1, tokens.shape[2]))[:, 0]
        return tokens, pooled
