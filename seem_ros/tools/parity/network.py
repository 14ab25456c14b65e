# SPDX-License-Identifier: Apache-2.0
"""Fixtures that run the network, one function per family."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.model.codes import SelectBy
from seem_ros.model.query_decoder.attention_rules import v1_memory_owner, v1_query_indices
from seem_ros.model.query_decoder.tensors import Decoded, ImageTensors, OfficialCall
from seem_ros.perception.masks import panoptic
from seem_ros.tools.parity.fixtures import Fixture, subsampled
from seem_ros.tools.parity.groups import compare_self_mask
from seem_ros.tools.parity.report import SAME_PANOPTIC, ParityReport
from seem_ros.tools.parity.runner import Runner

THINGS = np.arange(133) < 80


def _close(
    report: ParityReport, fixture: Fixture, case: str, name: str, ours: Tensor, query_axis: int | None = None
) -> None:
    full = fixture.stored(case, name)
    if full is not None:
        golden = fixture[full]
        report.close(full, subsampled(ours.numpy(), golden, full, query_axis), golden)


def feat(runner: Runner, fixture: Fixture, report: ParityReport) -> None:
    """Backbone and pixel decoder."""
    model, pixels = runner.model, runner.pixels(fixture["image"])
    report.same("padded_hw", pixels.shape[-2:], fixture["padded_hw"])
    maps, _ = model.backbone(pixels)
    levels, features, _ = model.pixel_decoder(maps, None)
    ours = {f"res{i + 2}": maps[i] for i in range(4)} | {f"ms{i}": levels[i] for i in range(3)}
    ours["mask_features"] = features
    for name, tensor in ours.items():
        full = fixture.stored("", name)
        if full is None:
            continue
        golden = fixture[full]
        thinned = re.search(r"@c(\d+)", full)
        channels = int(thinned.group(1)) if thinned else 1
        report.close(full, subsampled(tensor[:, ::channels].numpy(), golden, full), golden)
        thinned = tensor[..., :: -(-tensor.shape[2] // golden.shape[2]), :: -(-tensor.shape[3] // golden.shape[3])]
        statistics = (thinned.mean(), thinned.std(), thinned.abs().max())
        report.close(f"{name}@stats", torch.stack(statistics).numpy(), fixture[f"{name}@stats"])


def pano(runner: Runner, fixture: Fixture, report: ParityReport) -> None:
    """Object queries with the class bank, every layer, then panoptic, semantic and instance results."""
    picture = fixture["image"]
    image, padded = runner.encode(picture)
    states = runner.decoder.decode_objects(image)
    for layer, state in enumerate(states):
        prefix = "" if layer == len(states) - 1 else f"aux{layer}_"
        if fixture.stored("", f"{prefix}pred_masks") is None:
            continue
        masks = runner.decoder.coarse_masks(state, image)[0, 0]
        logits = runner.class_logits(runner.embeddings(state))[0]
        _close(report, fixture, "", f"{prefix}pred_masks", masks, 0)
        _close(report, fixture, "", f"{prefix}pred_logits", logits, 0)
    height, width = (int(v) for v in fixture["out_hw"])
    logits, masks = logits.numpy(), panoptic.to_image(masks.numpy(), padded, picture.shape[:2], (height, width))
    _close(report, fixture, "", "resized_masks", torch.from_numpy(masks), 0)
    semantic = panoptic.semantic(logits, masks)
    report.mask("sem_seg_argmax", semantic.argmax(0), fixture["sem_seg_argmax"])
    report.close("sem_seg_sub", semantic[::7, ::6, ::6], fixture["sem_seg_sub"])
    for name, info, limits in (
        ("panoptic_seg", "segments_info", fixture.meta["panoptic_thresholds"]),
        ("panoptic_seg_loose", "segments_info_loose", (0.3, 0.2)),
    ):
        ids, segments = panoptic.panoptic(logits, masks, THINGS, *limits)
        report.mask(name, ids, fixture[name], SAME_PANOPTIC)
        report.same(
            info,
            [(s.id, s.isthing, s.category_id) for s in segments],
            [(s["id"], s["isthing"], s["category_id"]) for s in fixture.meta[info]],
        )
    scores, classes, found = panoptic.instances(logits, masks, THINGS)
    order = np.argsort(-fixture["inst_scores"], kind="stable")
    report.close("inst_scores", scores, fixture["inst_scores"][order])
    golden = {(int(c), m.tobytes()) for c, m in zip(fixture["inst_classes"], fixture["inst_masks"])}
    ours = {(int(c), m.tobytes()) for c, m in zip(classes, found)}
    if ours != golden:  # a pixel within rounding of a threshold may differ
        report.same("inst_classes", sorted(classes), sorted(fixture["inst_classes"]))
        areas = np.sort(found.sum((1, 2))), np.sort(fixture["inst_masks"].sum((1, 2)))
        report.close("inst areas / pixels", areas[0] / found[0].size, areas[1] / found[0].size)


def inter(runner: Runner, fixture: Fixture, report: ParityReport) -> None:
    """Rounds of clicks, boxes and scribbles, several prompts at once, memory."""
    picture = fixture["image"]
    image, padded = runner.encode(picture)
    objects = runner.class_logits(runner.embeddings(runner.decoder.decode_objects(image)[-1]))
    kept: dict[str, Tensor] = {}
    for case in fixture.cases():
        positive, negative = fixture[f"{case}/pos"], fixture[f"{case}/neg"]
        count = len(positive)
        numbered = re.fullmatch(r"(m*mem)(\d+)", case)
        before = f"{numbered.group(1)}{int(numbered.group(2)) - 1}" if numbered else ""
        previous = None
        if before in kept:
            stored = torch.from_numpy(fixture[f"{before}/prev_mask"])
            stored = stored.reshape(count, *stored.shape[-2:])
            previous = stored if stored.shape == kept[before].shape else kept[before]  # some are stored thinned
        prompts = runner.prompts(image, positive, negative, padded, count=count, previous=previous)
        official = official_v1(count) if runner.rules == "v1" else None
        answer = runner.answer(image, prompts, official)
        kept[case] = answer.memory_mask[0]
        _, minus = runner.decoder.sample(image, prompts.points_xy, -prompts.points_label)
        _compare_spatial(runner, fixture, report, case, image, answer, minus[0])
        final = (
            panoptic.to_image(
                answer.memory_mask[0].numpy(),
                padded,
                picture.shape[:2],
                fixture[f"{case}/final"].shape[-2:],
                "bilinear",
            )
            > 0
        )
        report.mask(f"{case}/final", final.reshape(fixture[f"{case}/final"].shape), fixture[f"{case}/final"])
        if f"{case}/obj_pred_logits_q20" in fixture:
            golden = fixture[f"{case}/obj_pred_logits_q20"]
            ours = subsampled(objects.numpy(), golden[:1], "obj_pred_logits_q20", 1)
            report.close(f"{case}/obj_pred_logits_q20", np.repeat(ours, len(golden), 0), golden)
        compare_self_mask(report, fixture, case, runner.rules, positive, negative, previous is not None)


def official_v1(count: int) -> OfficialCall:
    """The fixtures' stand-in for v1's random draws: fixed object queries, memory slots split evenly."""
    owner = torch.tensor(v1_memory_owner(count))
    mine = owner == torch.arange(count)[:, None]
    return OfficialCall(query_indices=torch.tensor(v1_query_indices(count)), memory_valid=mine[None])


def _compare_spatial(
    runner: Runner,
    fixture: Fixture,
    report: ParityReport,
    case: str,
    image: ImageTensors,
    answer: Decoded,
    minus: Tensor,
) -> None:
    """Prompted queries of n elements against the official layout: v0 [n, Q, ...], v1 [1, 3n, ...]."""
    joined = runner.rules == "v1"
    state = answer.states[-1]
    masks, embeddings = runner.decoder.coarse_masks(state, image)[0], state.mask_embedding[0]
    plus, selected, chosen = answer.sampled_embedding[0], answer.selected[0], answer.memory_mask[0]
    count, queries = embeddings.shape[:2]
    if joined:
        masks, embeddings = masks.flatten(0, 1)[None], embeddings.flatten(0, 1)[None]
        plus, minus, chosen = plus[None], minus[None], chosen[None]
        similarity = embeddings @ plus.transpose(1, 2)
        selected = selected + torch.arange(count) * queries
    else:
        plus, minus, chosen = plus[:, None], minus[:, None], chosen[:, None]
        similarity = embeddings @ plus.transpose(1, 2)
    for name, ours in (
        ("pred_pspatials", plus),
        ("pred_nspatials", minus),
        ("pred_smasks", masks),
        ("pred_smaskembs", embeddings),
        ("sim", similarity),
        ("prev_mask", chosen),
    ):
        _close(report, fixture, case, name, ours, 1)
    golden = fixture[f"{case}/selected"]
    report.same(f"{case}/selected", selected.numpy(), golden, query=True)


def ground(runner: Runner, fixture: Fixture, report: ParityReport) -> None:
    """Texts; a stroke beside the text counts only with hook A."""
    picture = fixture["image"]
    image, padded = runner.encode(picture)
    stored = [fixture.stored(case, "grounding_mask") for case in fixture.cases()]
    sizes = [fixture[name].shape[-2:] for name in stored if name and "@" not in name]
    for case in fixture.cases():
        texts = fixture.meta[f"{case}/texts"]
        if case == "stroke_hook" and fixture.stored("", "stroke") is None:
            report.notes.append(f"{case}: the file holds no stroke to run it with")
            continue
        ids, _ = runner.tokenizer.encode(texts)
        known = fixture[f"{case}/input_ids"]
        report.same(f"{case}/input_ids", ids[-len(known) :, : known.shape[1]], known)
        embeddings = runner.texts(texts)[2]
        calls = [[t] for t in texts] if case.startswith("stroke") else [texts]
        shown = []
        for call in calls:
            wanted = embeddings if len(calls) == 1 else embeddings[texts.index(call[0])][None]
            prompts = runner.prompts(
                image, None, None, padded, tokens=runner.joined_tokens(call), text=wanted[0], select_by=SelectBy.TEXT
            )
            answer = runner.answer(image, prompts)
            state = answer.states[-1]
            masks, found = runner.decoder.coarse_masks(state, image)[0, 0], runner.embeddings(state)[0]
            scores = runner.text_scores(found, wanted)
            matched = scores.argmax(0)
            shown.append(masks[matched])
        _close(report, fixture, case, "class_emb", wanted)
        _close(report, fixture, case, "pred_gmasks", masks, 0)
        _close(report, fixture, case, "pred_gtexts", found, 0)
        _close(report, fixture, case, "out_prob", scores)
        report.same(f"{case}/matched", matched.numpy(), fixture[f"{case}/matched"], query=True)
        compare_self_mask(report, fixture, case, runner.rules, None, None, False)
        full = fixture.stored(case, "grounding_mask")
        if full is None:
            continue
        ours = panoptic.to_image(torch.cat(shown).numpy(), padded, picture.shape[:2], sizes[0])
        golden = fixture[full]
        ours = subsampled(ours, golden, full)
        report.close(full, ours, golden)
        report.mask(f"{case}/mask", ours > 0, golden > 0)


def demo(runner: Runner, fixture: Fixture, report: ParityReport) -> None:
    """Strokes, texts, audio and referring pictures, alone and composed."""
    picture = fixture["image"]
    image, padded = runner.encode(picture)
    reference = _reference(
        runner, fixture, report, "ref/visual_query_pos", "ref/visual_query_neg", "ref/src_visual_queries"
    )
    for case in fixture.cases():
        said = fixture.meta.get(case)
        positive: np.ndarray | None
        negative: np.ndarray | None
        if case == "posneg":
            positive, negative = fixture["posneg/pos"][None], fixture["posneg/neg"][None]
            said = {"text": None, "audio": None, "visual": False, "stroke": True}
        elif said is None:
            continue
        else:
            stroke = {"click": "click", "box": "box", "stroke_text": "click"}.get(case, "scribble")
            positive, negative = (fixture[stroke][None] if said["stroke"] else None), None
        wanted = said["text"] or said["audio"]
        rule = SelectBy.POINTS if said["stroke"] else SelectBy.REFERENCE if said["visual"] else SelectBy.TEXT
        embedding = runner.texts(wanted)[2] if wanted else None
        prompts = runner.prompts(
            image,
            positive,
            negative,
            padded,
            tokens=runner.joined_tokens(said["text"]) if said["text"] else None,
            text=None if embedding is None else embedding[0],
            select_by=rule,
            reference=reference[:2] if said["visual"] else None,
        )
        official = None
        if said["audio"]:
            tokens = runner.joined_tokens(said["audio"])[None, None]
            official = OfficialCall(audio_tokens=tokens, audio_valid=torch.ones(tokens.shape[:3], dtype=torch.bool))
        answer = runner.answer(image, prompts, official)
        state = answer.states[-1]
        masks, found = runner.decoder.coarse_masks(state, image)[0, 0], runner.embeddings(state)[0]
        logits = runner.class_logits(found)
        minus = runner.decoder.sample(image, prompts.points_xy, -prompts.points_label)[1]
        score = {
            SelectBy.POINTS: state.mask_embedding[0, 0] @ answer.sampled_embedding[0, 0],
            SelectBy.REFERENCE: state.mask_embedding[0, 0] @ prompts.reference_embedding[0, 0],
            SelectBy.TEXT: None if embedding is None else runner.text_scores(found, embedding)[:, 0],
        }[rule]
        _close(report, fixture, case, "pred_pspatials", answer.sampled_embedding)
        _close(report, fixture, case, "pred_nspatials", minus)
        _close(report, fixture, case, "pred_pvisuals", prompts.reference_embedding)
        if embedding is not None:
            _close(report, fixture, case, "grounding_class", F.normalize(embedding, dim=-1))  # stored at unit length
        _close(report, fixture, case, "score", score)
        _close(report, fixture, case, "pred_masks", masks, 0)
        _close(report, fixture, case, "pred_logits", logits, 0)
        _close(report, fixture, case, "pred_maskembs", state.mask_embedding[0, 0], 0)
        _close(report, fixture, case, "selected_logits", answer.memory_mask[0, 0])
        chosen = int(answer.selected)
        report.same(f"{case}/selected", chosen, fixture[f"{case}/selected"], query=True)
        if f"{case}/final" in fixture:
            final = panoptic.resize(answer.memory_mask[0].numpy(), padded)[0] > 0
            final = final[: picture.shape[0], : picture.shape[1]]
            report.mask(f"{case}/final", final, fixture[f"{case}/final"])
            report.same(f"{case}/pred_class", int(logits[chosen].argmax()), fixture[f"{case}/pred_class"])
        compare_self_mask(report, fixture, case, runner.rules, positive, negative, False)


def refimg(runner: Runner, fixture: Fixture, report: ParityReport) -> None:
    """A region of one picture looked for in another, under the rules v0 and v1."""
    picture = fixture["image"]
    reference = _reference(runner, fixture, report, "spatial_query_pos", "spatial_query_neg", "src_spatial_queries")
    image, padded = runner.encode(picture)
    prompts = runner.prompts(image, None, None, padded, reference=reference[:2], select_by=SelectBy.REFERENCE)
    answer = runner.answer(image, prompts, official_v1(1) if runner.rules == "v1" else None)
    state = answer.states[-1]
    _close(report, fixture, "", "pred_smasks", runner.decoder.coarse_masks(state, image)[0], 1)
    _close(report, fixture, "", "pred_smaskembs", state.mask_embedding[0], 1)
    _close(report, fixture, "", "sim", state.mask_embedding[0, 0] @ reference[1])
    _close(report, fixture, "", "prev_mask", answer.memory_mask)
    report.same("selected", int(answer.selected), fixture["selected"], query=True)
    final = (
        panoptic.to_image(
            answer.memory_mask[0].numpy(), padded, picture.shape[:2], fixture["final"].shape[-2:], "bilinear"
        )
        > 0
    )
    report.mask("final", final[None], fixture["final"])


def _reference(
    runner: Runner, fixture: Fixture, report: ParityReport, plus: str, minus: str, tokens: str
) -> tuple[Tensor, Tensor]:
    """Reads the fixture's reference region and compares what it reads."""
    image, padded = runner.encode(fixture["ref_image"])
    read, mean, nothing = runner.read(image, fixture["ref_mask"], padded)
    report.close(plus, mean[None, None].numpy(), fixture[plus])
    report.close(minus, nothing[None, None].numpy(), fixture[minus])
    for level in range(3):
        if f"{tokens}{level}" not in fixture:
            continue
        golden = fixture[f"{tokens}{level}"]
        report.close(f"{tokens}{level}", subsampled(read[:, None, level].numpy(), golden, tokens), golden)
    return read, mean


NETWORK = {"feat": feat, "pano": pano, "inter": inter, "ground": ground, "demo": demo, "refimg": refimg}
