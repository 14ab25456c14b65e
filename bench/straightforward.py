# SPDX-License-Identifier: Apache-2.0
"""The decoders as the paper writes them, nothing reused: the yardstick for the exact speed-ups of `seem_ros.model`.

Same weights, same numbers up to rounding, other costs: every map of the feature pyramid and the mask features at
stride 4 by their own convolutions, the mask of every query at stride 4 after every layer and its resize for the next
one, keys and values of the picture in every layer of every call, all token positions of a text. Written only with
torch's own modules, apart from the model's code that it checks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.model.codes import SelectBy
from seem_ros.model.position import sine_position
from seem_ros.model.query_decoder.attention_rules import RULES
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
from seem_ros.model.seem import Seem


@dataclass
class Encoded:
    """A picture: three level maps [N, C, h, w] (strides 32, 16, 8) and mask features [N, Cm, H/4, W/4]."""

    levels: list[Tensor]
    mask_features: Tensor


def encode_image(model: Seem, pixels: Tensor) -> Encoded:
    """[1, 3, H, W] normalised -> everything a decoder call starts from."""
    maps, _ = model.backbone(pixels)
    decoder = model.pixel_decoder
    x = decoder.input_proj(maps[3])
    position = sine_position(*x.shape[2:], x.shape[1]).flatten(2).transpose(1, 2)
    tokens = x.flatten(2).transpose(1, 2)
    for layer in decoder.transformer.encoder.layers:
        tokens = layer(tokens, position)
    y = decoder.layer_4(tokens.transpose(1, 2).reshape(x.shape))
    levels = [y]
    for i, (adapter, layer) in enumerate(
        (
            (decoder.adapter_3, decoder.layer_3),
            (decoder.adapter_2, decoder.layer_2),
            (decoder.adapter_1, decoder.layer_1),
        )
    ):
        lateral = adapter(maps[2 - i])
        y = layer(lateral + F.interpolate(y, size=lateral.shape[-2:], mode="nearest"))
        levels.append(y)
    return Encoded(levels[:3], decoder.mask_features(y))


def encode_text(model: Seem, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids [N, 77] with all their padding."""
    return model.encode_text(ids)


def attend(module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, blocked: Tensor) -> Tensor:
    """Multi-head attention of one element: [L, C], [S, C], [S, C], blocked [L, S] -> [L, C]."""
    dim, heads = query.shape[-1], module.heads
    weights, biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    q, k, v = (
        F.linear(x, w, b).unflatten(-1, (heads, -1)).transpose(0, 1)
        for x, w, b in zip((query, key, value), weights, biases)
    )
    scores = (q @ k.transpose(1, 2) / (dim // heads) ** 0.5).masked_fill(blocked, float("-inf"))
    mixed = scores.softmax(-1).nan_to_num(0.0) @ v
    return module.out_proj(mixed.transpose(0, 1).flatten(1))


def decode(model: Seem, image: Encoded, prompts: PromptTensors, index: int = 0) -> tuple[Tensor, int, Tensor]:
    """Answers one prompt of the rules v0.

    Args:
        model: an official variant.
        image: from `encode_image`.
        prompts: padded prompts on one picture.
        index: which of them.

    Returns:
        mask logits of all queries [Q, H/4, W/4], the chosen query, and the prompt's mean mask feature [Cm].
    """
    decoder = model.decoder
    table = RULES[model.config.decoder.rules]
    sources, positions, sizes = [], [], []
    for i, level in enumerate(image.levels):
        _, c, h, w = level.shape
        sources.append(level[0].flatten(1).T + decoder.level_embed.weight[i])
        positions.append(sine_position(h, w, c)[0].flatten(1).T)
        sizes.append((h, w))
    used = prompts.points_label[0, index] != 0
    points, labels = prompts.points_xy[0, index][used], prompts.points_label[0, index][used]

    def read(maps: Tensor) -> Tensor:
        """[1, C, h, w] at the points -> [K, C]."""
        return F.grid_sample(maps, (points * 2 - 1)[None, None], align_corners=True)[0, :, 0].T

    sign = decoder.pn_indicator.weight[(labels < 0).long()]
    tokens = [
        read((s @ m).T.reshape(1, -1, *size)) + sign for s, m, size in zip(sources, decoder.mask_sptial_embed, sizes)
    ]
    plus = read(image.mask_features)[labels > 0]
    mean = plus.mean(0) if len(plus) else torch.zeros(image.mask_features.shape[1])

    content = {"query": decoder.query_feat.weight}
    place = {"query": decoder.query_embed.weight}
    text = prompts.text_tokens[0, index][prompts.text_valid[0, index]]
    if len(text):
        content["text"], place["text"] = text, text
    if bool(prompts.has_previous[0, index]) and "memory" in table["query"]:
        content["memory"], place["memory"] = decoder.spatial_featured.weight, decoder.spatial_embed.weight
    groups = [g for g in ("query", "text", "memory") if g in content]
    keys = [*groups, *(["spatial"] if len(points) else [])]

    def head(query: Tensor) -> tuple[Tensor, Tensor]:
        embedding = decoder.mask_embed(decoder.decoder_norm(query))
        return embedding, torch.einsum("qc,chw->qhw", embedding, image.mask_features[0])

    embedding, masks = head(content["query"])
    readers = [g for g in groups if g != "text"]
    for i, level in enumerate(model.config.decoder.levels):
        cross = decoder.transformer_cross_attention_layers[i]
        shown = [masks] + (
            [prompts.previous_mask[0, index][None].expand(len(content["memory"]), -1, -1)]
            if "memory" in content
            else []
        )
        small = F.interpolate(torch.cat(shown)[None], size=sizes[level], mode="bilinear", align_corners=False)[0]
        blocked = small.flatten(1).sigmoid() < 0.5
        blocked[blocked.all(1)] = False
        x, p = torch.cat([content[g] for g in readers]), torch.cat([place[g] for g in readers])
        read_pixels = attend(cross.multihead_attn, x + p, sources[level] + positions[level], sources[level], blocked)
        x = cross.norm(x + read_pixels)
        content.update(zip(readers, x.split([len(content[g]) for g in readers])))

        own = decoder.transformer_self_attention_layers[i]
        content["spatial"], place["spatial"] = tokens[level], tokens[level]
        x, p = torch.cat([content[g] for g in groups]), torch.cat([place[g] for g in groups])
        k, kp = torch.cat([content[g] for g in keys]), torch.cat([place[g] for g in keys])
        blocked = torch.cat(
            [
                torch.cat([torch.full((len(content[r]), len(content[g])), g not in table[r]) for g in keys], 1)
                for r in groups
            ]
        )
        x = own.norm(x + attend(own.self_attn, x + p, k + kp, k, blocked))
        x = decoder.transformer_ffn_layers[i](x)
        content.update(zip(groups, x.split([len(content[g]) for g in groups])))
        embedding, masks = head(content["query"])
    if int(prompts.select_by[0, index]) == SelectBy.TEXT:
        found = decoder.decoder_norm(content["query"]) @ decoder.class_embed
        scores = F.cosine_similarity(found, prompts.text_embedding[0, index][None], dim=-1)
    else:
        scores = embedding @ mean
    return masks, int(scores.argmax()), mean
