# SPDX-License-Identifier: Apache-2.0
"""Masks without mask features: the pixel decoder's last convolution folded into what reads it.

Mask features F = W * y + b (a convolution of the stride-4 map y) are only ever read linearly: multiplied by a query's
mask embedding m, resized, or averaged over a prompt's points. All three commute with the convolution, so at 480x640
the 91 GFLOP of F at stride 4 need not be spent:

- a mask is m . F = (m . W) * y + m . b, a convolution with one output channel per wanted mask;
- F resized by 1/2, 1/4 or 1/8 (bilinear, `align_corners=False`) is the mean of the two by two central pixels of every
cell,
  so it is a convolution with stride 2, 4 or 8 of y box-filtered by 2 x 2: a third of the cost for all levels together;
- F's mean over points is W applied to the mean of y's patches at these points.

Equal to the straightforward formulation up to rounding, borders included.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def folded_masks(embedding: Tensor, source: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Mask logits of queries, without making the mask features.

    Args:
        embedding: [N, P, Q, Cm] mask embeddings.
        source: [N, Cy, h, w], what the convolution reads.
        convolution: Cy -> Cm channels, square odd kernel, stride 1, zero padding that keeps the size, with bias.

    Returns:
        [N, P, Q, h, w].
    """
    n, p, q, _ = embedding.shape
    h, w = source.shape[-2:]
    size = convolution.kernel_size[0]
    # Of two matrices: TensorRT-RTX 1.7.1 compiles no product of a matrix with what an outer product over taps made.
    # `einsum`, because the exporter keeps it in float32, as mask logits need.
    kernels = torch.einsum("npqc,ck->npqk", embedding, convolution.weight.permute(0, 2, 3, 1).flatten(1))
    # One matrix product for all taps, then shifted sums: unlike a convolution whose weights are an input, every
    # runtime can do this.
    taps = kernels.reshape(n, p * q * size * size, -1) @ source.flatten(2)
    taps = taps.reshape(n, p * q, size, size, h, w)
    half = size // 2
    out = torch.einsum("npqc,c->npq", embedding, convolution.bias).reshape(n, p * q, 1, 1).expand(-1, -1, h, w)
    for i in range(size):
        for j in range(size):
            up, left = i - half, j - half
            tap = taps[:, :, i, j, max(up, 0) : h + min(up, 0), max(left, 0) : w + min(left, 0)]
            out = out + F.pad(tap, (max(-left, 0), max(left, 0), max(-up, 0), max(up, 0)))
    return out.reshape(n, p, q, h, w)


def resized_features(source: Tensor, convolution: nn.Conv2d, factors: tuple[int, ...]) -> list[Tensor]:
    """Mask features bilinearly resized to 1 / factor, without making them at full size.

    Args:
        source: [N, Cy, h, w], h and w multiples of every factor.
        convolution: see `folded_masks`.
        factors: even numbers.

    Returns:
        [N, Cm, h / factor, w / factor] for each factor.
    """
    size = convolution.kernel_size[0]
    boxed = F.avg_pool2d(source, 2, 1, size // 2)  # zeros beyond the border count, as in the convolution
    kernel = convolution.weight.permute(2, 0, 3, 1).flatten(2)
    out = []
    for factor in factors:
        start, h, w = factor // 2 - 1, source.shape[2] // factor, source.shape[3] // factor
        if factor == 2:
            out.append(F.conv2d(boxed, convolution.weight, convolution.bias, stride=2))
            continue
        # Few places far apart: a matrix product of their patches is faster than a convolution with a large stride.
        total = convolution.bias
        for i in range(size):
            patches = torch.cat(
                [
                    boxed[..., start + i :: factor, start + j :: factor][..., :h, :w].permute(0, 2, 3, 1)
                    for j in range(size)
                ],
                3,
            )
            total = total + F.linear(patches, kernel[i])
        out.append(total.permute(0, 3, 1, 2))
    return out


def folded_means(source: Tensor, convolution: nn.Conv2d, points_xy: Tensor, share: Tensor) -> Tensor:
    """Weighted sums of mask features read at points (as `sampling.sample_points`), without making the features.

    Bilinear reading weights are products of a hat along x and a hat along y, so the sum over a prompt's points is one
    weight map A = hat_y^T hat_x; the patches' sums are A, shifted by every tap, times y.

    Args:
        source: [N, Cy, h, w].
        convolution: see `folded_masks`.
        points_xy: [N, P, K, 2] float32 (x, y) in 0..1.
        share: [N, P, K] weight of every point; 0 where there is none.

    Returns:
        [N, P, Cm].
    """
    h, w = source.shape[-2:]
    size = convolution.kernel_size[0]
    half = size // 2
    across = _hats(points_xy[..., 0], w)
    down = _hats(points_xy[..., 1], h) * share[..., None].float()
    weights = F.pad((down.transpose(-1, -2) @ across).to(source.dtype), (half, half, half, half))
    # The patch around (r, c) reads y at (r + i - half, c + j - half).
    shifted = [
        weights[..., size - 1 - i : size - 1 - i + h, size - 1 - j : size - 1 - j + w]
        for i in range(size)
        for j in range(size)
    ]
    patches = torch.stack(shifted, 2).flatten(3) @ source.flatten(2).transpose(1, 2)[:, None]
    kernel = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return patches.flatten(2) @ kernel + share.sum(2, keepdim=True).to(source.dtype) * convolution.bias


def _hats(position: Tensor, size: int) -> Tensor:
    """Bilinear weights [..., size] of normalised positions with `align_corners=True`."""
    at = position.clamp(0, 1)[..., None] * (size - 1)
    return (1 - (at - torch.arange(size, device=position.device)).abs()).clamp(min=0)
