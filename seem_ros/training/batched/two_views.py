# SPDX-License-Identifier: Apache-2.0
"""Two views of every scene of a batch, made on the device: crops, turns, light, and things pasted over the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.training.batched.overlays import FIRST_PASTED, LAYERS, Layer, Overlays, Print, SourceMix, Tone
from seem_ros.training.batched.picture_store import CANVAS, NamedObject, PackedPictures, to_device

LEAST_LIKE_PX = 20  # of a thing whose colour another one takes


@dataclass
class ViewBatch:
    """Frames 2 b and 2 b + 1 are the two views of scene b.

    Attributes:
        rgb: [N, 3, H, W] float in 0..255.
        ids: [N, H, W] uint8; gids: [N, H, W] uint8, ids of groups.
        counts: [N, 2, 256] int32 pixels per id, of ids and gids, in page-locked memory; `ready` says when.
        base: picture index of every scene; pasted: per scene id -> what was pasted.
    """

    rgb: Tensor
    ids: Tensor
    gids: Tensor
    counts: Tensor
    ready: torch.cuda.Event | None
    base: np.ndarray
    pasted: list[dict[int, NamedObject]]


class ViewSampler:
    """Draws batches of scenes from a store."""

    def __init__(self, store: PackedPictures, mix: SourceMix, height: int, width: int, device: torch.device) -> None:
        self.store, self.mix, self.h, self.w, self.device = store, mix, height, width, device
        self.sources = [s for s in store.by_source if mix.weights.get(s, 0) > 0]
        share = np.array([mix.weights[s] for s in self.sources], np.float64)
        self.share = share / share.sum()
        self.overlays = Overlays(store, mix, height, width)

    # ---- drawing -----------------------------------------------------------------------------------------------
    def _maps(self, rng: np.random.Generator, index: int, partner: int) -> tuple[np.ndarray, np.ndarray]:
        """Output pixel -> source pixel, [2, 2, 3] for the two views, and the content's rectangle [2, 2] (h, w)."""
        store, h, w = self.store, self.h, self.w
        sh, sw = store.hw[index]
        simulated = store.pictures[index].clip is not None
        quarter = int(rng.integers(1, 4)) if rng.random() < self.mix.turned else 0
        flip = -1.0 if rng.random() < 0.5 else 1.0
        th, tw = (sw, sh) if quarter % 2 else (sh, sw)
        whole = rng.random() < self.mix.whole
        angle = quarter * math.pi / 2
        out = np.empty((2, 2, 3))
        if whole:
            scale = min(w / tw, h / th)
            centre_out = np.array([tw * scale / 2, th * scale / 2])
            centre = np.array([sw / 2, sh / 2])
        else:
            scale = max(w / tw, h / th) * math.exp(rng.uniform(0, math.log(2.4)))
            if rng.random() < 0.3:
                scale = min(w / tw, h / th) * math.exp(rng.uniform(0, math.log(1.6)))
            angle += rng.normal(0, 0.12)
            centre_out = np.array([w / 2, h / 2])
            own = self.overlays.objects_of.get(index)
            if own and rng.random() < 0.75:
                row = store.boxes[own[rng.integers(len(own))]]
                centre = np.array([(row[2] + row[4]) / 2, (row[3] + row[5]) / 2]) + rng.normal(0, 0.08, 2) * (sw, sh)
            else:
                centre = np.array([sw / 2, sh / 2]) + rng.normal(0, 0.12, 2) * (sw, sh)
            half = np.array([w, h]) / scale / 2
            half = half[::-1] if quarter % 2 else half
            low, high = np.minimum(half, (sw / 2, sh / 2)), np.maximum((sw, sh) - half, (sw / 2, sh / 2))
            centre = np.clip(centre, low, high)
        for view in range(2):
            s, a, c = scale, angle, centre
            if view and not (simulated and rng.random() < 0.5):
                s = s * math.exp(rng.normal(0, 0.12))
                a = a + rng.normal(0, 0.1)
                c = c + rng.normal(0, 0.05, 2) * (sw, sh)
            cos, sin = math.cos(a) / s, math.sin(a) / s
            linear = np.array([[cos * flip, sin], [-sin * flip, cos]])
            out[view, :, :2] = linear
            out[view, :, 2] = c - linear @ centre_out
        hw = np.array([store.hw[index], store.hw[partner]], np.float64)
        return out, hw

    def _even(self, rng: np.random.Generator, index: int) -> np.ndarray | None:
        """Colour [3] of an even ground in place of a texture, mostly near white; None = the picture as it is."""
        if self.store.pictures[index].source != "texture" or rng.random() >= self.mix.plain:
            return None
        kind = rng.random()
        if kind < 0.65:
            return rng.uniform(215, 255) - rng.uniform(0, 8, 3)
        return rng.uniform(2, 40, 3) if kind < 0.75 else rng.uniform(2, 255, 3)

    def draw(self, scenes: int, rng: np.random.Generator) -> ViewBatch:
        """Makes a batch; nothing here waits for the device."""
        store, device = self.store, self.device
        base, partner = np.empty(scenes, np.int64), np.empty(scenes, np.int64)
        maps, sizes = np.empty((scenes, 2, 2, 3)), np.empty((scenes, 2, 2))
        layers: list[list[Layer]] = []
        prints: list[list[Print]] = []
        tones: list[list[Tone]] = []
        pasted: list[dict[int, NamedObject]] = []
        grounds = np.full((scenes, 3), -1.0)
        for b, s in enumerate(rng.choice(len(self.sources), scenes, p=self.share)):
            members = store.by_source[self.sources[s]]
            i = members[rng.integers(len(members))]
            others = store.pictures[i].partners
            j = others[rng.integers(len(others))] if others else i
            base[b], partner[b] = i, j
            maps[b], sizes[b] = self._maps(rng, i, j)
            ground = self._even(rng, i)
            if ground is not None:
                grounds[b] = ground
            layers.append(self.overlays.pastes(rng, i, ground is not None) + self.overlays.neighbours(rng, i, maps[b]))
            del layers[-1][LAYERS:]
            prints.append(self.overlays.prints(rng, i, maps[b], layers[-1]))
            tones.append(self.overlays.tones(rng, i, maps[b], layers[-1]))
            of_layer = (store.pictures[one.row[0]].objects[one.row[1]] for one in layers[-1])
            pasted.append({FIRST_PASTED + k: thing for k, thing in enumerate(of_layer)})
        index = to_device(np.stack((base, partner), 1).ravel(), device)
        rgb, ids = self._sample(
            index,
            to_device(maps.reshape(-1, 2, 3).astype(np.float32), device),
            to_device(sizes.reshape(-1, 2).astype(np.float32), device),
        )
        ground = to_device(grounds.astype(np.float32), device).repeat_interleave(2, 0)[:, :, None, None]
        rgb = torch.where(ground >= 0, ground.expand_as(rgb), rgb)
        most = max(len(x) for x in layers)
        for k in range(most):
            who = [b for b in range(scenes) if len(layers[b]) > k]
            frames, alpha = self._lay(rgb, ids, who, [layers[b][k] for b in who])
            ids[frames] = torch.where(alpha > 0.5, torch.full_like(ids[frames], FIRST_PASTED + k), ids[frames])
        for b, some in enumerate(tones):
            for tone in some:
                self._paint(rgb[2 * b : 2 * b + 2], ids[2 * b : 2 * b + 2], tone)
        for k in range(max(map(len, prints))):
            who = [b for b in range(scenes) if len(prints[b]) > k]
            things = np.array([prints[b][k].thing for b in who for _ in range(2)], np.uint8)
            on = ids[[2 * b + v for b in who for v in range(2)]] == to_device(things, device)[:, None, None]
            self._lay(rgb, ids, who, [prints[b][k].mark for b in who], on)
        table = self.store.group_of[index]
        gids = table.gather(1, ids.flatten(1).long()).reshape(ids.shape)
        mild = np.array([store.pictures[i].clip is not None for i in base], np.float32)
        rgb = self._light(rgb, scenes, to_device(mild, device).repeat_interleave(2)[:, None, None, None])
        n = len(ids)
        # Every fourth pixel is enough to know what is visible.
        offset = torch.arange(n, device=device)[:, None] * 256
        counts = torch.stack(
            [
                torch.bincount((m[:, ::2, ::2].flatten(1).long() + offset).flatten(), minlength=n * 256).reshape(n, 256)
                for m in (ids, gids)
            ],
            1,
        )
        counts = (4 * counts).to(torch.int32)
        ready = None
        if device.type == "cuda":
            host = torch.empty(counts.shape, dtype=counts.dtype, pin_memory=True)
            host.copy_(counts, non_blocking=True)
            ready = torch.cuda.Event()
            ready.record()
            counts = host
        return ViewBatch(rgb, ids, gids, counts, ready, base, pasted)

    # ---- on the device -----------------------------------------------------------------------------------------
    def _grid(self, maps: Tensor) -> Tensor:
        """[M, 2, 3] output -> source pixels, to normalised sampling positions [M, H, W, 2]."""
        y = torch.arange(self.h, device=maps.device, dtype=torch.float32) + 0.5
        x = torch.arange(self.w, device=maps.device, dtype=torch.float32) + 0.5
        across = maps[:, :, 0, None, None] * x[None, None, None, :]
        down = maps[:, :, 1, None, None] * y[None, None, :, None]
        return ((across + down + maps[:, :, 2, None, None]) * (2 / CANVAS) - 1).permute(0, 2, 3, 1)

    def _sample(self, index: Tensor, maps: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        grid = self._grid(maps)
        inside = (grid + 1) * (CANVAS / 2)
        content = (
            (inside >= 0).all(-1)
            & (inside[..., 0] <= sizes[:, 1, None, None])
            & (inside[..., 1] <= sizes[:, 0, None, None])
        )
        rgb, ids = self.store.gather(index)
        rgb = F.grid_sample(rgb.float(), grid, padding_mode="border", align_corners=False)
        ids = F.grid_sample(ids[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0]
        return rgb * content[:, None], (ids * content).round().to(torch.uint8)

    def _lay(
        self, rgb: Tensor, ids: Tensor, who: list[int], layer: list[Layer], on: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Lays one thing over each of some scenes, in place.

        Args:
            rgb, ids: of all frames; who: the scenes; layer: what is laid on each.
            on: bool [M, H, W], pixels of their frames that may be covered; None = all.

        Returns:
            The scenes' frames [M], and how much of each pixel is covered [M, H, W].
        """
        device = rgb.device
        frames = to_device(np.array([2 * b + v for b in who for v in range(2)]), device)
        picture = to_device(np.array([one.row[0] for one in layer for _ in range(2)], np.int64), device)
        wanted = to_device(np.array([one.row[1] for one in layer for _ in range(2)], np.uint8), device)
        maps = to_device(np.concatenate([one.maps for one in layer]).astype(np.float32), device)
        light = to_device(np.array([[one.light] * 3 for one in layer for _ in range(2)], np.float32), device)
        source, label = self.store.gather(picture)
        mask = (label == wanted[:, None, None])[:, None].float()
        got = F.grid_sample(torch.cat((source.float(), mask), 1), self._grid(maps), align_corners=False)
        alpha = got[:, 3:] if on is None else got[:, 3:] * on[:, None]
        below = rgb[frames]
        if any(one.like for one in layer):
            like = to_device(np.array([one.like for one in layer for _ in range(2)], np.uint8), device)
            light = light * self._towards(got, below, (ids[frames] == like[:, None, None]) & (like > 0)[:, None, None])
        rgb[frames] = below * (1 - alpha) + (got[:, :3] * light[:, :, None, None]).clamp(max=255) * alpha
        return frames, alpha[:, 0]

    def _towards(self, got: Tensor, below: Tensor, like: Tensor) -> Tensor:
        """Gain [M, 3] that gives things the mean colour of what is seen of others; 1 where too little is.

        Args:
            got: [M, 4, H, W], the things and how much of each pixel they cover.
            below: [M, 3, H, W]; like: bool [M, H, W], the others.
        """
        share, other = got[:, 3:], like[:, None].float()
        own = (got[:, :3] * share).sum((2, 3)) / share.sum((2, 3)).clamp(min=1)
        wanted = (below * other).sum((2, 3)) / other.sum((2, 3)).clamp(min=1)
        gain = ((wanted + 8) / (own + 8)).clamp(0.25, 4)  # 8 of 255: black has no colour to divide by
        return torch.where(other.sum((2, 3)) >= LEAST_LIKE_PX, gain, torch.ones_like(gain))

    def _paint(self, rgb: Tensor, ids: Tensor, tone: Tone) -> None:
        """Gives one side of a thing another colour, with its own shading, in both views of a scene, in place."""
        y = torch.arange(self.h, device=rgb.device, dtype=torch.float32)[:, None] + 0.5
        x = torch.arange(self.w, device=rgb.device, dtype=torch.float32)[None] + 0.5
        across, down, at = (float_column[:, None, None] for float_column in to_device(tone.line, rgb.device).T)
        side = ((across * x + down * y + at > 0) & (ids == tone.thing))[:, None]
        paint = to_device(tone.colour, rgb.device)[None, :, None, None]
        painted = (rgb.mean(1, keepdim=True) * paint).clamp(max=255)
        rgb.copy_(torch.where(side, painted, rgb))

    def _light(self, rgb: Tensor, scenes: int, mild: Tensor) -> Tensor:
        """Light, colour, blur and noise; `mild` [N, 1, 1, 1] is 1 where colours have names that must stay true."""
        n, device = len(rgb), rgb.device
        strength = 1 - 0.5 * mild

        def both(low: float, high: float, *shape: int, own: float = 0.35) -> Tensor:
            """Uniform per scene, and a smaller change per view."""
            middle, half = (low + high) / 2, (high - low) / 2
            scene = torch.rand(scenes, 1, *shape, device=device).expand(scenes, 2, *shape).reshape(n, *shape)
            view = torch.rand(n, *shape, device=device)
            return middle + half * ((2 * scene - 1) * (1 - own) + (2 * view - 1) * own)

        plain = (torch.rand(n, 1, 1, 1, device=device) < 0.2).float()
        x = rgb / 255
        content = (rgb.amax(1, keepdim=True) > 0).float()
        gamma = torch.exp(strength * both(-0.35, 0.35, 1, 1, 1))
        gain = torch.exp(strength * (both(-0.4, 0.28, 1, 1, 1) + both(-0.08, 0.08, 3, 1, 1)))
        contrast = 1 + strength * both(-0.25, 0.25, 1, 1, 1)
        y = x.clamp(min=1e-4) ** gamma * gain
        y = (y - 0.5) * contrast + 0.5
        grey = y.mean(1, keepdim=True)
        dull = 1 + strength * both(-0.4, 0.25, 1, 1, 1)
        y = grey + (y - grey) * dull
        y = torch.where(plain > 0, x, y)
        mono = (torch.rand(scenes, 1, 1, 1, 1, device=device) < self.mix.grey).expand(scenes, 2, 1, 1, 1)
        mono = mono.reshape(n, 1, 1, 1).float() * (1 - mild)
        y = y * (1 - mono) + y.mean(1, keepdim=True) * mono
        # Blur by one of a few kernels, drawn per view.
        sigma = torch.rand(n, device=device) * 1.1 + 0.3
        at = torch.arange(-3, 4, device=device).float()
        kernel = torch.exp(-(at[None] ** 2) / (2 * sigma[:, None] ** 2))
        kernel = kernel / kernel.sum(1, keepdim=True)
        still = torch.zeros(7, device=device)
        still[3] = 1
        kernel = torch.where((torch.rand(n, 1, device=device) < 0.25), kernel, still)
        for dim in (3, 2):  # shifted sums: a convolution with a kernel per picture is far slower
            rim = F.pad(y, (3, 3, 0, 0) if dim == 3 else (0, 0, 3, 3), mode="replicate")
            y = sum(kernel[:, t, None, None, None] * rim.narrow(dim, t, y.shape[dim]) for t in range(7))
        noise = torch.rand(n, 1, 1, 1, device=device).pow(2) * 0.04 * (torch.rand(n, 1, 1, 1, device=device) < 0.4)
        y = y + torch.randn_like(y) * noise
        return (y.clamp(0, 1) * content * 255).round()
