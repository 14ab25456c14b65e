# SPDX-License-Identifier: Apache-2.0
"""Which queries a prompt has, and which rows and columns of the decoder a call can do without.

A call is padded to the widest prompt that its caller allows, has memory slots, and 101 queries per prompt even where
the rules v1 let a prompt use three. None of what is invalid in all of a call's prompts is ever read, so it is left out
where code may look at values; what is traced keeps every row and column, because its shapes are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seem_ros.model.codes import SelectBy
from seem_ros.model.config import DecoderConfig
from seem_ros.model.layers import eager
from seem_ros.model.query_decoder.attention_rules import V1_QUERIES
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
from seem_ros.model.query_decoder.tensors import OfficialCall


@dataclass
class NeededRows:
    """What a call runs.

    Attributes:
        prompts: its prompts, without common padding.
        memory: whether the memory slots take part.
        copied: [P, Q] the object queries that every prompt copies, or None for all.
        valid: [N, P, Q] bool, the queries that a prompt may use, or None for all.
        numbers: [Q] what the rows are called outside, or None for their own numbers.
    """

    prompts: PromptTensors
    memory: bool
    copied: Tensor | None
    valid: Tensor | None
    numbers: Tensor | None = None


def needed_rows(config: DecoderConfig, prompts: PromptTensors, memory: bool, official: OfficialCall) -> NeededRows:
    """Chooses the rows of a call.

    Under the rules v1 a visual prompt has three object queries (officially drawn at random in every call; here the same
    three always, so that an answer does not depend on its neighbours) and a text has all of them.
    """
    copied, valid, numbers = official.query_indices, None, None
    if official.rules is not None:
        if official.rules.usable_queries is not None:
            valid = official.rules.usable_queries[prompts.select_by.long()]
    elif config.rules == "v1" and not config.prompt_queries and copied is None:
        every = torch.arange(config.object_queries, device=prompts.select_by.device)
        few = torch.tensor(V1_QUERIES, device=every.device)
        valid = (every[:, None] == few).any(-1) | (prompts.select_by == SelectBy.TEXT)[..., None]
        if eager() and not (prompts.select_by == SelectBy.TEXT).any():
            copied, valid, numbers = few.expand(prompts.select_by.shape[1], -1), None, few
    if eager():
        prompts, memory = prompts.trimmed(), memory and bool(prompts.has_previous.any())
    return NeededRows(prompts, memory, copied, valid, numbers)


def restored(tokens: Tensor, points_label: Tensor) -> Tensor:
    """Point tokens [N, P, k, 3, C] of trimmed prompts in the columns of the caller's [N, P, K], zeros where padding."""
    if tokens.shape[2] == points_label.shape[2]:
        return tokens
    out = tokens.new_zeros(*points_label.shape, *tokens.shape[3:])
    out[:, :, (points_label != 0).any(0).any(0)] = tokens
    return out
