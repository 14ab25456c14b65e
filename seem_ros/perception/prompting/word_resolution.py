# SPDX-License-Identifier: Apache-2.0
"""Words that a model was never taught, led to names that it was: plurals, synonyms, narrower and broader words.

The table (`data/synonyms.tsv.gz`) is cut from WordNet by `python -m seem_ros.tools.synonyms`; its notice stands in its
first lines.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

TABLE = Path(__file__).parent / "data" / "synonyms.tsv.gz"
#: Which relation is believed first; the words are said to the user.
RELATIONS = MappingProxyType(
    {"plural": "plural", "same": "synonym", "near": "much the same", "narrower": "broader name", "broader": "for it"}
)
_MOST_WORDS = 4
_IRREGULAR = MappingProxyType(
    {
        "children": "child",
        "feet": "foot",
        "geese": "goose",
        "knives": "knife",
        "leaves": "leaf",
        "loaves": "loaf",
        "men": "man",
        "mice": "mouse",
        "people": "person",
        "shelves": "shelf",
        "teeth": "tooth",
        "women": "woman",
    }
)
#: Words that WordNet has as things, playing cards and hands, and nobody means so.
_NO_NAMES = frozenset(("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "left", "right", "back"))
# WordNet's nouns know no qualities. Only what says the same: a material or a state that is not known is not left out,
# for the thing without it may be another one.
_QUALITIES = MappingProxyType(
    {
        **dict.fromkeys(("big", "bigger", "biggest", "larger", "largest", "huge", "giant"), "large"),
        **dict.fromkeys(("little", "tiny", "smaller", "smallest", "mini", "miniature"), "small"),
        **dict.fromkeys(("scarlet", "crimson", "reddish"), "red"),
        **dict.fromkeys(("navy", "bluish"), "blue"),
        **dict.fromkeys(("golden", "yellowish"), "yellow"),
        **dict.fromkeys(("violet", "lilac", "mauve"), "purple"),
        **dict.fromkeys(("beige", "tan"), "brown"),
        **dict.fromkeys(("chequered", "plaid"), "checkered"),
        **dict.fromkeys(("dotted", "dotty"), "spotted"),
        **dict.fromkeys(("stripy", "stripey"), "striped"),
        **dict.fromkeys(("greenish",), "green"),
        **dict.fromkeys(("pinkish",), "pink"),
    }
)


@dataclass(frozen=True)
class Resolution:
    """What to ask in place of a text with unknown words.

    Attributes:
        texts: the text with a name of the model in place of the unknown words; of several the surest is meant.
        word: what the user said that the model does not know.
        relation: one of `RELATIONS`.
    """

    texts: tuple[str, ...]
    word: str
    relation: str

    def said(self, chosen: str) -> str:
        """What to tell the user about the choice."""
        others = f", the surest of {len(self.texts)} names" if len(self.texts) > 1 else ""
        return f"{self.word!r} is not a word of this model: asked for {chosen!r} ({RELATIONS[self.relation]}{others})"


@cache
def _table() -> dict[str, dict[str, tuple[str, ...]]]:
    """Word -> relation -> names."""
    rows: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in gzip.decompress(TABLE.read_bytes()).decode().splitlines():
        if not line.startswith("#"):
            word, relation, names = line.split("\t")
            rows.setdefault(" ".join(words_of(word)), {})[relation] = tuple(names.split("|"))
    return rows


def words_of(text: str) -> list[str]:
    """The words of a text, as they are looked up."""
    return re.findall(r"[^\W_]+", text.lower())


def singulars(word: str) -> Iterator[str]:
    """What a word may be the plural of, likeliest first."""
    if word in _IRREGULAR:
        yield _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        yield word[:-3] + "y"
    if word.endswith("s") and not word.endswith("ss") and len(word) > 2:
        yield word[:-1]
    if word.endswith("es") and len(word) > 3:
        yield word[:-2]


def resolve(text: str, unknown: Callable[[str], tuple[str, ...]]) -> Resolution | None:
    """Leads every unknown word of a text to a name.

    Args:
        text: what the user said.
        unknown: words of a text that the model does not know.

    Returns:
        What to ask; None where a word leads nowhere.
    """
    found, best = [words_of(text)], None
    for _ in range(_MOST_WORDS):  # each round replaces the first unknown word of all variants
        strange = unknown(" ".join(found[0]))
        if not strange:
            break
        step = _replace(found[0], found[0].index(strange[0]), unknown)
        if step is None:
            return None
        start, stop, relation, names = step
        best = best or (" ".join(found[0][start:stop]), relation)
        found = [words[:start] + words_of(name) + words[stop:] for words in found for name in names]
    if best is None or unknown(" ".join(found[0])):
        return None
    return Resolution(tuple(dict.fromkeys(" ".join(words) for words in found)), *best)


def _replace(
    words: list[str], place: int, unknown: Callable[[str], tuple[str, ...]]
) -> tuple[int, int, str, tuple[str, ...]] | None:
    """The longest run of words around an unknown one that leads to known names: its ends, how, and the names."""
    if words[place] in _NO_NAMES:
        return None
    quality = _QUALITIES.get(words[place])
    if quality is not None and place + 1 < len(words) and not unknown(quality):
        return place, place + 1, "same", (quality,)
    for length in range(min(_MOST_WORDS, len(words)), 0, -1):
        for start in range(max(0, place - length + 1), min(place, len(words) - length) + 1):
            stop = start + length
            first, last = words[start : stop - 1], words[stop - 1]
            for form in (last, *singulars(last)):
                key = " ".join([*first, form])
                if form != last and not unknown(key):
                    return start, stop, "plural", (key,)
                for relation in RELATIONS:
                    names = tuple(name for name in _table().get(key, {}).get(relation, ()) if not unknown(name))
                    if names:
                        return start, stop, relation, names if relation == "broader" else names[:1]
    return None
