# SPDX-License-Identifier: Apache-2.0
"""SEEM's query decoder: queries read the image through masked cross attention and the prompt through self attention.

One class serves every release and the built-in model; who attends to whom is a value (`attention_rules.py`). Every
prompt is a batch element of its own with its own queries, tokens and memory slots, so prompts never influence each
other. Keys and values of the image are computed once (`prepare`) and shared by all prompts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seem_ros.model.config import DecoderConfig
from seem_ros.model.layers import MLP, AttentionBlock, FeedForward, eager, traced
from seem_ros.model.position import box_sine, sine_position
from seem_ros.model.query_decoder.mask_features import folded_masks, folded_means, resized_features
from seem_ros.model.query_decoder.mask_refiner import MaskRefiner
from seem_ros.model.query_decoder.point_sampling import sample_points
from seem_ros.model.query_decoder.prompt_prior import PromptPrior, box_prior_logits
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
from seem_ros.model.query_decoder.query_selection import box_gate, take
from seem_ros.model.query_decoder.row_layout import RowLayout
from seem_ros.model.query_decoder.row_pruning import needed_rows, restored
from seem_ros.model.query_decoder.tensors import Decoded, ImageTensors, OfficialCall, QueryState


class QueryDecoder(nn.Module):
    """See the module's docstring; parameters carry the official names."""

    def __init__(self, config: DecoderConfig, text_dim: int, mask_convolution: nn.Conv2d | None = None) -> None:
        """Makes an untrained decoder.

        Args:
            config: sizes and rules.
            text_dim: channels of texts' embeddings.
            mask_convolution: the pixel decoder's last convolution, for images prepared without mask features. It stays
                the pixel decoder's: in a tuple, torch does not count it twice.
        """
        super().__init__()
        c, d, self.config = config, config.dim, config
        self._mask_convolution = (mask_convolution,)
        self.query_feat = nn.Embedding(c.object_queries, d)
        self.query_embed = nn.Embedding(c.object_queries, d)
        self.level_embed = nn.Embedding(3, d)
        self.pn_indicator = nn.Embedding(2, d)
        self.spatial_featured = nn.Embedding(c.memory_slots, d)
        self.spatial_embed = nn.Embedding(c.memory_slots, d)
        self.mask_sptial_embed = nn.ParameterList(nn.Parameter(torch.empty(d, d)) for _ in range(3))
        layers = range(len(c.levels))
        self.transformer_cross_attention_layers = nn.ModuleList(
            AttentionBlock("multihead_attn", d, c.heads) for _ in layers
        )
        self.transformer_self_attention_layers = nn.ModuleList(AttentionBlock("self_attn", d, c.heads) for _ in layers)
        self.transformer_ffn_layers = nn.ModuleList(FeedForward(d, c.ffn) for _ in layers)
        self.decoder_norm = nn.LayerNorm(d)
        self.class_embed = nn.Parameter(torch.empty(d, text_dim))
        self.mask_embed = MLP(d, d, c.mask_dim, 3)
        for matrix in (*self.mask_sptial_embed, self.class_embed):
            nn.init.trunc_normal_(matrix, std=d**-0.5)
        if c.prompt_queries:
            self.prompt_feat = nn.Embedding(c.prompt_queries, d)
            self.prompt_embed = nn.Embedding(c.prompt_queries, d)
        if c.prior:
            self.prior = PromptPrior(d, text_dim)
        if c.box_head:
            self.box_embed = MLP(d, d, 4, 3)
        if c.presence_head:
            self.presence_embed = MLP(d, d, 1, 2)
        if c.fine_dim:
            self.fine_embed = MLP(d, d, c.fine_dim, 3)
        if c.refine_width:
            self.refiner = MaskRefiner(d, c.mask_dim, c.refine_width, c.refine_depthwise)

    # ---- the image, once -------------------------------------------------------------------------------------------
    def prepare(
        self,
        levels: list[Tensor],
        mask_features: Tensor | None,
        fine_features: Tensor | None = None,
        mask_source: Tensor | None = None,
    ) -> ImageTensors:
        """Computes what all prompts on an image share.

        Args:
            levels: [N, C, h, w] at strides 32, 16, 8; taken over, so changed where nothing is traced.
            mask_features: [N, Cm, H/4, W/4]; None if `mask_source` is given.
            fine_features: [N, Cf, H/2, W/2] or None.
            mask_source: [N, Cy, H/4, W/4], the map that makes the mask features; their convolution is then folded.
        """
        sources, level_masks, dense = [], [], None
        keys, values = ([None] * len(self.config.levels) for _ in range(2))
        if mask_source is not None:
            factors = tuple(mask_source.shape[2] // level.shape[2] for level in levels)
            level_masks = resized_features(mask_source, self._mask_convolution[0], factors)
        for i, level in enumerate(levels):
            c, h, w = level.shape[1:]
            position = sine_position(h, w, c, level.device).to(level.dtype)
            embed = self.level_embed.weight[i]
            readers = [j for j, own in enumerate(self.config.levels) if own == i]
            blocks = {j: self.transformer_cross_attention_layers[j].attention for j in readers}
            if traced():  # convolutions of the map as it lies in memory: runtimes need not turn it round first
                source = level + embed[:, None, None]
                sources.append(source.permute(0, 2, 3, 1))
                if i == 2 and self.config.prior:
                    dense = self.prior.map_dense_embedding(source)
                for j, attention in blocks.items():
                    keys[j], values[j] = attention.map_keys(source + position), attention.map_values(source)
            else:
                source = level.permute(0, 2, 3, 1)
                source = source.add_(embed) if eager() else source + embed
                sources.append(source)
                flat = source.flatten(1, 2)
                placed = flat + position.flatten(2).transpose(1, 2)
                del position
                for j, attention in blocks.items():
                    keys[j] = attention.keys(placed)
                del placed  # before the values take its place
                for j, attention in blocks.items():
                    values[j] = attention.values(flat)
            if mask_source is None:
                level_masks.append(F.interpolate(mask_features, size=(h, w), mode="bilinear", align_corners=False))
        if dense is None and self.config.prior:
            dense = self.prior.dense_embedding(sources[2])
        last = [None if x is None else x.permute(0, 2, 3, 1) for x in (mask_features, fine_features)]
        refined = self.refiner.picture(mask_features) if self.config.refine_width else None
        return ImageTensors(sources, keys, values, last[0], level_masks, last[1], dense, mask_source, refined)

    def sample(
        self, image: ImageTensors, points_xy: Tensor, points_label: Tensor, empty_mean: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reads the image at a prompt's points (specification section 10).

        Args:
            points_xy: [N, P, K, 2]; points_label: [N, P, K].
            empty_mean: [1], the mean where nothing is positive, in place of the rules' own.

        Returns:
            tokens [N, P, K, 3, C], one per level, with the sign indicator; mean mask feature of the positive points
            [N, P, Cm] (nothing positive: 0, or -1 under the rules of v1).
        """
        p, k = points_xy.shape[1:3]
        flat = points_xy.flatten(1, 2)
        sign = torch.where(points_label[..., None] > 0, self.pn_indicator.weight[0], self.pn_indicator.weight[1])
        tokens = []
        for source, matrix in zip(image.sources, self.mask_sptial_embed):
            tokens.append((sample_points(source, flat) @ matrix).unflatten(1, (p, k)) + sign)
        positive = (points_label > 0)[..., None].to(image.sources[0].dtype)
        count = positive.sum(2)
        if image.mask_features is None:
            share = positive[..., 0] / count.clamp(min=1)
            mean = folded_means(image.mask_source, self._mask_convolution[0], points_xy, share)
        else:
            read = sample_points(image.mask_features, flat).unflatten(1, (p, k))
            mean = (read * positive).sum(2) / count.clamp(min=1)
        if empty_mean is not None:
            mean = torch.where(count > 0, mean, empty_mean.to(mean.dtype))
        elif self.config.rules == "v1":
            mean = torch.where(count > 0, mean, -torch.ones_like(mean))
        return torch.stack(tokens, 3), mean

    # ---- the prediction head ---------------------------------------------------------------------------------------
    def _predict(self, query: Tensor, box_prior: Tensor | None) -> QueryState:
        hidden = self.decoder_norm(query)
        box = None
        if self.config.box_head:
            logits = self.box_embed(hidden).float()
            box = (logits if box_prior is None else logits + box_prior[:, :, None]).sigmoid()
        return QueryState(hidden, self.mask_embed(hidden), box)

    def masks(self, state: QueryState, features: Tensor) -> Tensor:
        """Mask logits of all queries on `features` [N, Cm, h, w] -> [N, P, Q, h, w], gated by the queries' boxes."""
        logits = torch.matmul(state.mask_embedding.flatten(1, 2), features.flatten(2))
        logits = logits.reshape(*state.mask_embedding.shape[:3], *features.shape[-2:])
        return logits if state.box is None else logits - box_gate(state.box, *features.shape[-2:])

    def _ungated(self, state: QueryState, image: ImageTensors) -> Tensor:
        """Mask logits [N, P, Q, H/4, W/4] before any box gate."""
        if image.mask_features is None:
            return folded_masks(state.mask_embedding, image.mask_source, self._mask_convolution[0])
        return _products(state.mask_embedding, image.mask_features)

    def coarse_masks(self, state: QueryState, image: ImageTensors) -> Tensor:
        """Mask logits [N, P, Q, H/4, W/4]."""
        logits = self._ungated(state, image)
        return logits if state.box is None else logits - box_gate(state.box, *logits.shape[-2:])

    def fine_masks(self, state: QueryState, image: ImageTensors, delta: Tensor | None = None) -> Tensor:
        """Mask logits [N, P, Q, hm, wm] at the model's finest stride, with a correction [N, P, Q, H/4, W/4] or none."""
        coarse = self._ungated(state, image)
        if delta is not None:
            coarse = coarse + delta
        if self.config.fine_dim:
            assert image.fine_features is not None, "the pixel decoder makes them for fine_dim"
            h, w = image.fine_features.shape[1:3]
            coarse = F.interpolate(coarse.flatten(0, 1), size=(h, w), mode="bilinear", align_corners=False)
            fine = _products(self.fine_embed(state.hidden), image.fine_features)
            coarse = coarse.reshape(fine.shape) + fine
        return coarse if state.box is None else coarse - box_gate(state.box, *coarse.shape[-2:])

    # ---- the layers ------------------------------------------------------------------------------------------------
    def _run(
        self,
        image: ImageTensors,
        query: Tensor,
        query_position: Tensor,
        prompts: PromptTensors | None,
        point_tokens: Tensor | None,
        box_prior: Tensor | None,
        use_memory: bool = False,
        query_valid: Tensor | None = None,
        official: OfficialCall | None = None,
    ) -> list[QueryState]:
        """Runs all layers; returns the prediction before the first layer and after each of them."""
        c = self.config
        n, p, q, dim = query.shape
        official = official or OfficialCall()
        rows = RowLayout(query, query_position, query_valid)
        extra: list[tuple[Tensor, Tensor]] = []
        if prompts is not None:
            self._add_prompt(rows, prompts, use_memory, official)
            extra = self._level_tokens(prompts, point_tokens)
        memory = rows.memory
        x, position = rows.joined()
        blocked = rows.blocked(c.rules, official.rules and official.rules.may_read).flatten(0, 1)
        previous = self._memory_masks(prompts.previous_mask, image) if prompts is not None and memory else []
        state = self._predict(x[:, :, :q], box_prior)
        states = [state]
        for i, level in enumerate(c.levels):
            cross = self.transformer_cross_attention_layers[i]
            seen = [(self.masks(state, image.level_masks[level]) < 0).flatten(3)]
            parts = [x[:, :, :q]]
            placed = [position[:, :, :q]]
            if memory:
                seen.append(previous[level][:, :, None].expand(-1, -1, memory, -1))
                parts.append(x[:, :, -memory:])
                placed.append(position[:, :, -memory:])
            hidden = torch.cat(seen, 2).flatten(1, 2)
            hidden = hidden & ~hidden.all(-1, keepdim=True)
            part, place = torch.cat(parts, 2).flatten(1, 2), torch.cat(placed, 2).flatten(1, 2)
            found = cross.attention(part + place, image.keys[i], image.values[i], hidden, sighted=True)
            part = cross.norm(part + found).reshape(n, p, -1, dim)
            pieces = [part[:, :, :q], x[:, :, q : x.shape[2] - memory]] + ([part[:, :, q:]] if memory else [])
            x = torch.cat(pieces, 2)

            own = self.transformer_self_attention_layers[i]
            content, place = x.flatten(0, 1), position.flatten(0, 1)
            keys, values = content + place, content
            if extra:
                tokens, token_position = extra[level]
                keys = torch.cat((keys, (tokens + token_position).flatten(0, 1)), 1)
                values = torch.cat((values, tokens.flatten(0, 1)), 1)
            mixed = own.attention(content + place, own.attention.keys(keys), own.attention.values(values), blocked)
            x = self.transformer_ffn_layers[i](own.norm(content + mixed)).reshape(n, p, -1, dim)
            state = self._predict(x[:, :, :q], box_prior)
            states.append(state)
        return states

    def _add_prompt(self, rows: RowLayout, prompts: PromptTensors, use_memory: bool, official: OfficialCall) -> None:
        """Adds what a prompt brings beside its queries: text, audio and memory as rows, its other tokens as keys."""
        c = self.config
        if c.text_rows and prompts.text_tokens.shape[2]:
            rows.add("text", prompts.text_tokens, prompts.text_tokens, prompts.text_valid)
        if official.audio_tokens is not None:
            rows.add("audio", official.audio_tokens, official.audio_tokens, official.audio_valid)
        if use_memory and (c.rules != "demo" or official.rules is not None):
            remembered = prompts.has_previous[..., None].expand(-1, -1, c.memory_slots)
            if official.memory_valid is not None:
                remembered = remembered & official.memory_valid
            rows.add_memory(self.spatial_featured.weight, self.spatial_embed.weight, remembered)
        if not c.text_rows:
            rows.add_keys("text", prompts.text_valid)
        rows.add_keys("spatial", prompts.points_label != 0)
        rows.add_keys("visual", prompts.reference_valid)

    def _level_tokens(self, prompts: PromptTensors, point_tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Per level: the tokens that are keys only, and their positions (officially a copy of the content)."""
        out = []
        place = self.prior.point_position(box_sine(prompts.points_xy)) if self.config.prior else None
        for level in range(3):
            points = point_tokens[:, :, :, level]
            references = prompts.reference_tokens[:, :, :, level].to(points.dtype)
            content = [points, references]
            position = [points, references]
            if self.config.prior:
                position = [place, torch.zeros_like(references)]
            if not self.config.text_rows:
                content.insert(0, prompts.text_tokens.to(points.dtype))
                position.insert(0, torch.zeros_like(prompts.text_tokens))
            out.append((torch.cat(content, 2), torch.cat(position, 2)))
        return out

    def _memory_masks(self, previous: Tensor, image: ImageTensors) -> list[Tensor]:
        """Where memory slots may not look: previous mask logits [N, P, h4, w4] < 0 at each level, [N, P, h * w]."""
        return [
            (F.interpolate(previous, size=m.shape[-2:], mode="bilinear", align_corners=False) < 0).flatten(2)
            for m in image.level_masks
        ]

    # ---- public ----------------------------------------------------------------------------------------------------
    def decode_objects(self, image: ImageTensors) -> list[QueryState]:
        """Runs the object queries, which see no prompt; the last state is the answer (one element: P = 1)."""
        n = image.sources[0].shape[0]
        query = self.query_feat.weight.expand(n, 1, -1, -1)
        position = self.query_embed.weight.expand(n, 1, -1, -1)
        return self._run(image, query, position, None, None, None)

    def start_queries(
        self, image: ImageTensors, prompts: PromptTensors, point_tokens: Tensor, query_indices: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Content and position [N, P, Q, C] of every prompt's queries, and the prior's similarity (or None).

        Official rules copy the object queries: all of them, or `query_indices` [P, Q].
        """
        n, p = prompts.points_label.shape[:2]
        if not self.config.prompt_queries:
            feat, embed = self.query_feat.weight, self.query_embed.weight
            if query_indices is not None:
                feat, embed = feat[query_indices], embed[query_indices]
            return feat.expand(n, p, -1, -1), embed.expand(n, p, -1, -1), None
        content = self.prompt_feat.weight.expand(n, p, -1, -1)
        position = self.prompt_embed.weight.expand(n, p, -1, -1)
        if not self.config.prior:
            return content, position, None
        start, place, similarity = self.prior(image.sources[2], image.dense, prompts, point_tokens.mean(3))
        return content + start[:, :, None], position + place[:, :, None], similarity

    def decode(
        self,
        image: ImageTensors,
        prompts: PromptTensors,
        official: OfficialCall | None = None,
        appearance: bool = True,
        memory: bool = True,
    ) -> Decoded:
        """Answers P prompts on each of N images.

        Args:
            image: from `prepare`.
            prompts: padded prompts.
            official: reproduces what one call of the official code draws or shares; None in normal use.
            appearance: also read what is under the winning masks.
            memory: False leaves the memory slots out, which is the same when no prompt has a previous mask (where
                nothing is traced, that happens by itself).
        """
        official, label = official or OfficialCall(), prompts.points_label
        needed = needed_rows(self.config, prompts, memory, official)
        prompts = needed.prompts
        empty_mean = official.rules and official.rules.empty_mean
        tokens, mean = self.sample(image, prompts.points_xy, prompts.points_label, empty_mean)
        query, position, similarity = self.start_queries(image, prompts, tokens, needed.copied)
        box_prior = box_prior_logits(prompts) if self.config.prior and self.config.box_head else None
        states = self._run(image, query, position, prompts, tokens, box_prior, needed.memory, needed.valid, official)
        last = states[-1]
        embedding = last.hidden @ self.class_embed
        chosen, score = self._select(last, embedding, mean, prompts, needed.valid)
        parts = (last.hidden, last.mask_embedding, last.box)
        winner = QueryState(*(None if part is None else take(part, chosen) for part in parts))
        coarse, delta = self.coarse_masks(winner, image), None
        if self.config.refine_width:
            delta = self.refiner(coarse[:, :, 0], winner.hidden[:, :, 0], image.refined, prompts)[:, :, None]
            coarse = coarse + delta
        coarse = coarse[:, :, 0]
        fine = self.fine_masks(winner, image, delta)[:, :, 0] if self.config.fine_dim else coarse
        look, look_mean = self.appearance(image, winner) if appearance else (None, None)
        nan = torch.full_like(score, float("nan"))
        presence = self.presence_logits(winner)[..., 0].sigmoid() if self.config.presence_head else nan
        box = winner.box[:, :, 0] if winner.box is not None else nan[..., None].expand(-1, -1, 4)
        return Decoded(
            mask_logits=fine,
            memory_mask=coarse,
            presence=presence,
            score=score,
            embedding=take(embedding, chosen)[:, :, 0],
            selected=chosen if needed.numbers is None else needed.numbers[chosen],
            box=box,
            sampled_tokens=restored(tokens, label),
            sampled_embedding=mean,
            appearance_tokens=look,
            appearance_embedding=look_mean,
            states=states,
            similarity=similarity,
        )

    def presence_logits(self, state: QueryState) -> Tensor:
        """[N, P, Q] logits of "what was asked for is in the picture"."""
        return self.presence_embed(state.hidden)[..., 0]

    def _select(
        self, state: QueryState, embedding: Tensor, mean: Tensor, prompts: PromptTensors, query_valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The winning query of each prompt [N, P] and its score (specification section 12)."""
        by_point = (state.mask_embedding * mean[:, :, None]).sum(-1)
        by_reference = (state.mask_embedding * prompts.reference_embedding[:, :, None]).sum(-1)
        by_text = F.cosine_similarity(embedding.float(), prompts.text_embedding[:, :, None].float(), dim=-1, eps=1e-7)
        rule = prompts.select_by[..., None]
        score = torch.where(rule == 2, by_text, torch.where(rule == 1, by_reference.float(), by_point.float()))
        if query_valid is not None:
            score = score.masked_fill(~query_valid, float("-inf"))
        best, chosen = score.max(-1)
        return chosen, best

    def appearance(self, image: ImageTensors, winner: QueryState) -> tuple[Tensor, Tensor]:
        """What is under the winners' masks: tokens [N, P, 3, C] like reference tokens, mean mask feature [N, P, Cm]."""
        tokens = []
        for i, (source, features) in enumerate(zip(image.sources, image.level_masks)):
            logits = self.masks(winner, features)[:, :, 0].flatten(2).float()
            weight = logits.sigmoid() * (logits > 0)
            weight = (weight / weight.sum(-1, keepdim=True).clamp(min=1e-4)).to(source.dtype)
            tokens.append(weight @ source.flatten(1, 2) @ self.mask_sptial_embed[i] + self.pn_indicator.weight[0])
        mean = weight @ image.level_masks[2].flatten(2).transpose(1, 2)
        return torch.stack(tokens, 2), mean


def _products(embedding: Tensor, features: Tensor) -> Tensor:
    """[N, P, Q, C] with [N, h, w, C] -> [N, P, Q, h, w]."""
    products = embedding.flatten(1, 2) @ features.flatten(1, 2).transpose(1, 2)
    return products.reshape(*embedding.shape[:3], *features.shape[1:3])
