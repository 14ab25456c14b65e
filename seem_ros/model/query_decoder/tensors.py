# SPDX-License-Identifier: Apache-2.0
"""What goes into the query decoder and what comes out, as groups of tensors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class ImageTensors:
    """All that the decoder needs of one image (or N images), independent of prompts.

    Attributes:
        sources: three maps [N, h, w, C] (strides 32, 16, 8) with the level embedding added.
        keys, values: per layer [N, heads, h * w, C / heads] of the layer's level.
        mask_features: [N, H/4, W/4, Cm], or None where their convolution is folded (see `mask_features.py`).
        level_masks: mask features resized to the three levels, [N, Cm, h, w].
        fine_features: [N, H/2, W/2, Cf] or None.
        dense: normalised pixel embeddings at stride 8 [N, h, w, D] or None.
        mask_source: [N, Cy, H/4, W/4], what the folded convolution reads; None where `mask_features` is given.
        refined: what the mask refiner reads of the picture [N, channels, H/4, W/4], or None where there is none.
    """

    sources: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]
    mask_features: Tensor | None
    level_masks: list[Tensor]
    fine_features: Tensor | None = None
    dense: Tensor | None = None
    mask_source: Tensor | None = None
    refined: Tensor | None = None


@dataclass
class RuleTensors:
    """A rule set as tensors (`rules.rule_values`), so that one traced graph serves all rule sets.

    Attributes:
        may_read: [rows, keys] bool, in the order of `rules.ROWS` and `rules.KEYS`.
        usable_queries: [3, Q] bool by `select_by`, or None for models whose prompts have queries of their own.
        empty_mean: [1], the mean mask feature of a prompt without a positive point, or None for such models.
    """

    may_read: Tensor
    usable_queries: Tensor | None = None
    empty_mean: Tensor | None = None


@dataclass
class OfficialCall:
    """What one call of the official code draws, or lets its prompts share; only needed to reproduce such a call.

    Attributes:
        query_indices: [P, Q] int64, the object queries that each prompt copies (rules v1: a random draw officially).
        memory_valid: [N, P, slots] bool, the memory slots that serve a prompt (rules v1 split 32 over all prompts).
        audio_tokens: [N, P, L, C] tokens of transcribed speech, a group of its own (rules demo); None = none.
        audio_valid: [N, P, L] bool.
        rules: in place of the configured rules.
    """

    query_indices: Tensor | None = None
    memory_valid: Tensor | None = None
    audio_tokens: Tensor | None = None
    audio_valid: Tensor | None = None
    rules: RuleTensors | None = None


@dataclass
class QueryState:
    """What the prediction head says after one layer; Q queries of P elements of N images.

    Attributes:
        hidden: [N, P, Q, C] after `decoder_norm`.
        mask_embedding: [N, P, Q, Cm].
        box: [N, P, Q, 4] (cx, cy, w, h) in 0..1, or None without a box head.
    """

    hidden: Tensor
    mask_embedding: Tensor
    box: Tensor | None


@dataclass
class Decoded:
    """Answers to P prompts on each of N images.

    Attributes:
        mask_logits: [N, P, hm, wm] of the winning query at the model's finest stride.
        memory_mask: [N, P, H/4, W/4], to be fed back as `previous_mask`.
        presence: [N, P] in 0..1, NaN without a presence head.
        score: [N, P] of the selection.
        embedding: [N, P, D] class embedding of the winner, not normalised.
        selected: [N, P] int64 index of the winner among the prompt's queries.
        box: [N, P, 4] (cx, cy, w, h) in 0..1, NaN without a box head.
        sampled_tokens, sampled_embedding: [N, P, K, 3, C] and [N, P, Cm], what the prompt's points read.
        appearance_tokens, appearance_embedding: [N, P, 3, C] and [N, P, Cm], means under the mask; None if not asked.
        states: prediction before the first layer and after each.
        similarity: [N, P, h * w] of the built-in model's prior, or None.
    """

    mask_logits: Tensor
    memory_mask: Tensor
    presence: Tensor
    score: Tensor
    embedding: Tensor
    selected: Tensor
    box: Tensor
    sampled_tokens: Tensor
    sampled_embedding: Tensor
    appearance_tokens: Tensor | None
    appearance_embedding: Tensor | None
    states: list[QueryState]
    similarity: Tensor | None = None
