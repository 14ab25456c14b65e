# SPDX-License-Identifier: Apache-2.0
"""Which rows go through the decoder's self attention, in which order, and which keys each of them may read."""

from __future__ import annotations

import torch
from torch import Tensor

from seem_ros.model.query_decoder.attention_rules import KEYS, ROWS, allowed


class RowLayout:
    """Rows in groups: the queries first, memory slots last. Keys are these rows and tokens that are keys only.

    Args:
        query: [N, P, Q, C] content of the queries.
        position: Theirs, of the same shape.
        valid: [N, P, Q] bool, the queries that count; None = all.
    """

    def __init__(self, query: Tensor, position: Tensor, valid: Tensor | None) -> None:
        self.memory = 0  # slots
        self._contents: list[Tensor] = []
        self._positions: list[Tensor] = []
        self._rows: list[tuple[str, int]] = []
        self._keys: list[tuple[str, Tensor]] = []
        if valid is None:
            valid = torch.ones(query.shape[:3], dtype=torch.bool, device=query.device)
        self.add("query", query, position, valid)

    def add(self, group: str, content: Tensor, position: Tensor, valid: Tensor) -> None:
        """A group of rows, [N, P, L, C] each, that are keys where they are valid, [N, P, L]."""
        self._contents.append(content)
        self._positions.append(position)
        self._rows.append((group, content.shape[2]))
        self._keys.append((group, valid))

    def add_memory(self, content: Tensor, position: Tensor, valid: Tensor) -> None:
        """Memory slots, the same [S, C] for all prompts, after which no further rows come; valid: [N, P, S]."""
        query = self._contents[0]
        self.memory = len(content)
        content, position = (one.expand(*query.shape[:2], -1, -1).to(query.dtype) for one in (content, position))
        self.add("memory", content, position, valid)

    def add_keys(self, group: str, valid: Tensor) -> None:
        """A group of tokens that are read and set anew before every layer, so keys only."""
        self._keys.append((group, valid))

    def joined(self) -> tuple[Tensor, Tensor]:
        """Content and position of all rows, [N, P, R, C]."""
        return torch.cat(self._contents, 2), torch.cat(self._positions, 2)

    def blocked(self, rules: str, may_read: Tensor | None) -> Tensor:
        """Self-attention mask [N, P, R, keys] (True = blocked) from the rules and the keys' validity.

        Args:
            rules: Name of a rule set.
            may_read: The rules as a tensor, `RuleTensors.may_read`, in place of the named ones.
        """
        table = allowed(rules, tuple(group for group, _ in self._rows), tuple(group for group, _ in self._keys))
        rows = []
        for (group, size), may in zip(self._rows, table):
            if may_read is not None:
                may = [may_read[ROWS.index(group), KEYS.index(key)] for key, _ in self._keys]
            row = torch.cat([valid & ok for ok, (_, valid) in zip(may, self._keys)], -1)
            rows.append(row[:, :, None].expand(-1, -1, size, -1))
        return ~torch.cat(rows, 2)
