# SPDX-License-Identifier: Apache-2.0
"""Who attends to whom in the decoder's self attention, as data.

A rule set names, for every group of rows, the groups of keys that it may read. Groups: ``query`` (the queries of one
prompt, or the object queries), ``text`` and ``audio`` (text tokens; audio is transcribed text in a group of its own),
``memory`` (slots that look inside the previous mask), ``spatial`` (tokens read at the prompt's points) and ``visual``
(tokens read from a reference picture). Spatial and visual tokens are set anew before every layer, so they are keys
only.

The official code writes the same as one boolean matrix over all groups of all prompts (`seem_v0.py`, `seem_v1.py`,
`seem_demo.py` attention_data_struct); here every prompt is an element of its own, which is what the matrix says for
prompts that must not see each other.
"""

from __future__ import annotations

import numpy as np

ROWS = ("query", "text", "audio", "memory")
KEYS = ("query", "text", "audio", "memory", "spatial", "visual")

# Tokens that are set anew before every layer: what they read is never used, the official matrices still say it.
_KEYS_ONLY = {"spatial": ("spatial",), "visual": ("visual",)}

RULES: dict[str, dict[str, tuple[str, ...]]] = {
    # Prompted queries read their own prompt; object queries are elements without any token.
    "v0": {
        "query": ("query", "text", "memory", "spatial", "visual"),
        "text": ("query", "text"),
        "audio": (),
        "memory": ("memory",),
        **_KEYS_ONLY,
    },
    "v1": {
        "query": ("query", "text", "memory", "spatial", "visual"),
        "text": ("query", "text"),
        "audio": (),
        "memory": ("memory",),
        **_KEYS_ONLY,
    },
    # The object queries themselves read every prompt, so prompts compose freely; there is no memory.
    "demo": {
        "query": ("query", "text", "audio", "spatial", "visual"),
        "text": ("query", "text"),
        "audio": ("query", "audio"),
        "memory": (),
        **_KEYS_ONLY,
    },
    # The built-in model: demo's composition with v0's memory.
    "joint": {
        "query": ("query", "text", "memory", "spatial", "visual"),
        "text": ("text",),
        "audio": (),
        "memory": ("memory",),
        **_KEYS_ONLY,
    },
}


def allowed(rules: str, rows: tuple[str, ...], keys: tuple[str, ...]) -> list[list[bool]]:
    """Returns the table of `rules` restricted to `rows` x `keys` (True = may read)."""
    table = RULES[rules]
    return [[key in table[row] for key in keys] for row in rows]


def v1_query_indices(prompts: int, object_queries: int = 101) -> list[list[int]]:
    """Which object queries each prompt copies under the rules v1: a fixed draw in place of the official random one.

    The official code draws 3 of 101 anew in every call, so that the same click gives another mask each time. Here
    prompt p of one joint call takes (17 + 29 i) mod 101 for i = 3p .. 3p + 2: 29 and 101 have no common divisor, so the
    first 33 prompts share no query.

    Returns:
        [prompts][3] indices.
    """
    return [[(17 + 29 * i) % object_queries for i in range(3 * p, 3 * p + 3)] for p in range(prompts)]


def v1_memory_owner(prompts: int, slots: int = 32) -> list[int]:
    """Which prompt each memory slot serves when n prompts share one official v1 call: floor(slot * n / slots).

    The official code draws the owners at random, anew in every layer.
    """
    return [slot * prompts // slots for slot in range(slots)]


V1_QUERIES = tuple(v1_query_indices(1)[0])


def rule_values(rules: str, object_queries: int, official: bool) -> dict[str, np.ndarray]:
    """A rule set as arrays: inputs of a graph that serves all of them.

    Args:
        rules: a name of `RULES`.
        object_queries: number of object queries.
        official: prompts copy object queries (the built-in model's have queries of their own, and no such choices).

    Returns:
        ``may_read`` [rows, keys] bool in the order of `ROWS` and `KEYS`; for official models also ``usable_queries``
        [3, object queries] bool, what a prompt answered by points, a reference or a text may use, and ``empty_mean``
        [1] float32, the mean mask feature where a prompt has no positive point.
    """
    values = {"may_read": np.array(allowed(rules, ROWS, KEYS), bool)}
    if official:
        usable = np.ones((3, object_queries), bool)
        if rules == "v1":
            usable[:2] = np.isin(np.arange(object_queries), V1_QUERIES)
        values["usable_queries"] = usable
        values["empty_mean"] = np.full(1, -1.0 if rules == "v1" else 0.0, np.float32)
    return values
