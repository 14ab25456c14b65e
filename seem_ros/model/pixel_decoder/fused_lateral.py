# SPDX-License-Identifier: Apache-2.0
"""One step of the feature pyramid without its two large maps: a convolution of (normed lateral + upsampled map).

The pyramid computes conv(norm(A x) + up(t)) with a 3 x 3 convolution of 512 channels, A a 1 x 1 convolution of the
backbone's few channels, `norm` a group norm and `up` the nearest upsampling by two. At stride 4 that is 91 GFLOP of 277
for a picture of 480x640. All but the norm's statistics is linear, so:

- norm(A x) = S A x + o with one scale and one offset per channel, which follow from the mean and the covariance of x;
- conv(S A x) is one convolution of x itself, with the composed kernel: 96 channels in place of 512;
- o has no place dependence: it is added to t, whose upsampling then carries it, borders included;
- conv(up(t)) looks, from every second row and column, at only 2 x 2 different values of t: four 2 x 2 convolutions
  at half the size, whose kernels are sums of the 3 x 3 one's taps.

That leaves 57 GFLOP. Equal to the straightforward formulation up to rounding, borders included.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def worthwhile(lateral: Tensor, adapter: nn.Conv2d, convolution: nn.Conv2d) -> bool:
    """Whether `convolved_sum` can replace the step and costs clearly less."""
    size, channels = convolution.kernel_size[0], convolution.in_channels
    return (
        size == 3
        and adapter.kernel_size == (1, 1)
        and isinstance(adapter.norm, nn.GroupNorm)
        and lateral.shape[0] == 1
        and lateral.shape[1] + channels * 4 / 9 < 0.9 * channels
    )


def convolved_sum(lateral: Tensor, top: Tensor, adapter: nn.Conv2d, convolution: nn.Conv2d) -> Tensor:
    """conv(norm(adapter(lateral)) + upsampled(top)), see the module's docstring.

    Args:
        lateral: [1, Cx, 2 h, 2 w], fast when channels last.
        top: [1, C, h, w].
        adapter: 1 x 1, Cx -> C channels without bias, with its group norm as `norm`.
        convolution: 3 x 3, C -> C channels without bias, zero padding that keeps the size.

    Returns:
        [1, C, 2 h, 2 w] before the convolution's own norm.
    """
    scale, offset = _group_norm_of(lateral, adapter)
    taps = convolution.weight.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)  # [C, 3, 3, C]
    composed = taps.flatten(0, 2) @ (scale[:, None] * adapter.weight.flatten(1))
    out = F.conv2d(lateral, composed.unflatten(0, taps.shape[:3]).permute(0, 3, 1, 2), padding=1)
    top = top + offset[:, None, None]
    h, w = top.shape[-2:]
    for down in (0, 1):
        for right in (0, 1):
            kernel = _pairs(_pairs(taps, 1, down), 2, right).permute(0, 3, 1, 2)
            out[..., down::2, right::2] += F.conv2d(top, kernel, padding=1)[..., down : down + h, right : right + w]
    return out


def _pairs(taps: Tensor, axis: int, odd: int) -> Tensor:
    """Three taps along `axis` to the two that an upsampled map's even (or odd) places see."""
    first, middle, last = taps.unbind(axis)
    return torch.stack((first + middle, last) if odd else (first, middle + last), axis)


def _group_norm_of(x: Tensor, adapter: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Scale and offset [C] that `adapter.norm` applies to the channels of adapter(x), from x's first two moments."""
    norm, weight = adapter.norm, adapter.weight.flatten(1)
    pixels = x[0].flatten(1).T
    mean = pixels.mean(0)
    centred = pixels - mean
    covariance = centred.T @ centred / len(pixels)
    means = (weight @ mean).unflatten(0, (norm.num_groups, -1))
    variances = ((weight @ covariance) * weight).sum(1).unflatten(0, (norm.num_groups, -1))
    centre = means.mean(1)
    variance = variances.mean(1) + (means - centre[:, None]).square().mean(1)
    scale = norm.weight * (variance + norm.eps).rsqrt().repeat_interleave(means.shape[1])
    return scale, norm.bias - scale * centre.repeat_interleave(means.shape[1])
