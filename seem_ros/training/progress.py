# SPDX-License-Identifier: Apache-2.0
"""The curves of a training run: a CSV file that grows, and a picture of it."""

from __future__ import annotations

import csv
from pathlib import Path

COLUMNS = (
    "step",
    "images",
    "seconds",
    "clips",
    "rate",
    "loss",
    "norm",
    "objects",
    "class_0",
    "class_1",
    "dense_0",
    "dense_1",
    "mask1",
    "presence1",
    "label1_True",
    "label1_False",
    "mask2",
    "presence2",
    "label2_True",
    "label2_False",
)
PLOTTED = (
    ("masks", ("objects", "mask1", "mask2")),
    ("names", ("class_0", "class_1", "dense_0", "dense_1")),
    ("presence", ("presence1", "presence2")),
    ("learning rate", ("rate",)),
)


class Curve:
    """Appends rows to a CSV file and draws it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, row: dict[str, float]) -> None:
        """Appends one row; the header is written with the first."""
        new = not self.path.is_file()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" for k, v in row.items()})

    def rows(self) -> list[dict[str, float]]:
        """All rows; a value that a row lacks is left out of its dict."""
        with self.path.open(newline="") as file:
            return [{k: float(v) for k, v in row.items() if v not in ("", None)} for row in csv.DictReader(file)]

    def plot(self, path: Path) -> None:
        """Draws the curves over pictures seen to a PNG; does nothing before the first row."""
        if not self.path.is_file():
            return
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        rows = self.rows()
        figure = Figure(figsize=(11, 6), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, (title, names) in zip(figure.subplots(2, 2).flat, PLOTTED):
            for name in names:
                points = [(r["images"], r[name]) for r in rows if name in r]
                if points:
                    axes.plot(*zip(*points), label=name, linewidth=1)
            axes.set(title=title, xlabel="pictures seen")
            axes.grid(alpha=0.3)
            if axes.lines:
                axes.legend(fontsize=7)
        figure.savefig(path, dpi=90)
