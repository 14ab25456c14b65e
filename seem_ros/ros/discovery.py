# SPDX-License-Identifier: Apache-2.0
"""Who can hear a process's ROS nodes."""

from __future__ import annotations

import os

# it came with Iron; Humble has a switch instead, at which later distributions only complain
_WITH_A_SWITCH = ("humble",)


def stay_on_this_machine(domain: int, insist: bool = True) -> None:
    """Keep this process, and those that it starts, away from robots on the same network.

    Args:
        domain: ROS domain of its own.
        insist: False leaves a domain and a range that the user has chosen.
    """
    chosen = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if os.environ.get("ROS_DISTRO") in _WITH_A_SWITCH:
        chosen["ROS_LOCALHOST_ONLY"] = "1"
    for name, value in chosen.items():
        if insist or not os.environ.get(name):
            os.environ[name] = value
