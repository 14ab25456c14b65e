# SPDX-License-Identifier: Apache-2.0
"""What ``python -m seem_ros.tools.evaluate`` is made of: who is asked, how a user is simulated, what is counted."""
