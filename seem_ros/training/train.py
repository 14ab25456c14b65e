# SPDX-License-Identifier: Apache-2.0
"""Teaches a package new things from labelled pictures; `training.batched.train` makes the built-in model from nothing.

    python -m seem_ros.training.train --data labels --init builtin --minutes 15 --out out/mine  # what `label` made
    torchrun --standalone --nproc-per-node 8 -m seem_ros.training.train --data labels --out out/mine         # on 8 GPUs

Resumes by itself from `last.pt` in the output folder. Every step draws from a generator seeded by (seed, step,
process), so that a run that was interrupted goes on as if it had not been, as long as the data folder is the same.
"""

from __future__ import annotations

import argparse
import shlex
import sys

import torch

from seem_ros.command_line import one_line_errors
from seem_ros.errors import SeemError
from seem_ros.runtime.package import find_package, open_package
from seem_ros.training.fine_tune import FineTuneConfig, fine_tune
from seem_ros.training.run_state import join_processes, leave_processes


def teach(config: FineTuneConfig, rank: int, processes: int) -> None:
    """Fine-tunes a package and says how to make a package of the result.

    Raises:
        SeemError: data and package cannot be used.
    """
    torch.set_num_threads(1 if processes > 1 else torch.get_num_threads())
    out, steps = fine_tune(config, rank, processes)
    if rank == 0:
        height, width = open_package(find_package(config.init)).spec.input_hw
        done = "taught" if steps else f"it had its {config.minutes:g} minutes already and was only mixed anew"
        export = ["python", "-m", "seem_ros.tools.export", f"{out}/average.pt", "--card", f"{out}/card.yaml"]
        command = shlex.join([*export, "--size", f"{height}x{width}", "--out", f"{out}/package"])
        print(f"{out}: {done}. Make a package of it:\n  {command}")
    leave_processes(processes)


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m seem_ros.training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, help="folder of labelled pictures")
    parser.add_argument("--out", required=True, help="folder for checkpoints, the curve and the card")
    parser.add_argument("--init", help="package to teach, a name or a folder")
    parser.add_argument(
        "--replay", action="append", default=[], metavar="DIR", help="old scenes that go along; repeatable"
    )
    parser.add_argument("--minutes", type=float, help="stop after so long, with a checkpoint to go on from")
    parser.add_argument(
        "--new-share",
        type=float,
        metavar="P",
        help="how far the result goes from the old weights to the trained ones, default 0.5; a finished run that is "
        "given another one is only mixed anew",
    )
    given = vars(parser.parse_args(arguments))
    try:
        rank, processes = join_processes()
        usual = {key: given[key] for key in ("init", "minutes", "new_share") if given[key] is not None}
        teach(FineTuneConfig(given["data"], given["out"], replay=tuple(given["replay"]), **usual), rank, processes)
    except SeemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
