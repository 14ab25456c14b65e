# SPDX-License-Identifier: Apache-2.0
"""Corrects a prompt's mask near what the user pointed at (not part of the official SEEM).

A query's mask is one vector multiplied with the picture's mask features: it says the same thing everywhere, so a second
click can move the mask only by changing that vector. This small convolutional head sees, at stride 4, the mask as it
is, where the clicks, the box and the previous mask are, and the picture's features as the query reads them, and adds a
correction. Clicks as maps follow RITM (Sofiiuk et al. 2022, section 3), reading features through a query's
scale and shift follows FiLM (Perez et al. 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seem_ros.model.codes import PriorKind
from seem_ros.model.layers import DepthwiseFilters, SeparableConv, traced
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors

# Mask, mask probability, near and far positive points, near and far negative points, box, previous mask.
MAPS = 8
# A click is felt within about 6 (near) and 24 (far) network pixels: what a 3x3 convolution sees of it at stride 4, and
# at stride 16.
NEAR_CELLS, FAR_CELLS = 1.5, 6.0

# Far from a point its Gaussian is nothing; lower exponents make denormal numbers, with which CPUs are slow.
LEAST_EXPONENT = -40.0


class MaskRefiner(nn.Module):
    """Adds a correction [N, P, h, w] to coarse mask logits."""

    def __init__(self, dim: int, mask_dim: int, width: int, depthwise: int = 0) -> None:
        """Makes an untrained head, whose correction is zero.

        Args:
            dim: channels of a query.
            mask_dim: channels of the mask features.
            width: channels inside.
            depthwise: depthwise filters per channel in place of full convolutions at strides 4 and 8, 0 = none; those
                on the features are the same for all prompts and made once.
        """
        super().__init__()
        self.lateral = nn.Conv2d(mask_dim, width, 1)
        self.film = nn.Linear(dim, 2 * width)
        self.depthwise = depthwise

        def convolution(filters: int) -> nn.Module:
            return SeparableConv(width, width, filters) if filters else nn.Conv2d(width, width, 3, padding=1)

        if depthwise:
            self.spread = DepthwiseFilters(width, depthwise)
            self.mix = nn.Parameter(torch.empty(width, depthwise * width))
            nn.init.trunc_normal_(self.mix, std=(depthwise * width) ** -0.5)
        self.enter = nn.Conv2d(MAPS if depthwise else width + MAPS, width, 3, padding=1)
        self.at_8 = convolution(depthwise)
        self.at_16 = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.join_8 = convolution(depthwise)
        self.leave = convolution(min(depthwise, 1))  # trained full kernels of it are nearly of rank one
        self.delta = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.delta.weight)
        nn.init.zeros_(self.delta.bias)

    def picture(self, mask_features: Tensor) -> Tensor:
        """What the head reads of a picture, the same for all prompts.

        Args:
            mask_features: [N, Cm, h, w].

        Returns:
            [N, channels, h, w].
        """
        lateral = self.lateral(mask_features)
        if not self.depthwise:
            return lateral
        return torch.cat((self.spread(lateral), torch.ones_like(lateral[:, :1])), 1)

    def forward(self, coarse: Tensor, hidden: Tensor, picture: Tensor, prompts: PromptTensors) -> Tensor:
        """Computes the correction.

        Args:
            coarse: [N, P, h, w] mask logits at stride 4.
            hidden: [N, P, C] the winning queries.
            picture: of `picture`.
            prompts: N x P prompts; their points, boxes and previous masks are read.

        Returns:
            [N, P, h, w] to be added to the logits.
        """
        n, p, h, w = coarse.shape
        y = self._entered(hidden, picture, self._maps(coarse, prompts)).relu()
        # Coarser maps see farther; dilated convolutions would too, but torch's half-precision gradients of them are
        # wrong on some CPUs.
        half = self.at_8(_halved(y)).relu()
        quarter = _halved(half)
        for layer in self.at_16:
            quarter = layer(quarter).relu()
        half = self.join_8(half + _enlarged(quarter, half)).relu()
        y = y + _enlarged(half, y)
        return self.delta(self.leave(y).relu()).reshape(n, p, h, w)

    def _entered(self, hidden: Tensor, picture: Tensor, maps: Tensor) -> Tensor:
        """The first convolution, of the picture as each query reads it and the query's `maps` [N, P, MAPS, h, w]."""
        scale, shift = self.film(hidden).to(picture.dtype).chunk(2, 2)
        maps = maps.to(picture.dtype)
        if not self.depthwise:
            seen = picture[:, None] * (1 + scale)[..., None, None] + shift[..., None, None]
            return self.enter(torch.cat((seen, maps), 2).flatten(0, 1))
        # A query's scale commutes with depthwise filters: it goes into the weights that mix what they give. Its shift
        # is the weight of the channel of ones.
        weights = torch.cat((self.mix * (1 + scale).repeat(1, 1, self.depthwise)[:, :, None], shift[..., None]), 3)
        seen = (weights.flatten(1, 2) @ picture.flatten(2)).reshape(*maps.shape[:2], -1, *maps.shape[3:]).flatten(0, 1)
        if traced():  # in the layout of ONNX Runtime's convolutions, where it sums without a pass through memory more
            seen = F.conv2d(seen, torch.eye(seen.shape[1], dtype=seen.dtype, device=seen.device)[..., None, None])
        return seen + self.enter(maps.flatten(0, 1))

    def _maps(self, coarse: Tensor, prompts: PromptTensors) -> Tensor:
        """What the head sees besides features, [N, P, MAPS, h, w] float32."""
        h, w = coarse.shape[-2:]
        x = torch.arange(w, device=coarse.device, dtype=torch.float32)
        y = torch.arange(h, device=coarse.device, dtype=torch.float32)
        # The middle of cell c is at pixel 4 c + 1.5 of the network input, and points are pixel / W.
        dx = (x - (prompts.points_xy[..., 0] * w - 0.375)[..., None]) ** 2
        dy = (y - (prompts.points_xy[..., 1] * h - 0.375)[..., None]) ** 2
        # A sum of Gaussians is a product of two matrices; saturated, it hardly depends on how many points a click is
        # drawn with. Both signs and both widths at once: [N, P, sign, width, K, w or h].
        sign = prompts.points_label.new_tensor([1, -1])[:, None]
        used = (prompts.points_label[:, :, None] == sign).to(torch.float32)[:, :, :, None, :, None]
        sharpness = dx.new_tensor([-1 / (2 * cells**2) for cells in (NEAR_CELLS, FAR_CELLS)])[:, None, None]
        across, down = ((d[:, :, None, None] * sharpness).clamp(min=LEAST_EXPONENT).exp() for d in (dx, dy))
        down = down * used
        near = 1 - (-(down.transpose(-1, -2) @ across)).exp()
        cx, cy, bw, bh = prompts.prior_box.unbind(-1)
        margin_x = (bw[..., None] / 2 - ((x + 0.5) / w - cx[..., None]).abs()) * w
        margin_y = (bh[..., None] / 2 - ((y + 0.5) / h - cy[..., None]).abs()) * h
        inside = torch.minimum(margin_x[..., None, :], margin_y[..., :, None]).clamp(-1, 1)
        inside = inside * (prompts.prior_kind == PriorKind.BOX)[..., None, None].to(inside.dtype)
        previous = prompts.previous_mask.float().clamp(-6, 6) / 6
        previous = previous * prompts.has_previous[..., None, None].to(previous.dtype)
        logits = coarse.float()
        first = torch.stack(((logits / 8).clamp(-2, 2), logits.sigmoid()), 2)
        return torch.cat((first, near.flatten(2, 3), torch.stack((inside, previous), 2)), 2)


def _halved(x: Tensor) -> Tensor:
    """Means of 2x2 cells."""
    if traced():  # ONNX Runtime pools out of the layout of its convolutions and takes five times as long
        channels = x.shape[1]
        return F.conv2d(x, x.new_full((channels, 1, 2, 2), 0.25), stride=2, groups=channels)
    return F.avg_pool2d(x, 2)


def _enlarged(small: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(small, size=like.shape[-2:], mode="bilinear", align_corners=False)
