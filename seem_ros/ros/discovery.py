# SPDX-License-Identifier: Apache-2.0
"""Who can hear a process's ROS nodes, and whether large pictures reach them."""

from __future__ import annotations

import os

from seem_ros.files import share_folders
from seem_ros.ros.launching.plan import large_images

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


def let_large_images_through() -> None:
    """Make room for pictures in Fast DDS's shared memory, for this process and those that it starts.

    Where a picture and its depth do not fit, reliable messages beside them are held back as well: /tf by up to the
    three seconds after which a writer asks whether all has arrived. A profile that the user has chosen is left.
    """
    for share in share_folders():
        if (share / "config").is_dir():
            os.environ.update(large_images(share, os.environ))
            return
