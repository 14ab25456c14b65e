# SPDX-License-Identifier: Apache-2.0
"""Resident memory of a process that loads a checkpoint, encodes a picture and answers a click and a correction.

    python bench/model_memory.py seem_focalt_v0.pt --size 480x640

Prints JSON, 10^9 bytes: after imports, with the model loaded, and at most. A CUDA build of torch takes 300 MB more than
a CPU build before anything is done. Run by `model_speed.py`, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import torch

from seem_ros.model.checkpoints import load_checkpoint
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors


def clicks(count: int, mask_hw: tuple[int, int]) -> PromptTensors:
    """`count` prompts of one 3 x 3 click each."""
    out = PromptTensors.empty(
        1, count, points=9, text=0, references=0, dim=512, text_dim=512, mask_dim=512, mask_hw=mask_hw
    )
    offsets = torch.stack(torch.meshgrid(torch.arange(-1, 2), torch.arange(-1, 2), indexing="xy"), -1).reshape(9, 2)
    at = torch.rand(count, 1, 2, generator=torch.Generator().manual_seed(count)) * 0.8 + 0.1
    out.points_xy[0] = at + offsets / torch.tensor([mask_hw[1] * 4, mask_hw[0] * 4])
    out.points_label[:] = 1
    return out


def most_resident_gb() -> float:
    """Largest resident memory of this process so far, 10^9 bytes (`getrusage` would count the parent's, too)."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e9


@torch.inference_mode()
def memory_gb(checkpoint: Path, size: tuple[int, int]) -> dict[str, float]:
    """The figures; run it once per process."""
    found = {"imports": most_resident_gb()}
    model = load_checkpoint(checkpoint)
    found["loaded"] = most_resident_gb()
    image = model.encode_image(torch.zeros(1, 3, *size))
    prompt = clicks(1, (size[0] // 4, size[1] // 4))
    for _ in range(2):
        answer = model.decode(image, prompt)
        prompt.previous_mask, prompt.has_previous = answer.memory_mask, torch.ones_like(prompt.has_previous)
    found["peak"] = most_resident_gb()
    return {"torch": torch.__version__, **found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--size", default="480x640", help="HEIGHTxWIDTH of the padded network input")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps(memory_gb(options.checkpoint, tuple(int(side) for side in options.size.split("x")))))
