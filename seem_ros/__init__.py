# SPDX-License-Identifier: Apache-2.0
"""seem_ros: a robot's eyes that you can talk to.

The package's path is extended so that the generated `seem_ros.msg` and `seem_ros.srv` of an installed ROS workspace
join this source tree instead of being hidden by it.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"
