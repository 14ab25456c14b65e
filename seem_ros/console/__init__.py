# SPDX-License-Identifier: Apache-2.0
"""The browser console: a web page over the node's topics and services. A ROS client like any other.

Needs starlette, uvicorn and websockets (``pip install starlette uvicorn websockets``); nothing else of seem_ros does.
"""
