# SPDX-License-Identifier: Apache-2.0
"""Packs, views, prompts, losses and a resumed training, on a few pictures drawn here."""

import json
import subprocess
import sys
from dataclasses import asdict

import cv2
import numpy as np
import pytest
import torch
import yaml

from seem_ros.datasets.scenes.scene import Thing
from seem_ros.errors import CheckpointError, DataError
from seem_ros.training.batched import simulated_pointing as draw
from seem_ros.training.batched.ask_plan import CLICK, SLOTS
from seem_ros.training.batched.ask_planner import BANK_NAMES, AskPlanner, fewer_names
from seem_ros.training.batched.mask_losses import greedy, mask_loss, masks_of
from seem_ros.training.batched.overlays import FIRST_PASTED, LAYERS, SourceMix
from seem_ros.training.batched.pack import PackWriter
from seem_ros.training.batched.picture_store import IGNORED, PackedPictures
from seem_ros.training.batched.train import BatchedTrainConfig, BatchedTrainer, main, source_weights, start_weights
from seem_ros.training.batched.two_views import ViewSampler

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def the_same_light_and_noise():
    """Whatever ran before in this process: in one of eight draws noise makes a grey pixel as green as a print."""
    torch.manual_seed(0)


def scene(seed, height=150, width=200):
    """A grey ground with a red disc (id 1, "apple") and a blue square (id 2, "box")."""
    rng = np.random.default_rng(seed)
    rgb = np.full((height, width, 3), 120, np.uint8)
    ids = np.zeros((height, width), np.uint8)
    x, y = int(rng.integers(40, 80)), int(rng.integers(40, 110))
    cv2.circle(rgb, (x, y), 25, (220, 30, 30), -1)
    cv2.circle(ids, (x, y), 25, 1, -1)
    cv2.rectangle(rgb, (120, 50), (165, 95), (30, 30, 220), -1)
    cv2.rectangle(ids, (120, 50), (165, 95), 2, -1)
    ids[:10, :10] = IGNORED
    return rgb, ids, [Thing(1, "apple"), Thing(2, "box")]


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    writer = PackWriter()
    for seed in range(4):
        rgb, ids, things = scene(seed)
        writer.add(rgb, ids, things, "drawn", exhaustive=True, groups=[("pair", [1, 2])])
    out = tmp_path_factory.mktemp("pack") / "drawn"
    writer.write(out)
    return out.with_suffix(".json")


def test_a_pack_gives_back_ids_to_the_pixel_and_pictures_nearly_so(pack):
    store = PackedPictures([pack], CPU)
    rgb, ids = store.gather(torch.tensor([2]))
    truth_rgb, truth_ids, _ = scene(2)
    assert (ids[0, :150, :200].numpy() == truth_ids).all()
    error = rgb[0, :, :150, :200].permute(1, 2, 0).numpy().astype(int) - truth_rgb
    assert np.abs(error).mean() < 4
    assert store.pictures[2].objects[1].name == "apple"
    assert store.boxes[store.boxes[:, 0] == 2][1].tolist()[1:] == [2, 120, 50, 166, 96, 46 * 46]


def test_a_pack_that_is_damaged_or_missing_is_one_line(pack, tmp_path):
    with pytest.raises(DataError, match="no pack of training pictures"):
        PackedPictures([tmp_path / "none.json"], CPU)
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"pictures": []}))
    with pytest.raises(DataError, match="no pack of training pictures"):
        PackedPictures([broken], CPU)


def test_the_two_views_show_what_their_ids_say(pack):
    store = PackedPictures([pack], CPU)
    sampler = ViewSampler(store, SourceMix({"drawn": 1.0}, turned=0.0, grey=0.0, toned=0.0), 96, 128, CPU)
    views = sampler.draw(6, np.random.default_rng(0))
    red = views.rgb[:, 0] - views.rgb[:, 2]
    for n in range(12):
        apple = views.ids[n] == 1
        if apple.sum() > 200:
            assert red[n][apple].mean() > 40
            assert abs(int(views.counts[n, 0, 1]) - int(apple.sum())) < 0.2 * int(apple.sum())


def test_a_print_lies_on_a_thing_and_stays_that_things(tmp_path):
    writer = PackWriter()
    writer.add(*scene(0), "drawn")
    green, disc = np.zeros((60, 60, 3), np.uint8), np.zeros((60, 60), np.uint8)
    cv2.circle(green, (30, 30), 28, (0, 255, 0), -1)
    cv2.circle(disc, (30, 30), 28, 1, -1)
    writer.add(green, disc, [Thing(1, None)], "cutout")
    writer.write(tmp_path / "printed")
    store = PackedPictures([tmp_path / "printed.json"], CPU)

    def printed(share):
        mix = SourceMix({"drawn": 1.0}, turned=0.0, grey=0.0, toned=0.0, printed=share)
        views = ViewSampler(store, mix, 96, 128, CPU).draw(6, np.random.default_rng(0))
        return views, (views.rgb[:, 1] - views.rgb[:, [0, 2]].amax(1)) > 40

    views, is_green = printed(1.0)
    assert (views.ids[is_green] > 0).float().mean() > 0.95 and is_green.sum() > 1000
    assert set(views.ids.unique().tolist()) <= {0, 1, 2, IGNORED, *range(FIRST_PASTED, FIRST_PASTED + LAYERS)}
    assert not printed(0.0)[1].any()


def test_only_things_in_sight_are_asked_for_and_absent_ones_are_marked(pack):
    store = PackedPictures([pack], CPU)
    sampler = ViewSampler(store, SourceMix({"drawn": 1.0}), 96, 128, CPU)
    rng = np.random.default_rng(1)
    views = sampler.draw(8, rng)
    plan = AskPlanner(store).plan(views, rng)
    assert plan.kind.shape == (16, len(SLOTS))
    counts = views.counts.numpy()
    for n, p in zip(*np.nonzero(plan.counted & plan.there)):
        assert counts[n, plan.layer[n, p], plan.target[n, p]] > 0
    assert (plan.kind[plan.counted[:, 0], 0] == CLICK).all()


def test_a_click_lies_deep_inside_and_a_box_around_its_mask():
    mask = torch.zeros(1, 60, 80, dtype=torch.bool)
    mask[0, 20:41, 30:61] = True
    for _ in range(20):  # drawn at random among the pixels that are about as deep as the middle
        x, y = draw.pick_clicks(mask, draw.depth(mask), middle=1.0)[0].tolist()
        assert abs(x / 2 - 45) <= 3 and abs(y / 2 - 30) <= 3
    assert draw.boxes(mask)[0].tolist() == [60, 40, 122, 82]


def test_the_next_click_goes_to_the_larger_error_with_its_sign():
    truth = torch.zeros(2, 60, 80, dtype=torch.bool)
    truth[:, 10:50, 10:40] = True
    answer = truth.clone()
    answer[0, 10:50, 25:40] = False  # a missing half
    answer[1, 20:40, 40:70] = True  # it ran over
    at, sign, wrong = draw.error_clicks(truth, answer)
    assert sign.tolist() == [1, -1] and wrong.all()
    assert 50 <= at[0, 0] < 80 and at[1, 0] >= 80


def test_clicks_of_both_signs_share_the_slots():
    xy = torch.tensor([[[20.0, 20.0], [40.0, 40.0], [60.0, 60.0], [80.0, 80.0]]])
    points, label = draw.click_points(xy, torch.tensor([[1, 1, 1, -1]]), 32)
    assert points.shape == (1, 32, 2)
    assert (label == 1).sum() == 15 and (label == -1).sum() == 9
    assert (points[0][label[0] == -1] - 80).abs().max() <= 1


def test_assignment_takes_the_cheapest_pairs_first_and_each_query_once():
    cost = torch.tensor([[[0.1, 0.2], [0.3, 0.9], [float("inf"), float("inf")]]])
    assert greedy(cost).tolist() == [[0, 1]]


def test_the_loss_of_a_right_mask_is_far_below_that_of_its_opposite():
    truth = masks_of(torch.ones(1, 2, 8, 8, dtype=torch.uint8), torch.tensor([0]), torch.tensor([0]), torch.tensor([1]))
    right, wrong = (mask_loss(sign * torch.full((1, 4, 4), 9.0), truth, torch.ones(1)) for sign in (1, -1))
    assert right < 0.01 and wrong > 10


def config(pack, out, **changes):
    values = {
        "packs": (str(pack),), "out": str(out), "height": 96, "width": 128, "scenes": 1, "rounds": 2, "images": 12,
        "threads": 1, "warmup": 1, "frozen": 7,
    }  # fmt: skip
    return BatchedTrainConfig(**{**values, **changes})


@pytest.mark.slow
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(pack, tmp_path):
    whole = BatchedTrainer(config(pack, tmp_path / "a", images=6), CPU)
    whole.run()
    BatchedTrainer(config(pack, tmp_path / "b", images=6), CPU).run(most_steps=2)
    resumed = BatchedTrainer(config(pack, tmp_path / "b", images=6), CPU)
    assert resumed.step == 2
    resumed.run()
    one, two = (torch.load(tmp_path / name / "average.pt", weights_only=True) for name in "ab")
    worst = max(float((one[key].float() - two[key].float()).abs().max()) for key in one)
    assert worst < 1e-4
    assert resumed.skipped == 0 and [row["images"] for row in resumed.curve] == [2, 4, 6]


def test_missing_start_weights_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"average\.pt of an earlier run"):
        start_weights(tmp_path / "none.pt")


@pytest.mark.long
def test_two_processes_train_one_model_from_the_command_line(pack, tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({**asdict(config(pack, tmp_path / "run", images=8)), "packs": [str(pack)]}))
    trainer = ["-m", "seem_ros.training.batched.train", "--config", str(path)]
    launched = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *trainer]
    done = subprocess.run(launched, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [row["images"] for row in json.loads((tmp_path / "run" / "curve.json").read_text())] == [4, 8]


def test_a_batch_is_held_against_its_own_names_and_a_few_others():
    bank = tuple(f"name {k}" for k in range(300)) + ("background",)
    names = np.full((2, 256), -1)
    names[0, 3], names[1, 7] = 250, 299
    kept = fewer_names(bank, names, np.random.default_rng(0))
    assert len(kept) == BANK_NAMES + 1 and kept[-1] == "background"
    assert (kept[names[0, 3]], kept[names[1, 7]]) == ("name 250", "name 299")
    assert (names >= 0).sum() == 2


def test_a_source_that_no_pack_has_is_refused_by_name(pack):
    store = PackedPictures([pack], CPU)
    with pytest.raises(DataError, match="no pack has pictures of 'coco'; there are drawn"):
        source_weights(config(pack, "x", boost={"coco": 2.0}), store)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("width: 100", "multiples of 32"),
        ("colour: 3", "unknown field 'colour'"),
        ("share: {a: 0.8, b: 0.9}", "at most 1 together"),
        ("rounds: 9", "1 to 5"),
        ("height: tall", "height must be int"),
        ("packs: all.json", "packs must be tuple"),
    ],
)
def test_a_configuration_that_cannot_be_is_one_line(tmp_path, capsys, line, message):
    path = tmp_path / "train.yaml"
    path.write_text(line)
    assert main(["--config", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_neither_the_packer_nor_the_trainer_overwrites_foreign_files(pack, tmp_path):
    (tmp_path / "mine.json").write_text("mine")
    writer = PackWriter()
    writer.add(*scene(0), "drawn")
    with pytest.raises(DataError, match=r"holds mine\.json, which this tool did not make"):
        writer.write(tmp_path / "mine")
    (tmp_path / "average.pt").write_text("mine")
    with pytest.raises(DataError, match=r"holds average\.pt, which this tool did not make"):
        BatchedTrainer(config(pack, tmp_path), CPU).run(most_steps=1)
    assert (tmp_path / "mine.json").read_text() == (tmp_path / "average.pt").read_text() == "mine"
