# SPDX-License-Identifier: Apache-2.0
# Source this to use the ROS of .venv (made by `make env`) and the interfaces of install/ (made by `make build`):
#   . scripts/env.sh && python examples/pick.py
# Not for a machine with ROS installed: there, source its setup.bash and the workspace's install/setup.bash.
seem_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"
seem_venv="${VENV:-$seem_root/.venv}"
seem_install="${SEEM_INSTALL:-$seem_root/install}/seem_ros"
seem_foreign="${SEEM_INSTALL:-$seem_root/install}/interfaces"
seem_python="$("$seem_venv/bin/python" -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}")')"
# which distribution the wheels are, as a setup.bash says it: Fast DDS's variables differ by it
seem_distro="$(cd "$seem_venv/lib/$seem_python/site-packages" && ls -d ros_*_rclpy-*.dist-info 2>/dev/null)"
seem_distro="${seem_distro#ros_}"
export ROS_DISTRO="${seem_distro%%_*}"
export PATH="$seem_venv/bin:$PATH"
export AMENT_PREFIX_PATH="$seem_install:$seem_foreign:$seem_venv"
export PYTHONPATH="$seem_root:$seem_install/lib/$seem_python/site-packages:$seem_foreign/lib/$seem_python/site-packages"
# the ROS wheels add their own library folders when Python starts
export LD_LIBRARY_PATH="$seem_install/lib:$seem_foreign/lib"
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
unset seem_root seem_venv seem_install seem_foreign seem_python seem_distro
