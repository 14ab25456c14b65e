# SPDX-License-Identifier: Apache-2.0
"""Parts that exist only in some variants, against torch's own operators."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from seem_ros.errors import ModelError
from seem_ros.model.backbones import build_backbone
from seem_ros.model.config import BackboneConfig, PixelDecoderConfig
from seem_ros.model.pixel_decoder.deformable import DeformableAttention, bilinear_corners
from seem_ros.model.pixel_decoder.factory import build_pixel_decoder
from seem_ros.model.position import sine_position


def test_reading_by_gathers_equals_grid_sample_outside_included():
    values = torch.randn(2, 3, 5, 7)
    x, y = torch.rand(2, 40) * 11 - 2, torch.rand(2, 40) * 9 - 2
    grid = torch.stack(((x + 0.5) / 7 * 2 - 1, (y + 0.5) / 5 * 2 - 1), -1)[:, None]
    want = F.grid_sample(values, grid, padding_mode="zeros", align_corners=False)[:, :, 0].transpose(1, 2)
    places, shares = bilinear_corners(x, y, 5, 7)
    read = torch.stack([table[rows] for table, rows in zip(values.flatten(2).transpose(1, 2), places.long())])
    torch.testing.assert_close((read * shares[..., None]).sum(-2), want, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_deformable_attention_keeps_pictures_of_a_batch_apart():
    attention = DeformableAttention(16, 2)
    torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.3)
    sizes = [(2, 3), (4, 6), (8, 12)]
    query, source, centres = torch.randn(3, 126, 16), torch.randn(3, 126, 16), torch.rand(126, 2)
    alone = [attention(query[i : i + 1], source[i : i + 1], centres, sizes) for i in range(3)]
    torch.testing.assert_close(attention(query, source, centres, sizes), torch.cat(alone), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_deformable_attention_weighs_levels_and_points_jointly():
    attention = DeformableAttention(16, 2)
    torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.3)
    torch.nn.init.normal_(attention.attention_weights.weight)
    sizes = [(2, 3), (4, 6), (8, 12)]
    total = sum(h * w for h, w in sizes)
    query, source, centres = torch.randn(1, total, 16), torch.randn(1, total, 16), torch.rand(total, 2)
    out = torch.zeros(1, total, 2, 8)
    values = attention.value_proj(source).reshape(1, total, 2, 8).split([h * w for h, w in sizes], 1)
    offsets = attention.sampling_offsets(query).reshape(total, 2, 3, 4, 2)
    weights = attention.attention_weights(query).reshape(total, 2, 12).softmax(-1).reshape(total, 2, 3, 4)
    for level, (h, w) in enumerate(sizes):
        for head in range(2):
            maps = values[level][:, :, head].transpose(1, 2).reshape(1, 8, h, w)
            where = centres[:, None] + offsets[:, head, level] / torch.tensor([w, h])
            read = F.grid_sample(maps, (where * 2 - 1)[None], align_corners=False)[0]
            out[0, :, head] += (read * weights[:, head, level]).sum(-1).T
    want = attention.output_proj(out.flatten(2))
    torch.testing.assert_close(attention(query, source, centres, sizes), want, atol=1e-5, rtol=1e-4)


def test_the_sine_position_is_detrs_with_y_before_x():
    position = sine_position(4, 5, 8)[0]
    y = 2 / (4 + 1e-6) * 2 * math.pi
    x = 5 / (5 + 1e-6) * 2 * math.pi
    at = position[:, 1, 4]
    want = [
        math.sin(y),
        math.cos(y),
        math.sin(y / 100),
        math.cos(y / 100),
        math.sin(x),
        math.cos(x),
        math.sin(x / 100),
        math.cos(x / 100),
    ]
    torch.testing.assert_close(at, torch.tensor(want), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["focal_dw", "focal"])
def test_both_forms_of_focalnet_give_maps_at_strides_4_8_16_32(kind):
    backbone = build_backbone(BackboneConfig(kind, (8, 16, 24, 32), (1, 1, 2, 1))).eval()
    maps, fine = backbone(torch.randn(2, 3, 64, 96))
    assert fine is None
    assert [tuple(m.shape) for m in maps] == [(2, c, 64 // s, 96 // s) for c, s in zip((8, 16, 24, 32), (4, 8, 16, 32))]
    padding = backbone.patch_embed.proj.padding
    assert padding == ((3, 3) if kind == "focal_dw" else (2, 2))


@torch.no_grad()
def test_the_large_focalnet_equals_timms():
    from timm.models.focalnet import FocalNet as Timm

    ours = build_backbone(BackboneConfig("focal", (8, 16, 32, 64), (1, 1, 2, 1))).eval()
    theirs = Timm(
        num_classes=0,
        global_pool="",
        embed_dim=8,
        depths=(1, 1, 2, 1),
        focal_levels=(4,) * 4,
        focal_windows=(3,) * 4,
        use_overlap_down=True,
        use_post_norm=True,
        normalize_modulator=True,
        layerscale_value=1e-4,
    ).eval()
    state = {}
    for name, value in ours.state_dict().items():
        if name.startswith("norm"):
            continue
        name = name.replace("patch_embed.", "stem.").replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma")
        name = name.replace(".norm1.", ".norm1_post.").replace(".norm2.", ".norm2_post.")
        if ".downsample." in name:
            stage = int(name.split(".")[1])
            name = name.replace(f"layers.{stage}.", f"layers.{stage + 1}.")
        linear = name.endswith(("f.weight", "proj.weight", "fc1.weight", "fc2.weight")) and value.dim() == 2
        state[name] = value[:, :, None, None] if linear else value
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and all(name.startswith(("norm.", "head.")) for name in missing)
    pixels = torch.randn(1, 3, 64, 64)
    x = theirs.stem(pixels)
    for i, layer in enumerate(theirs.layers):
        x = layer(x)
        want = F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],)).permute(0, 3, 1, 2)
        torch.testing.assert_close(ours(pixels)[0][i], want, atol=2e-5, rtol=1e-4)


def test_sam_vit_refuses_any_size_but_its_own():
    config = BackboneConfig("sam_vit", (8, 16, 24, 32), (1,), heads=(2,), trunk_dim=16, global_blocks=(0,))
    with pytest.raises(ModelError, match="1024x1024"):
        build_backbone(config)(torch.zeros(1, 3, 512, 512))


def test_the_deformable_decoder_gives_levels_from_coarse_to_fine():
    backbone = build_backbone(BackboneConfig("focal_dw", (8, 16, 24, 32), (1, 1, 1, 1)))
    decoder = build_pixel_decoder(backbone, PixelDecoderConfig(kind="deform", dim=32, mask_dim=32, layers=1, heads=4))
    levels, features, fine = decoder(*backbone(torch.randn(1, 3, 64, 64)))
    assert [tuple(level.shape[2:]) for level in levels] == [(2, 2), (4, 4), (8, 8)]
    assert features.shape == (1, 32, 16, 16) and fine is None
    assert decoder.transformer.encoder.layers[0].linear1.out_features == 1024


def test_unknown_kinds_are_refused():
    with pytest.raises(ModelError, match="focal_dw, focal, davit"):
        build_backbone(BackboneConfig("vgg"))
    with pytest.raises(ModelError, match="fpn and deform"):
        build_pixel_decoder(build_backbone(BackboneConfig()), PixelDecoderConfig(kind="unet"))
