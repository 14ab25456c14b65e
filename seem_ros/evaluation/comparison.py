# SPDX-License-Identifier: Apache-2.0
"""Two models measured on the same data: what was, what is, and the difference."""

from __future__ import annotations

from seem_ros.errors import DataError
from seem_ros.evaluation.report import Report

BEFORE, AFTER, CHANGE = "before", "after", "change"


def compare(before: Report, after: Report) -> Report:
    """One table of every measure that both reports hold.

    Args:
        before, after: of the same data, the model's rows named alike.

    Returns:
        A report with a row per section, row and measure; counts are left out where they agree.

    Raises:
        DataError: the reports share no measure.
    """
    table = Report({"before": before.about, "after": after.about})
    empty = True
    for section, row, measure, old in before.numbers():
        new = after.number(section, row, measure)
        if new is None or (measure.startswith("n") and old == new):
            continue
        empty = False
        table.add(section, f"{row}: {measure}", {BEFORE: float(old), AFTER: float(new), CHANGE: float(new - old)})
    if empty:
        raise DataError("the two reports share no measure: were both models asked the same?")
    return table
