# SPDX-License-Identifier: Apache-2.0
"""The exact speed-ups of `seem_ros.model` against the straightforward formulation, as ratios from one run.

    python bench/model_speed.py --variant focalt_v0 --size 480x640 --threads 2 --out out/model_speed

Weights are made from the names of the tensors: nothing is downloaded. Best of three rounds; a known convolution is
timed too, because machines vary by a factor of five. Peak memory is a fresh process's that loads a checkpoint, encodes
a picture and answers a click and a correction; what importing torch alone takes is told beside it, since a CUDA build
takes 300 MB more than a CPU build.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import straightforward
import torch
from measuring import CALIBRATION, calibration_ms, machine
from model_memory import clicks

from seem_ros.errors import SeemError
from seem_ros.model.checkpoints import deterministic_model
from seem_ros.model.official_keys import to_official
from seem_ros.model.seem import Seem
from seem_ros.model.text.tokenizer import Tokenizer

ROUNDS = 3
TEXTS = ("the red mug", "the small striped bottle on the left", "table")
FIRST_BAR, FURTHER_BAR, MEMORY_BAR_GB = 1.3, 0.10, 1.5


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
    cut = torch.from_numpy(full[:, : int((full != 49407).sum(1).max()) + 1])
    full = torch.from_numpy(full)
    ours, plain = model.encode_image(pixels), straightforward.encode_image(model, pixels)

    def first() -> object:
        return model.decoder.decode(model.encode_image(pixels), one, appearance=False)

    def first_straightforward() -> object:
        return straightforward.decode(model, straightforward.encode_image(model, pixels), one)

    return {
        "first prompt": first,
        "first prompt, straightforward": first_straightforward,
        "encode": lambda: model.encode_image(pixels),
        "encode, mask features not folded": lambda: model.encode_image(pixels, fold=False),
        "decode 1 prompt": lambda: model.decoder.decode(ours, one, appearance=False),
        "decode 5 prompts": lambda: model.decoder.decode(ours, five, appearance=False),
        "decode 1 prompt, straightforward": lambda: straightforward.decode(model, plain, one),
        "object queries": lambda: model.decode_objects(ours),
        "3 texts": lambda: model.encode_text(cut),
        "3 texts, all 77 positions": lambda: straightforward.encode_text(model, full),
    }


def memory(model: Seem, size: tuple[int, int], threads: int) -> dict[str, object]:
    """What `model_memory.py` says of these weights as an official checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"seem_{model.config.name}.pt"
        torch.save(to_official(model.state_dict()), path)
        command = [
            sys.executable,
            str(Path(__file__).with_name("model_memory.py")),
            str(path),
            "--size",
            "x".join(str(side) for side in size),
            "--threads",
            str(threads),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SeemError(f"memory run failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


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
    return {
        "variant": variant,
        "size": list(size),
        "threads": threads,
        "machine": machine(),
        "seconds": best,
        "ratios": ratios,
        "calibration_ms": [before, after],
        "memory_gb": memory(model, size, threads),
    }


def report(found: dict[str, object]) -> str:
    """Markdown."""
    ratios, before, after = found["ratios"], *found["calibration_ms"]
    bars = [
        ("first prompt, times faster", ratios["first prompt, times faster"], FIRST_BAR, ">="),
        ("each further prompt / encode", ratios["each further prompt / encode"], FURTHER_BAR, "<="),
        ("peak memory, GB", found["memory_gb"]["peak"], MEMORY_BAR_GB, "<="),
    ]
    lines = [
        f"# {found['variant']} at {found['size'][0]}x{found['size'][1]}: exact speed-ups",
        "",
        f"{found['machine']}; {found['threads']} threads, float32, best of {ROUNDS} rounds, all in one run.",
        f"Calibration ({CALIBRATION}): {before:.1f} ms before, {after:.1f} ms after.",
        f"Memory with torch {found['memory_gb']['torch']}: {found['memory_gb']['imports']:.2f} GB after imports, "
        f"{found['memory_gb']['loaded']:.2f} GB with the model loaded.",
        "",
        "| bar | got | wanted | |",
        "|---|---|---|---|",
        *(
            f"| {name} | {got:.3f} | {sign} {bar} | {'met' if (got >= bar) == (sign == '>=') else 'MISSED'} |"
            for name, got, bar, sign in bars
        ),
        "",
        "| ratio | |",
        "|---|---|",
        *(f"| {name} | {value:.3f} |" for name, value in ratios.items()),
        "",
        "| work | seconds |",
        "|---|---|",
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
    options = parser.parse_args(arguments)
    size = tuple(int(side) for side in options.size.split("x"))
    try:
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
