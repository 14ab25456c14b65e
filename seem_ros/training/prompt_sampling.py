# SPDX-License-Identifier: Apache-2.0
"""One training step's questions: which prompts are asked on which frame, and what the right answers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from seem_ros.datasets.scenes.scene import Clip, Thing
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
from seem_ros.training import simulated_prompts as draw
from seem_ros.training.referring_phrases import Phrase, SpokenNames, say

MIN_AREA_PX = 24  # smaller visible parts are neither asked for nor punished
REFERENCES = 8
# Of a picture that is fully labelled for some names, the missing ones of these are asked for this often among absent
# names: they are what one's own things are taken for.
KNOWN_ABSENT = 0.6


@dataclass
class Ask:
    """One prompt on one frame.

    Attributes:
        frame: index of the frame in the batch.
        answers: ids on that frame of which any is right; empty = nothing is there.
        geometry: points and prior.
        text: what is said, or None.
        reference: (frame, id) whose look is given, or None; pooled: as few averaged tokens in place of points.
        previous: [H, W] bool, the mask of the previous round or frame, or None.
        previous_logits: [h4, w4] predicted mask logits of the previous round, or None.
        counted: False for a slot that asks nothing.
    """

    frame: int
    answers: tuple[int, ...] = ()
    geometry: draw.DrawnPrompts = field(default_factory=draw.DrawnPrompts)
    text: str | None = None
    reference: tuple[int, int] | None = None
    pooled: bool = False
    previous: np.ndarray | None = None
    previous_logits: Tensor | None = None
    counted: bool = True


@dataclass
class Scene:
    """A clip inside a batch: first frame's index, visible ids per frame and the things by id."""

    clip: Clip
    first: int
    visible: list[list[int]]
    things: dict[int, Thing]

    @staticmethod
    def of(clip: Clip, first: int) -> Scene:
        """Finds what is visible in both frames."""
        visible = []
        for f in range(2):
            counts = np.bincount(clip.ids[f].ravel(), minlength=256)
            visible.append([t.id for t in clip.things if counts[t.id] >= MIN_AREA_PX])
        return Scene(clip, first, visible, {t.id: t for t in clip.things})

    def mask(self, frame: int, thing_id: int) -> np.ndarray:
        """[H, W] bool of a thing on frame 0 or 1 of the clip."""
        return self.clip.ids[frame] == thing_id

    def matching(self, frame: int, phrase: Phrase) -> tuple[int, ...]:
        """Visible ids that a phrase fits."""
        return tuple(i for i in self.visible[frame] if phrase.matches(self.things[i]))

    def absent(self, frame: int, phrase: Phrase) -> bool:
        """True when it is certain that not even a sliver of a fitting thing is on the frame."""
        if self.clip.exhaustive_for is not None and (phrase.shape is None or not self.clip.absent(phrase.shape)):
            return False
        ids = set(np.unique(self.clip.ids[frame]).tolist())
        return not any(i in ids and phrase.matches(t) for i, t in self.things.items())


def pick(scene: Scene, frame: int, rng: np.random.Generator, stuff: float = 0.06) -> int | None:
    """A visible thing, seldom stuff; small things are as likely as large ones."""
    things = [i for i in scene.visible[frame] if scene.things[i].isthing]
    rest = [i for i in scene.visible[frame] if not scene.things[i].isthing]
    pool = rest if rest and (not things or rng.random() < stuff) else things
    return pool[rng.integers(len(pool))] if pool else None


def ask_text(scene: Scene, frame: int, rng: np.random.Generator, vocabulary: SpokenNames, absent: float) -> Ask:
    """A text for something visible, or with probability `absent` for something that is not there."""
    index = scene.first + frame
    if rng.random() < absent:
        known = sorted(name for name in scene.clip.exhaustive_for or () if scene.clip.absent(name))
        phrase: Phrase | None
        if known and rng.random() < KNOWN_ABSENT:
            phrase = Phrase(known[rng.integers(len(known))])
        else:
            phrase = vocabulary.phrase_for_nothing([scene.things[i] for i in scene.things], rng)
        if phrase is not None and scene.absent(frame, phrase):
            return Ask(index, (), text=say(phrase, rng))
    named = [i for i in scene.visible[frame] if scene.things[i].shape]
    if not named:
        return Ask(index, counted=False)
    things = [i for i in named if scene.things[i].isthing]
    pool = things if things and rng.random() > 0.1 else named
    phrase = vocabulary.phrase_for(scene.things[pool[rng.integers(len(pool))]], rng)
    return Ask(index, scene.matching(frame, phrase), text=say(phrase, rng))


def ask_geometry(scene: Scene, frame: int, rng: np.random.Generator, kind: str) -> Ask:
    """A prompt drawn on a visible thing: "click", "clicks", "box" or "scribble"."""
    index, target = scene.first + frame, pick(scene, frame, rng)
    if target is None:
        return Ask(index, counted=False)
    mask = scene.mask(frame, target)
    others = (scene.clip.ids[frame] > 0) & ~mask
    if kind == "click":
        geometry = draw.clicks(mask, others, rng, 1, 0)
    elif kind == "clicks":
        geometry = draw.clicks(mask, others, rng, int(rng.integers(1, 4)), int(rng.integers(0, 3)))
    elif kind == "box":
        geometry = draw.box(mask, rng)
    else:
        geometry = draw.scribble(mask, rng) if rng.random() < 0.65 else draw.rough_region(mask, rng)
    return Ask(index, (target,), geometry)


def ask_reference(scene: Scene, frame: int, rng: np.random.Generator, foreign: Scene) -> Ask:
    """The look of a thing on the other frame; sometimes of a thing of another scene, that is not here."""
    index = scene.first + frame
    if rng.random() < 0.2 and foreign is not scene:
        target = pick(foreign, 0, rng, stuff=0.0)
        if target is not None and foreign.things[target].shape:
            thing = foreign.things[target]
            if not any(t.shape == thing.shape and t.colour == thing.colour for t in scene.things.values()):
                return Ask(index, (), reference=(foreign.first, target), pooled=rng.random() < 0.4)
    other = 1 - frame if rng.random() < 0.85 else frame
    both = [i for i in scene.visible[other] if scene.things[i].isthing]
    if not both:
        return Ask(index, counted=False)
    target = both[rng.integers(len(both))]
    answers = lookalikes(scene, frame, target) if target in scene.visible[frame] else ()
    if not answers and (scene.clip.ids[frame] == target).any():
        return Ask(index, counted=False)
    return Ask(index, answers, reference=(scene.first + other, target), pooled=rng.random() < 0.4)


def lookalikes(scene: Scene, frame: int, target: int) -> tuple[int, ...]:
    """The target and what cannot be told from it by its look."""
    thing = scene.things[target]
    if thing.shape is None:
        return (target,)
    same = [
        i
        for i in scene.visible[frame]
        if i != target
        and (t := scene.things[i]).shape == thing.shape
        and t.colour == thing.colour
        and t.pattern == thing.pattern
    ]
    return (target, *same)


def ask_composed(scene: Scene, frame: int, rng: np.random.Generator, vocabulary: SpokenNames) -> Ask:
    """A click together with a text or a reference of the same thing; things that share a name come first."""
    index = scene.first + frame
    named = [i for i in scene.visible[frame] if scene.things[i].isthing and scene.things[i].shape]
    if not named:
        return ask_geometry(scene, frame, rng, "click")
    twins = [i for i in named if len(lookalikes(scene, frame, i)) > 1]
    pool = twins if twins and rng.random() < 0.6 else named
    target = pool[rng.integers(len(pool))]
    mask = scene.mask(frame, target)
    ask = Ask(index, (target,), draw.clicks(mask, mask, rng, 1, 0))
    if rng.random() < 0.7 or target not in scene.visible[1 - frame]:
        ask.text = say(vocabulary.phrase_for(scene.things[target], rng), rng)
    else:
        ask.reference, ask.pooled = (scene.first + 1 - frame, target), rng.random() < 0.4
    return ask


def ask_memory(scene: Scene, frame: int, rng: np.random.Generator, vocabulary: SpokenNames) -> Ask:
    """Follow a thing from the other frame: its look and its mask there, sometimes one of them, or its name too."""
    index, other = scene.first + frame, 1 - frame
    candidates = [i for i in scene.visible[other] if scene.things[i].isthing]
    gone = [i for i in candidates if not (scene.clip.ids[frame] == i).any()]
    if not candidates:
        return Ask(index, counted=False)
    pool = gone if gone and rng.random() < 0.35 else candidates
    target = pool[rng.integers(len(pool))]
    here = int((scene.clip.ids[frame] == target).sum())
    if 0 < here < MIN_AREA_PX:
        return Ask(index, counted=False)
    ask = Ask(index, (target,) if here else (), reference=(scene.first + other, target), pooled=rng.random() < 0.5)
    if rng.random() < 0.9:
        # Half of the time the mask of a frame just before: where it is now, give or take a little.
        near = here and rng.random() < 0.5
        ask.previous = draw.disturbed_mask(scene.mask(frame if near else other, target), rng)
        ask.geometry = draw.DrawnPrompts(kind=4, box_xyxy_px=draw.box_of(ask.previous))
        if rng.random() < 0.15:
            ask.reference = None
        if rng.random() < 0.2 and scene.things[target].shape:
            ask.text = say(vocabulary.phrase_for(scene.things[target], rng), rng)
    elif here:
        ask.answers = lookalikes(scene, frame, target)
    return ask


def to_tensors(
    asks: list[list[Ask]],
    size: tuple[int, int],
    encode: Callable[[list[str]], tuple[Tensor, Tensor, Tensor]],
    read: Callable[[list[tuple[int, np.ndarray]]], tuple[Tensor, Tensor]],
    masks: Callable[[int, int], np.ndarray],
    dims: tuple[int, int, int],
    rng: np.random.Generator,
    device: torch.device,
) -> PromptTensors:
    """Packs N x P asks.

    Args:
        asks: per frame the same number of asks.
        size: (H, W) of the network input.
        encode: texts -> token features [T, L, C], validity [T, L], embeddings [T, D].
        read: list of (frame, points [REFERENCES, 2] normalised) -> tokens [M, REFERENCES, 3, C], means [M, Cm].
        masks: (frame, id) -> [H, W] bool.
        dims: (C, D, Cm).
        device: where the model is.
    """
    n, p = len(asks), len(asks[0])
    h, w = size
    flat = [a for row in asks for a in row]
    texts = sorted({a.text for a in flat if a.text})
    encoded = encode(texts) if texts else None
    out = PromptTensors.empty(
        n,
        p,
        points=draw.POINTS,
        text=1 if encoded is None else encoded[0].shape[1],
        references=REFERENCES,
        dim=dims[0],
        text_dim=dims[1],
        mask_dim=dims[2],
        mask_hw=(h // 4, w // 4),
    )
    scale = np.array([w, h], np.float32)
    index = {t: i for i, t in enumerate(texts)}
    said, which = [], []
    wanted: list[tuple[int, np.ndarray]] = []
    places: list[tuple[int, bool]] = []
    for k, ask in enumerate(flat):
        i, j = divmod(k, p)
        g = ask.geometry
        if len(g.points_px):
            out.points_xy[i, j, : len(g.points_px)] = torch.from_numpy(g.points_px / scale)
            out.points_label[i, j, : len(g.points_px)] = torch.from_numpy(g.labels)
        out.prior_kind[i, j] = g.kind
        if g.kind:
            x0, y0, x1, y1 = g.box_xyxy_px
            out.prior_box[i, j] = torch.tensor([(x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h])
        if ask.text:
            said.append(k)
            which.append(index[ask.text])
        if ask.previous is not None:
            small = torch.from_numpy(ask.previous.astype(np.float32)).reshape(h // 4, 4, w // 4, 4).mean((1, 3))
            out.previous_mask[i, j], out.has_previous[i, j] = (small - 0.5) * 12, True
        if ask.previous_logits is not None:
            out.previous_mask[i, j], out.has_previous[i, j] = ask.previous_logits, True
        if ask.reference is not None:
            region = np.flatnonzero(masks(*ask.reference))
            chosen = region[rng.integers(0, len(region), REFERENCES)]
            wanted.append((ask.reference[0], np.stack((chosen % w, chosen // w), 1).astype(np.float32) / scale))
            places.append((k, ask.pooled))
    out = out.to(device)
    if encoded is not None:
        tokens, valid, pooled = encoded
        at, chosen = torch.tensor(said, device=device), torch.tensor(which, device=device)
        out.text_tokens = out.text_tokens.flatten(0, 1).index_copy(0, at, tokens[chosen].float()).unflatten(0, (n, p))
        out.text_embedding = (
            out.text_embedding.flatten(0, 1).index_copy(0, at, pooled[chosen].float()).unflatten(0, (n, p))
        )
        out.text_valid.view(n * p, -1)[at] = valid[chosen]
        out.has_text.view(-1)[at] = True
    if wanted:
        look, mean = read(wanted)
        at = torch.tensor([k for k, _ in places], device=device)
        for _row, (k, few) in enumerate(places):
            out.reference_valid.view(n * p, -1)[k, : 4 if few else REFERENCES] = True
        few = torch.tensor([f for _, f in places], device=device)[:, None, None, None]
        averaged = look.unflatten(1, (4, -1)).mean(2)
        averaged = torch.cat((averaged, look[:, 4:]), 1)
        look = torch.where(few, averaged, look).float()
        out.reference_tokens = out.reference_tokens.flatten(0, 1).index_copy(0, at, look).unflatten(0, (n, p))
        out.reference_embedding = (
            out.reference_embedding.flatten(0, 1).index_copy(0, at, mean.float()).unflatten(0, (n, p))
        )
    return out
