# SPDX-License-Identifier: Apache-2.0
"""A typed client of the node, for planners, scripts and tests; every call has a time-out."""

from seem_ros.ros.client.replies import RefineReply, RemoveReply, SegmentReply
from seem_ros.ros.client.seem_client import SeemClient

__all__ = ["RefineReply", "RemoveReply", "SeemClient", "SegmentReply"]
