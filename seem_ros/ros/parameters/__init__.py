# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table that declares, describes, checks and documents them."""

from seem_ros.ros.parameters.row import Parameter
from seem_ros.ros.parameters.settings import MODELS_OWN, Settings, changed_but_fixed, changed_but_locked, table

__all__ = ["MODELS_OWN", "Parameter", "Settings", "changed_but_fixed", "changed_but_locked", "table"]
