# SPDX-License-Identifier: Apache-2.0
"""The measures the seeds are judged by, each tested against hand-worked cases. numpy in, plain numbers out."""
