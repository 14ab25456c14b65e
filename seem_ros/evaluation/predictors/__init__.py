# SPDX-License-Identifier: Apache-2.0
"""Who is evaluated: our model as the product uses it, and the classical methods beside it."""
