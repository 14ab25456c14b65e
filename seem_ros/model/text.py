# SPDX-License-Identifier: Apache-2.0
"""The language encoder: a causal CLIP text tower with a projection into the joint space of texts and masks.

REFERENCE: the text tower of UniCL as used by SEEM. `transformers` expresses it exactly (12 pre-norm blocks, quick GELU,
LayerNorm eps 1e-12); only the projection is ours. Because attention is causal, nothing after a text's end token can
change anything before it: callers may cut the token ids after the longest text, and the result stays the same.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from seem_ros.model.config import TextConfig
from seem_ros.model.tokenizer import END_ID

LAYER_NORM_EPS = 1e-12  # the official tower's own LayerNorm class; the rest of the model has 1e-5
LOGIT_SCALE_INIT = 2.6592600  # ln(1/0.07), the temperature that CLIP starts training with


class TextEncoder(nn.Module):
    """Token ids to token embeddings and one embedding per text.

    Attributes:
        logit_scale: [] natural logarithm of the class logits' scale (belongs to the language encoder's weights).
    """

    def __init__(self, config: TextConfig | None = None) -> None:
        super().__init__()
        # Imported here: transformers takes seconds to import and only this class needs it.
        from transformers import CLIPTextConfig, CLIPTextModel

        self.config = config = config or TextConfig()
        tower = CLIPTextModel(CLIPTextConfig(
            vocab_size=1 if config.token_rank else config.vocab, hidden_size=config.dim,
            intermediate_size=4 * config.dim, projection_dim=config.dim, num_hidden_layers=config.layers,
            num_attention_heads=config.heads, max_position_embeddings=config.length, hidden_act="quick_gelu",
            layer_norm_eps=LAYER_NORM_EPS, attention_dropout=0.0,
            **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0 if config.token_rank else END_ID)))
        # transformers 4 wraps the tower once more than transformers 5; our key names must not depend on it.
        self.tower = getattr(tower, "text_model", tower)
        if config.token_rank:
            self.tower.embeddings.token_embedding = nn.Sequential(
                nn.Embedding(config.vocab, config.token_rank),
                nn.Linear(config.token_rank, config.dim, bias=False))
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
        """
        hidden = self.tower(input_ids=ids).last_hidden_state
        tokens = hidden @ self.lang_proj
        end = (ids == END_ID).int().argmax(dim=1)
        pooled = tokens.gather(1, end[:, None, None].expand(-1, 1, tokens.shape[2]))[:, 0]
        return tokens, pooled
