# SPDX-License-Identifier: Apache-2.0
"""What is asked of every frame of a batch, decided on the host from how many pixels of each thing are in sight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seem_ros.datasets.scenes.scene import Thing
from seem_ros.training.batched.ask_plan import (
    BOX,
    CLICK,
    CLICKS,
    MEMORY,
    OBJECTS,
    REGION,
    SCRIBBLE,
    SLOTS,
    AskPlan,
)
from seem_ros.training.batched.picture_store import NamedObject, PackedPictures
from seem_ros.training.batched.two_views import FIRST_PASTED, ViewBatch
from seem_ros.training.referring_phrases import BACKGROUND, TEMPLATES, SpokenNames, say

MIN_AREA_PX = 30  # smaller visible parts are neither asked for nor punished
# Part of the memory asks that follow a thing of another scene: cut to another view, it is gone.
FOREIGN_MEMORY = 0.15
# Names of a bank that a batch is held against: encoding all of them took a quarter of a step on a CPU.
BANK_NAMES = 64
# Things that cannot hide in a picture of another kind: what may be called absent where labels are not complete.
_BEASTS = ("elephant", "bear", "tiger", "zebra", "giraffe", "turtle", "otter", "cow", "horse", "sheep")
_VEHICLES = ("bus", "train", "aeroplane", "airplane", "truck", "boat", "motorcycle")
_ROOM = ("bed", "couch", "toilet", "refrigerator", "oven", "sink", "microwave", "keyboard", "laptop")
_FOOD = ("pizza", "hot dog", "donut", "broccoli", "fried tempeh", "chicken wing", "mushroom")
CANNOT_HIDE = {
    "animals_cc": _ROOM + _FOOD + _VEHICLES[:4],
    "clothing_ccp": _BEASTS + _FOOD + _ROOM,
    "tools_bench": _BEASTS + _VEHICLES + _FOOD + _ROOM[:6],
    "class5_small": _BEASTS + _VEHICLES + _FOOD + _ROOM[:6],
    "trashnet_pseudo": _BEASTS + _VEHICLES + _ROOM[:7],
    "sidewalk_video": _BEASTS[:7] + _FOOD + _ROOM,
    "kuih_cakes": _BEASTS + _VEHICLES + _ROOM,
    "chicken_parts": _BEASTS + _VEHICLES + _ROOM,
    "school_lunch": _BEASTS + _VEHICLES + _ROOM,
    "books_sam2": _BEASTS + _VEHICLES + _FOOD + _ROOM[:6],
    "mushroom_beds": _BEASTS + _VEHICLES + _ROOM + _FOOD[:6],
    "bolts": _BEASTS + _VEHICLES + _ROOM + _FOOD,
    "dates_figs": _BEASTS + _VEHICLES + _ROOM,
    "food_plates": _BEASTS + _VEHICLES + _ROOM,
}


class AskPlanner:
    """Draws plans for the pictures of a store."""

    def __init__(self, store: PackedPictures) -> None:
        self.store = store
        simulated: set[str] = set()
        real: dict[str, set[str]] = {}
        for picture in store.pictures:
            names = {one.name for one in picture.objects.values() if one.name}
            names |= {name for name, _ in picture.groups}
            if picture.clip is not None:
                simulated |= names
            else:
                real.setdefault(picture.source, set()).update(names)
        words = store.vocabulary
        stuff = tuple(words.get("stuff", ()))
        shapes = [*words.get("shapes", ()), *sorted(simulated)]
        self.sim_shapes = tuple(dict.fromkeys(name for name in shapes if name not in stuff))
        held_out = [tuple(pair) for pair in words.get("held_out_pairs", ())]
        self.vocabulary = SpokenNames(self.sim_shapes, tuple(words.get("colours", ())), stuff, held_out)
        extra = sorted(set().union(*real.values()) - set(self.sim_shapes) - set(stuff))
        self.classes = (*self.sim_shapes, *stuff, *extra, BACKGROUND)
        self.pairs = (*(f"{colour} {shape}" for colour, shape in self.vocabulary.pairs), *stuff, BACKGROUND)
        self.class_index = {name: i for i, name in enumerate(self.classes)}
        self.pair_index = {name: i for i, name in enumerate(self.pairs)}
        self.absent_of = {s: tuple(sorted(names)) for s, names in real.items()}

    def _scene(self, base: int, pasted: dict[int, NamedObject]) -> dict[int, NamedObject]:
        return {**self.store.pictures[base].objects, **pasted}

    def plan(self, views: ViewBatch, rng: np.random.Generator) -> AskPlan:
        """Waits for the batch's pixel counts, and decides."""
        if views.ready is not None:
            views.ready.synchronize()
        counts = views.counts.numpy()
        n, p = len(counts), len(SLOTS)
        out = AskPlan(
            kind=np.zeros((n, p), np.int8),
            layer=np.zeros((n, p), np.int64),
            target=np.zeros((n, p), np.int64),
            several={},
            counted=np.zeros((n, p), bool),
            there=np.zeros((n, p), bool),
            text=np.full((n, p), -1, np.int64),
            texts=[],
            look=np.full((n, p, 3), -1, np.int64),
            pooled=rng.random((n, p)) < 0.4,
            before=np.full((n, p), -1, np.int64),
            memory_of=np.zeros((n, p, 2), np.int64),
            names=np.full((n, 2, 256), -1, np.int64),
            banks=(self.classes, self.pairs),
            objects=np.zeros((n, OBJECTS, 2), np.int64),
            complete=np.zeros(n, bool),
            things=np.ones((n, 256), bool),
        )
        said: dict[str, int] = {}
        scenes = [self._scene(b, pasted) for b, pasted in zip(views.base, views.pasted)]
        for f in range(n):
            _FrameAsks(self, out, counts, f, scenes, views.base, rng, said).ask()
        out.texts = list(said)
        classes, pairs = out.banks
        out.banks = (fewer_names(classes, out.names[:, 0], rng), fewer_names(pairs, out.names[:, 1], rng))
        return out


def fewer_names(bank: tuple[str, ...], names: np.ndarray, rng: np.random.Generator) -> tuple[str, ...]:
    """Takes a batch's own names out of a bank, and others drawn at random, up to `BANK_NAMES`.

    Args:
        bank: names; the last one, "background", is always kept.
        names: [...] int index into the bank, -1 = no name; renumbered in place.
        rng: draws the others.

    Returns:
        The smaller bank, in the same order.
    """
    own = np.unique(names[names >= 0])
    others = np.setdiff1d(np.arange(len(bank) - 1), own)
    drawn = rng.permutation(others)[: max(0, BANK_NAMES - len(own))]
    kept = np.unique(np.concatenate((own, drawn, [len(bank) - 1])))
    number = np.full(len(bank) + 1, -1, np.int64)  # the last entry is that of -1, no name
    number[kept] = np.arange(len(kept))
    names[:] = number[names]
    return tuple(bank[k] for k in kept)


class _FrameAsks:
    """The asks of one frame."""

    def __init__(
        self,
        planner: AskPlanner,
        out: AskPlan,
        counts: np.ndarray,
        f: int,
        scenes: Sequence[dict[int, NamedObject]],
        base: np.ndarray,
        rng: np.random.Generator,
        said: dict[str, int],
    ) -> None:
        self.planner, self.out, self.f, self.rng, self.said = planner, out, f, rng, said
        self.scenes, self.scene, self.base = scenes, scenes[f // 2], base
        self.picture = planner.store.pictures[base[f // 2]]
        self.simulated = self.picture.clip is not None
        self.all_counts, self.counts, self.other = counts, counts[f], counts[f ^ 1]
        self.visible = [i for i in self.scene if self.counts[0, i] >= MIN_AREA_PX]
        self.things = [i for i in self.visible if self.scene[i].isthing]
        self.groups = [k + 1 for k, _ in enumerate(self.picture.groups) if self.counts[1, k + 1] >= 4 * MIN_AREA_PX]

    def ask(self) -> None:
        out, f, rng = self.out, self.f, self.rng
        self._names()
        for slot, what in enumerate(SLOTS):
            if what in ("click", "box", "mixed"):
                kind = {"click": CLICK, "box": BOX}.get(what)
                if kind is None:
                    kind = int(rng.choice([CLICK, CLICKS, BOX, SCRIBBLE, REGION], p=[0.3, 0.3, 0.15, 0.15, 0.1]))
                self._geometry(slot, kind)
            elif what == "text":
                self._text(slot, 0.0)
            elif what == "text or nothing":
                self._text(slot, 0.6)
            elif what == "reference":
                self._reference(slot)
            elif what == "memory":
                self._memory(slot)
            else:
                self._composed(slot)
        chosen = [(0, i) for i in sorted(self.visible, key=lambda i: -int(self.counts[0, i]))]
        if self.groups and rng.random() < 0.5:
            members = {i for k in self.groups for i in self.picture.groups[k - 1][1]}
            chosen = [(1, k) for k in self.groups] + [c for c in chosen if c[1] not in members]
        chosen = chosen[:OBJECTS]
        out.objects[f, : len(chosen)] = chosen if chosen else np.zeros((0, 2))
        out.complete[f] = self.simulated or (self.picture.exhaustive and not any(i >= FIRST_PASTED for i in self.scene))

    def _names(self) -> None:
        planner, names = self.planner, self.out.names[self.f]
        for i, thing in self.scene.items():
            if not thing.isthing:
                self.out.things[self.f, i] = False
            if thing.name is None:
                continue
            names[0, i] = planner.class_index.get(thing.name, -1)
            if thing.simulated:
                full = f"{thing.colour} {thing.name}" if thing.isthing else thing.name
                names[1, i] = planner.pair_index.get(full, -1)

    def _put(self, slot: int, layer: int, target: int) -> None:
        out, f = self.out, self.f
        out.layer[f, slot], out.target[f, slot] = layer, target
        out.counted[f, slot], out.there[f, slot] = True, target > 0

    def _several(self, slot: int, answers: list[int]) -> None:
        self._put(slot, 0, answers[0] if answers else 0)
        if len(answers) > 1:
            self.out.several[self.f, slot] = answers

    def _say(self, slot: int, text: str) -> None:
        self.out.text[self.f, slot] = self.said.setdefault(text, len(self.said))

    def _pick(self) -> tuple[int, int] | None:
        """(layer, id): whole persons as often as their parts; stuff seldom; larger things a little more often."""
        rng = self.rng
        if self.groups and rng.random() < 0.5:
            return 1, self.groups[rng.integers(len(self.groups))]
        pool = self.things
        if not pool or rng.random() < 0.05:
            pool = self.visible
        if not pool:
            return None
        weight = self.counts[0, pool].astype(np.float64) ** 0.25
        return 0, pool[int(np.searchsorted(np.cumsum(weight), rng.random() * weight.sum() * 0.999999))]

    def _geometry(self, slot: int, kind: int) -> None:
        picked = self._pick()
        if picked is not None:
            self._put(slot, *picked)
            self.out.kind[self.f, slot] = kind

    # ---- words ------------------------------------------------------------------------------------------------
    def _phrase(self, name: str) -> str:
        return TEMPLATES[self.rng.integers(len(TEMPLATES))].format(name)

    def _thing(self, i: int) -> Thing:
        t = self.scene[i]
        return Thing(i, t.name, t.colour, t.size, t.pattern, t.isthing)

    def _text(self, slot: int, absent: float) -> None:
        rng = self.rng
        if rng.random() < absent and self._absent(slot):
            return
        named = [i for i in self.visible if self.scene[i].name]
        if self.simulated:
            named = [i for i in named if self.scene[i].simulated]
        if self.groups and not self.simulated and rng.random() < 0.2:
            k = self.groups[rng.integers(len(self.groups))]
            self._put(slot, 1, k)
            self._say(slot, self._phrase(self.picture.groups[k - 1][0]))
            return
        if not named:
            return
        if self.simulated:
            things = [i for i in named if self.scene[i].isthing]
            pool = things if things and rng.random() > 0.1 else named
            phrase = self.planner.vocabulary.phrase_for(self._thing(pool[rng.integers(len(pool))]), rng)
            self._several(slot, [i for i in named if phrase.matches(self._thing(i))])
            self._say(slot, say(phrase, rng))
            return
        kinds = sorted({name for i in named if (name := self.scene[i].name)})
        name = kinds[rng.integers(len(kinds))]
        self._several(slot, [i for i in named if self.scene[i].name == name])
        self._say(slot, self._phrase(name))

    def _absent(self, slot: int) -> bool:
        """Asks for something that is certainly not there; False where nothing is certain."""
        rng, planner = self.rng, self.planner
        if self.simulated:
            if any(not t.simulated for t in self.scene.values()):
                return False
            own = [self._thing(i) for i in self.scene if self.counts[0, i] > 0]
            phrase = planner.vocabulary.phrase_for_nothing(own, rng)
            # A thing of several colours may be what a colour's name means.
            unsure = any(t.colour is None and phrase and phrase.shape in (None, t.shape) for t in own)
            if phrase is None or (unsure and phrase.colour):
                return False
            text = say(phrase, rng)
        else:
            present = {t.name for t in self.scene.values()} | {g for g, _ in self.picture.groups}
            certain = CANNOT_HIDE.get(self.picture.source, ())
            if self.picture.exhaustive and not any(i >= FIRST_PASTED for i in self.scene):
                certain = planner.absent_of[self.picture.source] if rng.random() < 0.8 or not certain else certain
            pool = [name for name in certain if name not in present]
            if not pool:
                return False
            text = self._phrase(pool[rng.integers(len(pool))])
        self._put(slot, 0, 0)
        self._say(slot, text)
        return True

    # ---- looks and memory -------------------------------------------------------------------------------------
    def _alike(self, i: int) -> list[int]:
        """The thing and what cannot be told from it by its look."""
        thing = self.scene[i]
        if not thing.simulated:
            return [i]
        same = [
            j
            for j in self.visible
            if j != i
            and (t := self.scene[j]).simulated
            and (t.name, t.colour, t.pattern) == (thing.name, thing.colour, thing.pattern)
        ]
        return [i, *same]

    def _foreign(self) -> tuple[int, int, int] | None:
        """(frame, layer, id) of a thing in another scene whose like is not in this one; None where that is not sure."""
        rng = self.rng
        g = int(rng.integers(len(self.scenes)))
        pool = [i for i, t in self.scenes[g].items() if t.name and t.isthing]
        names = {t.name for t in self.scene.values()}
        other = self.planner.store.pictures[self.base[g]]
        if g == self.f // 2 or not pool or other.source == self.picture.source:
            return None
        i = pool[rng.integers(len(pool))]
        if self.scenes[g][i].name in names or self.all_counts[2 * g, 0, i] < MIN_AREA_PX:
            return None
        return 2 * g, 0, i

    def _reference(self, slot: int) -> None:
        rng, f, out = self.rng, self.f, self.out
        if rng.random() < 0.2 and (foreign := self._foreign()):
            self._put(slot, 0, 0)
            out.look[f, slot] = foreign
            return
        across = rng.random() < 0.85
        counts = self.other if across else self.counts
        seen = [i for i in self.scene if self.scene[i].isthing and counts[0, i] >= MIN_AREA_PX]
        if not seen:
            return
        i = seen[rng.integers(len(seen))]
        here = self.counts[0, i]
        if 0 < here < MIN_AREA_PX:
            return
        answers = self._alike(i) if here else []
        if not here and len(self._alike(i)) > 1:
            return
        self._several(slot, answers)
        out.look[f, slot] = (f ^ 1 if across else f, 0, i)

    def _memory(self, slot: int) -> None:
        rng, f, out = self.rng, self.f, self.out
        if rng.random() < FOREIGN_MEMORY and (foreign := self._foreign()):
            self._put(slot, 0, 0)
            out.look[f, slot] = foreign
            out.before[f, slot], out.memory_of[f, slot] = foreign[0], foreign[1:]
            out.kind[f, slot] = MEMORY
            return
        layer, counts_here, counts_other = 0, self.counts[0], self.other[0]
        pool = [i for i in self.scene if self.scene[i].isthing and counts_other[i] >= MIN_AREA_PX]
        if self.groups and rng.random() < 0.5:
            layer, counts_here, counts_other = 1, self.counts[1], self.other[1]
            pool = [k + 1 for k in range(len(self.picture.groups)) if counts_other[k + 1] >= MIN_AREA_PX]
        if not pool:
            return
        gone = [i for i in pool if counts_here[i] == 0]
        if gone and rng.random() < 0.35:
            pool = gone
        i = pool[rng.integers(len(pool))]
        here = int(counts_here[i])
        if 0 < here < MIN_AREA_PX:
            return
        self._put(slot, layer, i if here else 0)
        if rng.random() > 0.15:
            out.look[f, slot] = (f ^ 1, layer, i)
        if rng.random() < 0.92 or out.look[f, slot, 0] < 0:
            near = here and rng.random() < 0.5
            out.before[f, slot] = f if near else f ^ 1
            out.kind[f, slot] = MEMORY
            out.memory_of[f, slot] = (layer, i)
            if layer == 0 and rng.random() < 0.1 and (name := self.scene[i].name):
                self._say(slot, self._phrase(name))

    def _composed(self, slot: int) -> None:
        """A click together with a text or a look of the same thing."""
        rng, f, out = self.rng, self.f, self.out
        named = [i for i in self.things if self.scene[i].name]
        if not named:
            self._geometry(slot, CLICK)
            return
        twins = [i for i in named if len(self._alike(i)) > 1]
        pool = twins if twins and rng.random() < 0.6 else named
        i = pool[rng.integers(len(pool))]
        self._put(slot, 0, i)
        out.kind[f, slot] = CLICK
        if rng.random() < 0.7 or self.other[0, i] < MIN_AREA_PX:
            if self.simulated and self.scene[i].simulated:
                self._say(slot, say(self.planner.vocabulary.phrase_for(self._thing(i), rng), rng))
            elif name := self.scene[i].name:
                self._say(slot, self._phrase(name))
        else:
            out.look[f, slot] = (f ^ 1, 0, i)
