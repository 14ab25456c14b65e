# SPDX-License-Identifier: Apache-2.0
"""Small models with the official architecture, and a FocalNet-T variant with weights made from its key names."""

from __future__ import annotations

import pytest
import torch
from model_cases import HW, small_config

from seem_ros.model.checkpoints import deterministic_model
from seem_ros.model.query_decoder.tensors import ImageTensors
from seem_ros.model.seem import Seem


def _lively(model: Seem) -> Seem:
    """Random weights under which masks have both signs: fresh ones would give one flat mask to all queries."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                fan_in = parameter[0].numel()
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise if fan_in == 1 or "query" in name or "spatial_" in name else noise / fan_in**0.5)
    return model.requires_grad_(False).eval()


@pytest.fixture(scope="session")
def small() -> Seem:
    """Rules v0; use `with_rules` for the others."""
    torch.manual_seed(7)  # for the biases, which keep their initial values
    return _lively(Seem(small_config()))


@pytest.fixture(scope="session")
def pixels() -> torch.Tensor:
    """A picture with structure, [1, 3, 64, 96] normalised."""
    y, x = torch.meshgrid(torch.linspace(0, 7, HW[0]), torch.linspace(0, 9, HW[1]), indexing="ij")
    return torch.stack((torch.sin(x + y), torch.cos(2 * x - y), torch.sin(x * y / 4)))[None]


@pytest.fixture(scope="session")
def image(small: Seem, pixels: torch.Tensor) -> ImageTensors:
    """`pixels`, encoded."""
    with torch.inference_mode():
        return small.encode_image(pixels)


@pytest.fixture(scope="session")
def focalt() -> Seem:
    """focalt_v1 with deterministic weights (10 s, 0.7 GB); `with_rules` shares them."""
    return deterministic_model("focalt_v1")
