# SPDX-License-Identifier: Apache-2.0
"""Frames and prompts in, labeled segments and targets with a memory out: numpy only, no torch, no ROS.

The way of a prompt: ``structures.prompts`` (what a user says, pixels of the source image) -> ``prompting`` (points,
tokens and priors on the network's input, through the map in ``structures.letterbox``) -> one batched decode
(``segmenter``) -> ``masks`` (decided at source resolution) -> ``structures.segments`` (label image and records).

The way of a frame with targets: ``tracking.tracker`` asks for every ``tracking.target`` with what it remembers,
``tracking.association`` says which answers are believed, ``tracking.observation`` reads appearance and writes the
result.
"""
