# SPDX-License-Identifier: Apache-2.0
"""The exact speed-ups of `seem_ros.model` against the straightforward formulation, as ratios from one run.

    python bench/model_speed.py --variant focalt_v0 --size 480x640 --threads 2 --out out/model_speed

Weights are made from the names of the tensors: nothing is downloaded. Best of three rounds; a known convolution is
timed too, because machines vary by a factor of five. Peak memory is a fresh process's that only encodes and decodes.
"""
from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import straightforward
import torch
from measuring import CALIBRATION, calibration_ms, machine

from seem_ros.errors import SeemError
from seem_ros.model.checkpoints import deterministic_model
from seem_ros.model.prompt_tensors import PromptTensors
from seem_ros.model.seem import Seem
from seem_ros.model.tokenizer import Tokenizer

ROUNDS = 3
TEXTS = ("the red mug", "the small striped bottle on the left", "table")
FIRST_BAR, FURTHER_BAR, MEMORY_BAR_GB = 1.3, 0.10, 1.5


def clicks(count: int, mask_hw: tuple[int, int]) -> PromptTensors:
    """`count` prompts of one 3 x 3 click each."""
    out = PromptTensors.empty(1, count, points=9, text=0, references=0, dim=512, text_dim=512, mask_dim=512,
                              mask_hw=mask_hw)
    offsets = torch.stack(torch.meshgrid(torch.arange(-1, 2), torch.arange(-1, 2), indexing="xy"), -1).reshape(9, 2)
    at = torch.rand(count, 1, 2, generator=torch.Generator().manual_seed(count)) * 0.8 + 0.1
    out.points_xy[0] = at + offsets / torch.tensor([mask_hw[1] * 4, mask_hw[0] * 4])
    out.points_label[:] = 1
    return out


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def works(model: Seem, pixels: torch.Tensor) -> dict[str, Callable[[], object]]:
    """What is timed, by name; every round runs all of them in this order."""
    height, width = pixels.shape[-2:]
    one, five = (clicks(n, (height // 4, width // 4)) for n in (1, 5))
    full, _ = Tokenizer.load().encode(TEXTS)
    cut = torch.from_numpy(full[:, :int((full != 49407).sum(1).max()) + 1])
    full = torch.from_numpy(full)
    ours, plain = model.encode_image(pixels), straightforward.encode_image(model, pixels)

    def first() -> object:
        return model.decoder.decode(model.encode_image(pixels), one, appearance=False, memory=False)

    def first_straightforward() -> object:
        return straightforward.decode(model, straightforward.encode_image(model, pixels), one)

    return {
        "first prompt": first,
        "first prompt, straightforward": first_straightforward,
        "encode": lambda: model.encode_image(pixels),
        "encode, mask features not folded": lambda: model.encode_image(pixels, fold=False),
        "decode 1 prompt": lambda: model.decoder.decode(ours, one, appearance=False, memory=False),
        "decode 5 prompts": lambda: model.decoder.decode(ours, five, appearance=False, memory=False),
        "decode 1 prompt, straightforward": lambda: straightforward.decode(model, plain, one),
        "object queries": lambda: model.decode_objects(ours),
        "3 texts": lambda: model.encode_text(cut),
        "3 texts, all 77 positions": lambda: straightforward.encode_text(model, full),
    }


def peak_gb(variant: str, size: tuple[int, int]) -> float:
    """Largest resident memory of a fresh process that encodes a picture and answers two prompts in turn."""
    side = "x".join(str(length) for length in size)
    command = [sys.executable, __file__, "--variant", variant, "--size", side, "--peak"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SeemError(f"memory run failed: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.split()[-1])


@torch.inference_mode()
def print_peak(variant: str, size: tuple[int, int]) -> None:
    """The fresh process of `peak_gb`."""
    model = deterministic_model(variant)
    image = model.encode_image(torch.zeros(1, 3, *size))
    for seed in (1, 1):
        model.decode(image, clicks(seed, (size[0] // 4, size[1] // 4)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


@torch.inference_mode()
def measure(variant: str, size: tuple[int, int], threads: int) -> dict[str, object]:
    """All figures of one run."""
    torch.set_num_threads(threads)
    model = deterministic_model(variant)
    pixels = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    table = works(model, pixels)
    before = calibration_ms(threads)
    best = dict.fromkeys(table, float("inf"))
    for _ in range(ROUNDS):
        for name, work in table.items():
            best[name] = min(best[name], seconds(work))
    after = calibration_ms(threads)
    further = (best["decode 5 prompts"] - best["decode 1 prompt"]) / 4
    ratios = {
        "first prompt, times faster": best["first prompt, straightforward"] / best["first prompt"],
        "folding, encode times faster": best["encode, mask features not folded"] / best["encode"],
        "decode, times faster": best["decode 1 prompt, straightforward"] / best["decode 1 prompt"],
        "each further prompt / encode": further / best["encode"],
        "texts, times faster": best["3 texts, all 77 positions"] / best["3 texts"],
    }
    return {"variant": variant, "size": list(size), "threads": threads, "machine": machine(), "seconds": best,
            "ratios": ratios, "calibration_ms": [before, after], "peak_gb": peak_gb(variant, size)}


def report(found: dict[str, object]) -> str:
    """Markdown."""
    ratios, before, after = found["ratios"], *found["calibration_ms"]
    bars = [
        ("first prompt, times faster", ratios["first prompt, times faster"], FIRST_BAR, ">="),
        ("each further prompt / encode", ratios["each further prompt / encode"], FURTHER_BAR, "<="),
        ("peak memory, GB", found["peak_gb"], MEMORY_BAR_GB, "<="),
    ]
    lines = [
        f"# {found['variant']} at {found['size'][0]}x{found['size'][1]}: exact speed-ups", "",
        f"{found['machine']}; {found['threads']} threads, float32, best of {ROUNDS} rounds, all in one run.",
        f"Calibration ({CALIBRATION}): {before:.1f} ms before, {after:.1f} ms after.", "",
        "| bar | got | wanted | |", "|---|---|---|---|",
        *(f"| {name} | {got:.3f} | {sign} {bar} | {'met' if (got >= bar) == (sign == '>=') else 'MISSED'} |"
          for name, got, bar, sign in bars),
        "", "| ratio | |", "|---|---|", *(f"| {name} | {value:.3f} |" for name, value in ratios.items()),
        "", "| work | seconds |", "|---|---|",
        *(f"| {name} | {value:.3f} |" for name, value in found["seconds"].items()),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 when every bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="focalt_v0")
    parser.add_argument("--size", default="480x640", help="HEIGHTxWIDTH of the padded network input")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/model_speed"))
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    size = tuple(int(side) for side in options.size.split("x"))
    try:
        if options.peak:
            print_peak(options.variant, size)
            return 0
        found = measure(options.variant, size, options.threads)
    except SeemError as error:
        print(error, file=sys.stderr)
        return 2
    text = report(found)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "model_speed.md").write_text(text)
    (options.out / "model_speed.json").write_text(json.dumps(found, indent=1))
    print(text)
    return int("MISSED" in text)


if __name__ == "__main__":
    raise SystemExit(main())
