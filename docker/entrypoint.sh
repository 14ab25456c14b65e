#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command with ROS and this workspace sourced.
set -e
# shellcheck disable=SC1091
source "/opt/ros/${ROS_DISTRO}/setup.bash"
# shellcheck disable=SC1091
source /ws/install/setup.bash
exec "$@"
