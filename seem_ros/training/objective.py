# SPDX-License-Identifier: Apache-2.0
"""The loss of one training step: panoptic, text, geometry, reference, compositions, rounds and memory together."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.datasets.scenes.scene import Clip
from seem_ros.model.query_decoder.decoder import Decoded, ImageTensors, QueryState
from seem_ros.model.seem import Seem
from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.training import simulated_prompts as draw
from seem_ros.training.keeping import Keeping
from seem_ros.training.losses import (
    DENSE_WEIGHT,
    NAME_WEIGHT,
    PRESENCE_WEIGHT,
    box_loss,
    class_logits,
    halved,
    label_of,
    mask_loss,
    match,
    normalised_box,
)
from seem_ros.training.prompt_sampling import (
    Ask,
    Scene,
    ask_composed,
    ask_geometry,
    ask_memory,
    ask_reference,
    ask_text,
    to_tensors,
)
from seem_ros.training.referring_phrases import SpokenNames
from seem_ros.training.run_state import half_precision

VOID_WEIGHT = 0.1
# Names of a bank that a batch is held against: encoding all of them is a large part of a step on a CPU.
CLASS_BANK, PAIR_BANK = 64, 60
SECOND_ROUND = 4


class Step:
    """Computes the loss of a batch of clips for a model.

    Args:
        model: the model being trained.
        vocabulary: names in the data.
        device: where the model is.
        mask_points: 0 = mask losses on all pixels (cheaper at this size), else on so many sampled points.
        keeping: the model as it was, whose answers count where nothing new is; None keeps nothing. Its backbone is
            the model's, which must not be trained then.
    """

    def __init__(
        self,
        model: Seem,
        vocabulary: SpokenNames,
        device: torch.device,
        mask_points: int = 0,
        keeping: Keeping | None = None,
    ) -> None:
        self.model, self.vocabulary, self.device, self.mask_points = model, vocabulary, device, mask_points
        self.keeping = keeping
        self.tokenizer = Tokenizer.load()
        self._ids: dict[str, list[int]] = {}

    # ---- text ------------------------------------------------------------------------------------------------------
    def encode(self, texts: Sequence[str], model: Seem | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Texts -> token features [T, L, C], validity [T, L], embeddings [T, D]; of another model than the trained."""
        for text in texts:
            if text not in self._ids:
                self._ids[text] = self.tokenizer.ids(text)
        rows = [self._ids[t] for t in texts]
        length = max(map(len, rows))
        ids = torch.full((len(rows), length), rows[0][-1], dtype=torch.int64)
        valid = torch.zeros(len(rows), length, dtype=torch.bool)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            valid[i, : len(row)] = True
        tokens, pooled = (model or self.model).encode_text(ids.to(self.device))
        return tokens, valid.to(self.device), pooled

    def bank(self, names: Sequence[str], model: Seem | None = None) -> Tensor:
        """Normalised embeddings [K, D] of class names."""
        return F.normalize(self.encode(names, model)[2].float(), dim=-1)

    # ---- one step --------------------------------------------------------------------------------------------------
    def __call__(self, clips: Sequence[Clip], rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Loss and its parts for a list of clips (two frames each)."""
        scenes = [Scene.of(c, 2 * i) for i, c in enumerate(clips)]
        pixels = torch.from_numpy(np.concatenate([c.rgb for c in clips])).permute(0, 3, 1, 2).to(self.device)
        size = tuple(pixels.shape[-2:])
        with half_precision(self.device):
            maps, fine = self.model.backbone(self.model.normalise(pixels).contiguous(memory_format=torch.channels_last))
            former = self.keeping.encode_image(maps, fine) if self.keeping else None
            image = self.model.decoder.prepare(*self.model.pixel_decoder(maps, fine))
            scale = self.model.text_encoder.logit_scale
            things = [t for s in scenes for i, t in s.things.items() if t.shape and any(i in v for v in s.visible)]
            classes = self.vocabulary.class_bank(things, rng, CLASS_BANK)
            pairs = self.vocabulary.pair_bank(things, rng, PAIR_BANK)
            both = self.bank(classes + pairs)
            banks = [(classes, both[: len(classes)]), (pairs, both[len(classes) :])]
            parts, objects = self._objects(image, scenes, banks, scale)
            parts.update(self._dense(image, scenes, banks))
            first = self._first_round(scenes, rng)
            answer = self._ask(image, scenes, first, size, rng)
            parts.update(self._prompts(image, scenes, first, answer, banks, scale, "1"))
            second = self._second_round(scenes, first, answer, rng)
            answer = self._ask(image, scenes, second, size, rng)
            parts.update(self._prompts(image, scenes, second, answer, banks, scale, "2"))
            if former is not None and self.keeping is not None:
                ask = lambda image, asks, model: self._ask(image, scenes, asks, size, rng, model)  # noqa: E731
                banks_then = self.bank(classes, self.keeping.model).detach()
                known = (*banks[0], banks_then)
                parts.update(self.keeping.losses(self.model, image, former, objects, scenes, ask, known, scale, rng))
        total = torch.stack(list(parts.values())).sum()
        return total, {k: float(v.detach()) for k, v in parts.items()}

    def _first_round(self, scenes: list[Scene], rng: np.random.Generator) -> list[list[Ask]]:
        rows = []
        for s, scene in enumerate(scenes):
            named = any(t.shape for t in scene.things.values())
            for f in range(2):
                third = "clicks" if rng.random() < 0.5 else "scribble"
                geometry = [ask_geometry(scene, f, rng, k) for k in ("click", "box", third)]
                foreign = scenes[(s + 1) % len(scenes)]
                if named:
                    more = [
                        ask_text(scene, f, rng, self.vocabulary, 0.0),
                        ask_text(scene, f, rng, self.vocabulary, 0.45),
                        ask_reference(scene, f, rng, foreign),
                        ask_composed(scene, f, rng, self.vocabulary),
                    ]
                else:
                    more = [
                        ask_geometry(scene, f, rng, "box"),
                        ask_geometry(scene, f, rng, "click"),
                        ask_reference(scene, f, rng, foreign),
                        ask_geometry(scene, f, rng, "scribble"),
                    ]
                rows.append(geometry + more)
        return rows

    @torch.no_grad()
    def _second_round(
        self, scenes: list[Scene], asks: list[list[Ask]], answer: Decoded, rng: np.random.Generator
    ) -> list[list[Ask]]:
        """Clicks on the errors of the first round (previous mask as memory), and following from the other frame."""
        rows = []
        for s, scene in enumerate(scenes):
            for f in range(2):
                n, row = 2 * s + f, []
                for slot in (0, int(rng.integers(1, 7))):
                    ask = asks[n][slot]
                    if not ask.counted or not ask.answers:
                        row.append(Ask(n, counted=False))
                        continue
                    truth = scene.mask(f, ask.answers[0])
                    logits = answer.mask_logits[n, slot].float().cpu().numpy()
                    predicted = cv2.resize(logits, truth.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0
                    geometry, target = ask.geometry, ask.answers[0]
                    for _ in range(int(rng.integers(1, 4))):
                        click = draw.click_on_error(truth, predicted)
                        if click is None:
                            break
                        geometry = draw.add_click(geometry, click, truth.shape)
                        # What the click says is settled; the next one goes to another error.
                        disc = np.zeros(truth.shape, np.uint8)
                        cv2.circle(disc, click[:2], 7, 1, -1)
                        predicted = np.where(disc > 0, truth, predicted)
                    if rng.random() < 0.85:
                        previous = answer.memory_mask[n, slot].detach().float()
                        row.append(
                            Ask(n, (target,), geometry, ask.text, ask.reference, ask.pooled, previous_logits=previous)
                        )
                    else:
                        row.append(Ask(n, (target,), geometry, ask.text, ask.reference, ask.pooled))
                row += [ask_memory(scene, f, rng, self.vocabulary) for _ in range(SECOND_ROUND - len(row))]
                rows.append(row)
        return rows

    def _ask(
        self,
        image: ImageTensors,
        scenes: list[Scene],
        asks: list[list[Ask]],
        size: tuple[int, int],
        rng: np.random.Generator,
        model: Seem | None = None,
    ) -> Decoded:
        model = model or self.model
        decoder, config = model.decoder, model.config

        def read(wanted: list[tuple[int, np.ndarray]]) -> tuple[Tensor, Tensor]:
            slots, used = [], [0] * len(image.sources[0])
            for frame, _ in wanted:
                slots.append(used[frame])
                used[frame] += 1
            points = torch.zeros(len(used), max(used), *wanted[0][1].shape)
            for (frame, at), slot in zip(wanted, slots):
                points[frame, slot] = torch.from_numpy(at)
            labels = torch.ones(points.shape[:3], dtype=torch.int8)
            tokens, mean = decoder.sample(image, points.to(self.device), labels.to(self.device))
            frames = [f for f, _ in wanted]
            return tokens[frames, slots], mean[frames, slots]

        dims = (config.decoder.dim, config.text.dim, config.decoder.mask_dim)
        masks = lambda frame, thing: scenes[frame // 2].mask(frame % 2, thing)  # noqa: E731
        encode = lambda texts: self.encode(texts, model)  # noqa: E731
        prompts = to_tensors(asks, size, encode, read, masks, dims, rng, self.device)
        return decoder.decode(image, prompts, appearance=False, memory=bool(prompts.has_previous.any()))

    # ---- losses ----------------------------------------------------------------------------------------------------
    def _layers(
        self,
        image: ImageTensors,
        states: list[QueryState],
        fine: Tensor,
        truth: Tensor,
        boxes: Tensor,
        weight: Tensor,
        pick: Tensor | None = None,
    ) -> Tensor:
        """Mask and box losses of every layer for M targets.

        Args:
            states: predictions of all layers; fine: [M, H/2, W/2] last mask logits; truth: [M, H/2, W/2] in 0..1.
            boxes: [M, 4]; weight: [M]; pick: [3, M] = (frame, element, query) of each target, None = all elements.
        """
        small = F.avg_pool2d(truth[:, None], 4)[:, 0]
        total = mask_loss(fine, truth, weight, self.mask_points)
        for i, state in enumerate(states):
            if i % 2 != (len(states) - 1) % 2:  # every other layer is enough supervision, and saves a tenth of a step
                continue
            assert state.box is not None, "only models with boxes are trained"
            masks = self.model.decoder.masks(state, image.level_masks[2])
            masks = masks[:, :, 0].flatten(0, 1) if pick is None else masks[pick[0], pick[1], pick[2]]
            box = state.box[:, :, 0].flatten(0, 1) if pick is None else state.box[pick[0], pick[1], pick[2]]
            share = 1.0 if i == len(states) - 1 else 0.5
            total = total + share * (mask_loss(masks, small, weight) + box_loss(box, boxes, weight))
        return total / 3

    def _prompts(
        self,
        image: ImageTensors,
        scenes: list[Scene],
        asks: list[list[Ask]],
        answer: Decoded,
        banks: list[tuple[tuple[str, ...], Tensor]],
        scale: Tensor,
        name: str,
    ) -> dict[str, Tensor]:
        flat = [a for row in asks for a in row]
        height, width = scenes[0].clip.ids.shape[1:]
        fine = answer.mask_logits.flatten(0, 1)
        targets = self._nearest_answers(scenes, flat, fine)
        truth = np.zeros((len(flat), height // 2, width // 2), np.float32)
        boxes = np.full((len(flat), 4), 0.5, np.float32)
        labels = np.full((2, len(flat)), -1, np.int64)
        for k, (ask, target) in enumerate(zip(flat, targets)):
            if target is None:
                continue
            scene = scenes[ask.frame // 2]
            mask = scene.mask(ask.frame % 2, target)
            truth[k], boxes[k] = halved(mask), normalised_box(mask)
            labels[:, k] = label_of(scene.things[target], banks)
        weight = torch.tensor([float(t is not None) for t in targets], device=self.device)
        truth_t, boxes_t = torch.from_numpy(truth).to(self.device), torch.from_numpy(boxes).to(self.device)
        parts = {f"mask{name}": self._layers(image, answer.states, fine, truth_t, boxes_t, weight)}
        there = torch.tensor([float(bool(a.answers)) for a in flat], device=self.device)
        counted = torch.tensor([float(a.counted) for a in flat], device=self.device)
        logits = self.model.decoder.presence_logits(answer.states[-1]).flatten().float()
        presence = F.binary_cross_entropy_with_logits(logits, there, reduction="none")
        parts[f"presence{name}"] = PRESENCE_WEIGHT * (presence * counted).sum() / counted.sum().clamp(min=1)
        embedding = answer.embedding.flatten(0, 1)
        for (_, bank), wanted in zip(banks, torch.from_numpy(labels).to(self.device)):
            if (wanted >= 0).any():
                loss = F.cross_entropy(class_logits(embedding, bank, scale), wanted, ignore_index=-1)
                parts[f"label{name}_{len(bank) == len(banks[0][0])}"] = loss
        return parts

    @torch.no_grad()
    def _nearest_answers(self, scenes: list[Scene], asks: list[Ask], fine: Tensor) -> list[int | None]:
        """The one right answer that each prediction is held against: the one it overlaps most."""
        out: list[int | None] = []
        for k, ask in enumerate(asks):
            if not ask.counted or not ask.answers:
                out.append(None)
            elif len(ask.answers) == 1:
                out.append(ask.answers[0])
            else:
                p = fine[k].float().sigmoid().cpu().numpy()
                ids = scenes[ask.frame // 2].clip.ids[ask.frame % 2][::2, ::2]
                ids = ids if ids.shape == p.shape else cv2.resize(ids, p.shape[::-1], interpolation=cv2.INTER_NEAREST)
                overlap = [2 * p[ids == i].sum() / (p.sum() + (ids == i).sum() + 1e-3) for i in ask.answers]
                out.append(ask.answers[int(np.argmax(overlap))])
        return out

    def _objects(
        self, image: ImageTensors, scenes: list[Scene], banks: list[tuple[tuple[str, ...], Tensor]], scale: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of the object queries, and their class embeddings [N, Q, D]."""
        decoder = self.model.decoder
        states = decoder.decode_objects(image)
        last = states[-1]
        assert last.box is not None, "only models with boxes are trained"
        embedding = (last.hidden @ decoder.class_embed)[:, 0]
        logits = [class_logits(embedding, bank, scale) for _, bank in banks]
        coarse = decoder.masks(last, image.level_masks[2])[:, 0].flatten(2)
        picks, truth, boxes = [], [], []
        wanted = [torch.full(x.shape[:2], x.shape[2] - 1, dtype=torch.int64) for x in logits]
        for n in range(len(embedding)):
            scene, f = scenes[n // 2], n % 2
            ids = scene.visible[f]
            named = any(t.shape for t in scene.things.values())
            if not named:  # cut-outs: what they are is unknown, so the class says nothing
                wanted[0][n], wanted[1][n] = -1, -1
            if scene.clip.exhaustive_for is not None:  # unlabelled things are not "nothing": only finds are named
                wanted[0][n], wanted[1][n] = -1, -1
            if not ids:
                continue
            places = np.stack([normalised_box(scene.mask(f, i)) for i in ids])
            masks = np.stack([halved(scene.mask(f, i)) for i in ids])
            labels = np.stack([label_of(scene.things[i], banks) for i in ids], 1)
            small = F.avg_pool2d(torch.from_numpy(masks)[:, None], 4).flatten(1).to(self.device)
            queries, targets = match(
                coarse[n],
                logits[0][n].log_softmax(-1),
                last.box[n, 0],
                small,
                torch.from_numpy(labels[0]).to(self.device),
                torch.from_numpy(places).to(self.device),
            )
            for b in range(2):
                wanted[b][n, queries] = torch.from_numpy(labels[b][targets])
            picks += [(n, 0, int(q)) for q in queries]
            truth.append(masks[targets])
            boxes.append(places[targets])
        parts: dict[str, Tensor] = {}
        for b, (x, y) in enumerate(zip(logits, wanted)):
            weights = torch.ones(x.shape[2], device=self.device)
            weights[-1] = VOID_WEIGHT
            if (y >= 0).any():
                parts[f"class_{b}"] = NAME_WEIGHT * F.cross_entropy(
                    x.flatten(0, 1), y.flatten().to(self.device), weights, ignore_index=-1
                )
        if picks:
            pick = torch.tensor(picks, device=self.device).T
            chosen = QueryState(
                last.hidden[pick[0], :, pick[2]][:, :1],
                last.mask_embedding[pick[0], :, pick[2]][:, :1],
                last.box[pick[0], :, pick[2]][:, :1],
            )
            fine_all = self._fine_of(chosen, pick[0], image)
            truth_t = torch.from_numpy(np.concatenate(truth)).to(self.device)
            boxes_t = torch.from_numpy(np.concatenate(boxes)).to(self.device)
            ones = torch.ones(len(picks), device=self.device)
            parts["objects"] = self._layers(image, states, fine_all, truth_t, boxes_t, ones, pick)
        return parts, embedding

    def _fine_of(self, chosen: QueryState, frames: Tensor, image: ImageTensors) -> Tensor:
        """Finest mask logits [M, hm, wm] of M queries, each on its own frame: one padded batch over the frames."""
        n = len(image.sources[0])
        counts = torch.bincount(frames, minlength=n)
        slots = int(counts.max())
        where = torch.arange(len(frames), device=frames.device) - (counts.cumsum(0) - counts)[frames]

        def spread(x: Tensor) -> Tensor:
            out = x.new_zeros(n * slots, *x.shape[2:])
            return out.index_copy(0, frames * slots + where, x[:, 0]).reshape(n, slots, 1, *x.shape[2:])

        state = QueryState(spread(chosen.hidden), spread(chosen.mask_embedding), spread(chosen.box).clamp(min=1e-3))
        return self.model.decoder.fine_masks(state, image)[frames, where, 0]

    def _dense(
        self, image: ImageTensors, scenes: list[Scene], banks: list[tuple[tuple[str, ...], Tensor]]
    ) -> dict[str, Tensor]:
        """Cross entropy of every stride-8 pixel's embedding against the class names, objects weighted up."""
        dense = image.dense
        assert dense is not None, "only models with a prior are trained"
        h8, w8 = dense.shape[1:3]
        parts = {}
        for b, (_names, bank) in enumerate(banks):
            labels = np.full((len(dense), h8, w8), -1, np.int64)
            weights = np.zeros((len(dense), h8, w8), np.float32)
            for n in range(len(labels)):
                scene = scenes[n // 2]
                ids = scene.clip.ids[n % 2][4::8, 4::8]
                for i, thing in scene.things.items():
                    index = label_of(thing, banks)[b]
                    inside = ids == i
                    if index >= 0 and inside.any():
                        labels[n][inside] = index
                        weights[n][inside] = (
                            1.0 / np.sqrt(inside.sum()) if thing.isthing else 0.3 / np.sqrt(inside.sum())
                        )
            target = torch.from_numpy(labels).to(self.device).flatten()
            weight = torch.from_numpy(weights).to(self.device).flatten()
            logits = self.model.decoder.prior.dense_scale.exp() * dense.flatten(0, 2).float() @ bank.T
            loss = F.cross_entropy(logits, target, ignore_index=-1, reduction="none")
            parts[f"dense_{b}"] = DENSE_WEIGHT * (loss * weight).sum() / weight.sum().clamp(min=1e-3)
        return parts
