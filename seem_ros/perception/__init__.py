# SPDX-License-Identifier: Apache-2.0
"""Frames and prompts in, labeled segments and targets with a memory out: numpy only, no torch, no ROS.

The way of a prompt: ``prompts`` (what a user says, pixels of the source image) -> ``regions`` and ``asking`` (points,
tokens and priors on the network's input, through the map in ``geometry``) -> one batched decode (``segmenter``) ->
``masks`` (decided at source resolution) -> ``composing`` and ``results`` (label image and records).

The way of a frame with targets: ``tracker`` asks for every ``target`` with what it remembers, ``judging`` says which
answers are believed, ``looking`` reads appearance and writes the result.
"""
