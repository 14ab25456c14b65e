# SPDX-License-Identifier: Apache-2.0
"""Simulated prompts on the device: clicks, boxes, strokes and clicks on errors, for many masks at once.

Masks are bool [M, h, w] at stride 2 of the network input; points are network pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

STRIDE = 2
# Half sides of the squares that measure depth, in mask pixels: each about 1.6 times the one before.
_RADII = (1, 2, 3, 5, 8, 13, 21, 34)
# A click is a block of 3x3 pixels, middle first, so that few of its points still lie around its middle.
_BLOCK = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))


def depth(mask: Tensor) -> Tensor:
    """About how far inside every pixel is, in pixels of the mask; the picture's border counts as outside. [M, h, w].

    Squares of growing size around the pixel count as far as they are filled, by an integral image: an exact distance
    takes as many passes as the largest distance is long.
    """
    h, w = mask.shape[1:]
    total = F.pad(mask.float(), (1, 0, 1, 0)).cumsum(1).cumsum(2)
    y, x = torch.arange(h, device=mask.device), torch.arange(w, device=mask.device)
    out = mask.float()
    before = 0
    for r in _RADII:
        rows = total.index_select(1, (y + r + 1).clamp(max=h)) - total.index_select(1, (y - r).clamp(min=0))
        right, left = (x + r + 1).clamp(max=w), (x - r).clamp(min=0)
        filled = (rows.index_select(2, right) - rows.index_select(2, left)) / (2 * r + 1) ** 2
        out += (r - before) * (2 * filled - 1).clamp(min=0).square().square()
        before = r
    return out * mask


def argmax_xy(score: Tensor) -> Tensor:
    """[M, h, w] -> [M, 2] (x, y) in mask pixels."""
    w = score.shape[-1]
    flat = score.flatten(1).argmax(1)
    return torch.stack((flat % w, flat // w), 1)


def to_pixels(xy: Tensor) -> Tensor:
    """Mask pixels to one of the network pixels under them, [M, 2] float."""
    return xy.float() * STRIDE + torch.randint(0, STRIDE, xy.shape, device=xy.device)


def pick_clicks(mask: Tensor, deep: Tensor, middle: float = 0.5) -> Tensor:
    """A click in every mask: half of the time its middle, else a random pixel of its inside. [M, 2] network pixels."""
    noise = torch.rand(mask.shape, device=mask.device)
    score = torch.where(
        torch.rand(len(mask), 1, 1, device=mask.device) < middle,
        deep.float() + 0.4 * noise,
        noise + (deep > 1).float() + mask.float(),
    )
    return to_pixels(argmax_xy(score))


def boxes(mask: Tensor) -> Tensor:
    """[M, 4] x0, y0, x1, y1 in network pixels, one past the last; empty masks give the whole picture."""
    columns, rows = mask.any(1), mask.any(2)
    h, w = mask.shape[1:]
    x0, y0 = columns.float().argmax(1), rows.float().argmax(1)
    x1, y1 = w - columns.flip(1).float().argmax(1), h - rows.flip(1).float().argmax(1)
    return torch.stack((x0, y0, x1, y1), 1).float() * STRIDE


def jittered(box: Tensor, height: int, width: int) -> Tensor:
    """Half of the boxes off by up to 8 % of their size a side."""
    size = (box[:, 2:] - box[:, :2]).repeat(1, 2)
    off = (torch.rand_like(box) * 2 - 1) * 0.08 * size * (torch.rand(len(box), 1, device=box.device) < 0.5)
    out = box + off
    x0, y0 = out[:, 0].clamp(0, width - 2), out[:, 1].clamp(0, height - 2)
    x1, y1 = torch.maximum(out[:, 2].clamp(max=width), x0 + 2), torch.maximum(out[:, 3].clamp(max=height), y0 + 2)
    return torch.stack((x0, y0, x1, y1), 1)


def box_points(box: Tensor, count: int) -> Tensor:
    """Random points in boxes [M, count, 2], in raster order as the regions' are."""
    at = torch.rand(len(box), count, 2, device=box.device)
    at[..., 1] = at[..., 1].sort(1).values
    return (box[:, None, :2] + at * (box[:, None, 2:] - box[:, None, :2] - 1)).round()


def region_points(region: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Points spread evenly over regions in raster order: [M, count, 2] network pixels and validity [M, count]."""
    m, _, w = region.shape
    flat = region.flatten(1)
    total = flat.sum(1)
    steps = flat.float().cumsum(1)
    jitter = torch.rand(m, count, device=region.device)
    wanted = (torch.arange(count, device=region.device) + jitter) / count * total[:, None]
    index = torch.searchsorted(steps, wanted.clamp(min=0.5)).clamp(max=flat.shape[1] - 1)
    xy = torch.stack((index % w, index // w), -1)
    return to_pixels(xy), (total > 0)[:, None].expand(m, count)


def strokes(mask: Tensor, deep: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Points along lines through two to four inner points, kept where they stay inside: [M, count, 2], [M, count]."""
    corners = torch.stack([pick_clicks(mask, deep, 0.3) for _ in range(4)], 1)
    few = torch.randint(1, 4, (len(mask), 1), device=mask.device)
    along = (torch.rand(len(mask), count, device=mask.device) * few).clamp(max=2.999)
    leg = along.long()
    part = (along - leg)[..., None]
    start = corners.gather(1, leg[..., None].expand(-1, -1, 2))
    end = corners.gather(1, (leg + 1)[..., None].expand(-1, -1, 2))
    xy = (start * (1 - part) + end * part).round()
    at = (xy / STRIDE).long()
    inside = mask.flatten(1).gather(1, at[..., 1] * mask.shape[2] + at[..., 0])
    inside = inside | (torch.arange(count, device=mask.device) == 0)
    xy[:, 0] = corners[:, 0]
    return xy, inside


def error_clicks(truth: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The standard next click: the deepest pixel of the larger error.

    Returns:
        [M, 2] network pixels, [M] sign +1 or -1, [M] whether there is an error at all.
    """
    missed, wrong = depth(truth & ~predicted), depth(predicted & ~truth)
    best = torch.stack((missed.flatten(1).amax(1), wrong.flatten(1).amax(1)), 1)
    negative = best[:, 1] > best[:, 0]
    score = torch.where(negative[:, None, None], wrong, missed).float()
    score = score + 0.3 * torch.rand(score.shape, device=score.device)
    return to_pixels(argmax_xy(score)), torch.where(negative, -1, 1), best.amax(1) > 0


def near_outside(mask: Tensor) -> Tensor:
    """Pixels close around masks, not in them."""
    grown = F.avg_pool2d(mask.float()[:, None], 9, 1, 4)[:, 0] > 0
    return grown & ~mask


def resized(mask: Tensor, radius: Tensor, most: int = 2) -> Tensor:
    """Masks grown (radius > 0) or shrunk (< 0) by squares, one radius per mask; never empty by shrinking.

    Args:
        mask: [M, H, W] bool; what is outside of the picture is no mask.
        radius: [M] pixels, -2 to `most`.
        most: the largest radius; given, because reading it from `radius` would wait for the device.
    """
    grown = shrunk = mask.float()[:, None]
    out = mask
    for r in range(1, most + 1):
        grown = F.max_pool2d(grown, 3, 1, 1)
        out = torch.where((radius == r)[:, None, None], grown[:, 0] > 0, out)
    for r in (1, 2):
        shrunk = 1 - F.max_pool2d(F.pad(1 - shrunk, (1, 1, 1, 1), value=1.0), 3, 1)
        some = shrunk.flatten(1).any(1)[:, None, None]
        out = torch.where((radius == -r)[:, None, None] & some, shrunk[:, 0] > 0, out)
    return out


def click_points(xy: Tensor, sign: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """Clicks as points: each a 3x3 block, thinned so that each sign has half of the slots when both are there.

    Args:
        xy: [M, C, 2] network pixels; sign: [M, C] +1, -1 or 0 = unused.

    Returns:
        [M, slots, 2], labels [M, slots] (0 = unused), positive ones first.
    """
    block = torch.tensor(_BLOCK, device=xy.device, dtype=xy.dtype)
    positive, negative = (sign > 0).sum(1), (sign < 0).sum(1)
    room_p = torch.where(negative > 0, slots // 2, slots)
    room_n = torch.where(positive > 0, slots // 2, slots)
    each = torch.where(
        sign > 0, (room_p // positive.clamp(min=1))[:, None], (room_n // negative.clamp(min=1))[:, None]
    ).clamp(1, 9)
    points = (xy[:, :, None] + block).flatten(1, 2)
    used = (torch.arange(9, device=xy.device) < each[..., None]) & (sign != 0)[..., None]
    label = (sign[..., None] * used).flatten(1)
    # Positive first, then negative, unused last.
    key = torch.where(label > 0, 0, torch.where(label < 0, 1, 2))
    order = torch.argsort(key, dim=1, stable=True)[:, :slots]
    label = label.gather(1, order)
    points = points.gather(1, order[..., None].expand(-1, -1, 2))
    if points.shape[1] < slots:
        points = F.pad(points, (0, 0, 0, slots - points.shape[1]))
        label = F.pad(label, (0, slots - label.shape[1]))
    return points.clamp(min=0), label
