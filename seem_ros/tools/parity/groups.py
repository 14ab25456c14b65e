# SPDX-License-Identifier: Apache-2.0
"""Our rules table against the official self-attention masks.

Officially all groups of all prompts form one sequence with one boolean matrix. With us every prompt is an element of
its own; the matrix says the same when an element's groups see each other as the `attention_rules` have it and elements
do not.
"""

from __future__ import annotations

import numpy as np

from seem_ros.model.query_decoder.attention_rules import RULES, v1_memory_owner
from seem_ros.tools.parity.fixtures import Fixture
from seem_ros.tools.parity.report import ParityReport

# Which official groups make one element of ours, and the part each plays in the rules.
_ELEMENTS = {
    "prompted": (
        {"queries_object": "query"},
        {"queries_grounding": "query", "tokens_grounding": "text"},
        {"queries_spatial": "query", "tokens_spatial": "spatial", "memories_spatial": "memory"},
    ),
    "demo": (
        {
            "queries_object": "query",
            "tokens_grounding": "text",
            "tokens_spatial": "spatial",
            "tokens_visual": "visual",
            "tokens_audio": "audio",
        },
    ),
}


def official_mask(
    rules: str, groups: dict[str, tuple[int, int]], owners: dict[str, np.ndarray], hook_a: bool = False
) -> np.ndarray:
    """The self-attention matrix that our rules stand for.

    Args:
        rules: "v0", "v1" or "demo".
        groups: official group -> its range in the sequence.
        owners: group -> [size] prompt index of each of its entries, -1 for padding; groups not named: prompt 0.
        hook_a: text queries may also read the points (`REF.INPUT.SPATIAL`).

    Returns:
        bool [N, N], True = blocked.
    """
    table = RULES[rules]
    size = max(end for _, end in groups.values())
    blocked = np.ones((size, size), bool)
    elements = [dict(element) for element in _ELEMENTS["demo" if rules == "demo" else "prompted"]]
    if hook_a:
        elements[1]["tokens_spatial"] = "spatial"
    for element in elements:
        for row, row_part in element.items():
            for column, column_part in element.items():
                if row not in groups or column not in groups or column_part not in table[row_part]:
                    continue
                (r0, r1), (c0, c1) = groups[row], groups[column]
                mine = owners.get(row, np.zeros(r1 - r0, int))[:, None]
                other = owners.get(column, np.zeros(c1 - c0, int))[None]
                together = (mine == other) & (rules == "v1" or (mine >= 0) & (other >= 0))
                blocked[r0:r1, c0:c1] &= ~together
    return blocked


def compare_self_mask(
    report: ParityReport,
    fixture: Fixture,
    case: str,
    rules: str,
    positive: np.ndarray | None,
    negative: np.ndarray | None,
    memory: bool,
) -> None:
    """Compare a stored layer-0 mask with what our rules stand for; nothing where none is stored."""
    name = f"{case}/self_mask_L0"
    if name not in fixture or (memory and f"{case}/self_groups" not in fixture.meta):
        return
    golden = fixture[name]
    groups = {k: tuple(v) for k, v in fixture.meta[f"{case}/self_groups"].items()}
    ours = []
    for element in range(len(golden)):
        ours.append(official_mask(rules, groups, _owners(rules, groups, element, positive, negative), "_hook" in case))
    report.same(name, np.packbits(np.stack(ours)), np.packbits(golden))


def _owners(
    rules: str,
    groups: dict[str, tuple[int, int]],
    element: int,
    positive: np.ndarray | None,
    negative: np.ndarray | None,
) -> dict[str, np.ndarray]:
    if positive is None or rules == "demo":
        return {}
    plus = positive.sum((1, 2))
    minus = np.zeros_like(plus) if negative is None else negative.sum((1, 2))
    tokens = groups["tokens_spatial"][1] - groups["tokens_spatial"][0]
    if rules == "v0":  # one prompt per batch element, padded to the longest
        used = plus[element] + minus[element]
        return {"tokens_spatial": np.where(np.arange(tokens) < used, 0, -1)}
    count = len(plus)
    owner = np.concatenate((np.repeat(np.arange(count), plus), np.repeat(np.arange(count), minus)))
    owners = {
        "queries_spatial": np.repeat(np.arange(count), 3),
        "tokens_spatial": np.pad(owner, (0, tokens - len(owner)), constant_values=-1),
    }
    if "memories_spatial" in groups:
        slots = groups["memories_spatial"][1] - groups["memories_spatial"][0]
        owners["memories_spatial"] = np.array(v1_memory_owner(count, slots))
    return owners
