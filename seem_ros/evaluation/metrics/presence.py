# SPDX-License-Identifier: Apache-2.0
"""Is it there at all? How often absent things are found and present ones are missed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class PresenceScores:
    """Counts yes/no answers. A model without a presence score finds something always, and is counted so."""

    absent: int = 0
    absent_found: int = 0
    present: int = 0
    present_missed: int = 0

    def add(self, is_present: bool, found: bool) -> None:
        """Count one answer."""
        if is_present:
            self.present += 1
            self.present_missed += not found
        else:
            self.absent += 1
            self.absent_found += found

    @property
    def false_found_rate(self) -> float:
        """Absent things that were found, as a share of the absent ones; NaN without any."""
        return self.absent_found / self.absent if self.absent else float("nan")

    @property
    def missed_rate(self) -> float:
        """Present things that were not found, as a share of the present ones; NaN without any."""
        return self.present_missed / self.present if self.present else float("nan")

    def summary(self) -> dict[str, float]:
        """Both rates, the share of right answers, and the counts."""
        n = self.absent + self.present
        right = n - self.absent_found - self.present_missed
        return {
            "false_found": self.false_found_rate,
            "missed": self.missed_rate,
            "accuracy": right / n if n else float("nan"),
            "absent": self.absent,
            "present": self.present,
        }
