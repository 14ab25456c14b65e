# SPDX-License-Identifier: Apache-2.0
"""A typed client of the node, for planners, scripts and tests; every call has a time-out."""

from seem_ros.ros.client.find_calls import Finding, FindReply
from seem_ros.ros.client.replies import KnownObject, RefineReply, RemoveReply, SegmentReply, UndoReply
from seem_ros.ros.client.seem_client import SeemClient

__all__ = [
    "FindReply",
    "Finding",
    "KnownObject",
    "RefineReply",
    "RemoveReply",
    "SeemClient",
    "SegmentReply",
    "UndoReply",
]
