# SPDX-License-Identifier: Apache-2.0
"""``python -m seem_ros.tools.parity DIR``: run our model on golden fixtures, say how far it is from the official."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from seem_ros.command_line import one_line_errors
from seem_ros.errors import DataError, SeemError
from seem_ros.model.checkpoints import deterministic_model
from seem_ros.model.official_keys import official_shapes
from seem_ros.model.seem import Seem
from seem_ros.model.text.class_bank import bank_cache_dir
from seem_ros.model.unfilled import unfilled
from seem_ros.model.variants import OFFICIAL, model_config
from seem_ros.tools.parity.fixtures import FAMILIES, Fixture
from seem_ros.tools.parity.network import NETWORK
from seem_ros.tools.parity.report import ParityReport
from seem_ros.tools.parity.runner import Runner
from seem_ros.tools.parity.small import lang, postproc

_UNUSED_KEYS = ("dilation_kernel", "criterion.empty_weight")


def check_keys(path: Path) -> ParityReport:
    """A recorded list of official keys and shapes against the variant we build."""
    report = ParityReport(path.stem)
    variant = path.stem.removeprefix("keys_")
    wanted = {
        key: tuple(shape) for key, shape in json.loads(path.read_text())["keys"].items() if key not in _UNUSED_KEYS
    }
    with unfilled():
        ours = official_shapes(Seem(model_config(variant)).state_dict())
    report.same("missing", sorted(set(wanted) - set(ours)), [])
    report.same("not official", sorted(set(ours) - set(wanted)), [])
    report.same("shapes", [k for k in wanted if k in ours and ours[k] != wanted[k]], [])
    return report


def check_fixture(
    fixture: Fixture, runner: Runner | None, cache_dir: Path | None, classes: int | None = None
) -> ParityReport:
    """One fixture; errors become a failed line, so that the others still run."""
    report = ParityReport(fixture.name, large=bool(fixture.variant) and not fixture.variant.startswith("focalt"))
    try:
        with torch.inference_mode():
            if fixture.family == "lang":
                lang(fixture, report, cache_dir, classes)
            elif fixture.family == "postproc":
                postproc(fixture, report)
            elif runner is None:
                raise DataError("the name says no variant to run")
            else:
                NETWORK[fixture.family](runner, fixture, report)
    except (DataError, KeyError, RuntimeError, ValueError) as error:
        report.same(f"ran ({type(error).__name__}: {error})", False, True)
    return report


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m seem_ros.tools.parity", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds golden_*.npz, and optionally keys_*.json")
    parser.add_argument("--only", default="", help="only files whose name contains this")
    parser.add_argument("--classes", type=int, help="check only so many rows of the class bank (default: all 134)")
    parser.add_argument("--no-fold", action="store_true", help="make the mask features instead of folding them")
    parser.add_argument("--verbose", "-v", action="store_true", help="a line per comparison")
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except SeemError as error:
        print(error, file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Runs what the options ask for.

    Raises:
        DataError: there is nothing to run.
    """
    if not options.folder.is_dir():
        raise DataError(f"{options.folder} is not a folder")
    keys = [p for p in sorted(options.folder.glob("keys_*.json")) if options.only in p.name]
    paths = [p for p in sorted(options.folder.glob("golden_*.npz")) if options.only in p.name]
    if not keys and not paths:
        raise DataError(f"{options.folder} holds no golden_*.npz and no keys_*.json that match")
    failed = 0

    def show(report: ParityReport) -> None:
        nonlocal failed
        failed += not report.ok
        print(report.summary(), flush=True)
        for line in report.lines:
            if options.verbose or not line.ok:
                print(f"       {'ok  ' if line.ok else 'FAIL'} {line.name}: {line.text}")
        for note in report.notes:
            print(f"       not compared: {note}", flush=True)

    for path in keys:
        show(check_keys(path))
    bank = options.folder / "golden_lang.npz"
    bank = np.load(bank)["bank134"] if bank.is_file() else None
    groups: dict[str, list[Fixture]] = defaultdict(list)
    for path in paths:
        fixture = Fixture(path)
        groups[fixture.variant].append(fixture)
    model = None
    for variant, fixtures in sorted(groups.items()):
        runner = None
        if variant:
            if variant not in OFFICIAL:
                raise DataError(f"{fixtures[0].path} names the unknown variant {variant!r}")
            backbone, rules = variant.split("_")
            if model is None or not model.config.name.startswith(f"{backbone}_"):
                model = None  # before the next one is made: the larger ones fill the memory
                gc.collect()
                model = deterministic_model(variant)
            model = model.with_rules(rules)  # the weights follow from the names, which all rules share
            runner = Runner(model, bank, False if options.no_fold else None)
        for fixture in sorted(fixtures, key=lambda f: FAMILIES.index(f.family)):
            show(check_fixture(fixture, runner, bank_cache_dir(), options.classes))
    print(f"{len(keys) + len(paths) - failed} of {len(keys) + len(paths)} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
