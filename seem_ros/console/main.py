# SPDX-License-Identifier: Apache-2.0
"""Serves the browser console: see the camera, point, say, correct, name.

    ros2 run seem_ros console
    ros2 run seem_ros console --host 0.0.0.0          reachable from other machines; prints an address with a token
    python -m seem_ros.console.main --demo            with a node and a camera of its own: the recorded clip in a loop

It finds nodes and cameras by itself; what follows --ros-args goes to ROS.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
import webbrowser
from pathlib import Path
from urllib.parse import quote

from seem_ros.errors import BackendError, PromptError, SeemError
from seem_ros.extras import pip_line


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="console", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default this machine only")
    parser.add_argument("--port", type=int, default=8080, help="default 8080; 0 = any free one")
    parser.add_argument(
        "--token",
        default=os.environ.get("SEEM_CONSOLE_TOKEN", ""),
        help=(
            "what a browser must show once, at least 16 characters; default SEEM_CONSOLE_TOKEN, else drawn where the "
            "address needs one"
        ),
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name of this machine; NAME:PORT where a tunnel or a container shows another port",
    )
    parser.add_argument("--max-rate-hz", type=float, default=12.0, help="pictures a second at most; default 12")
    parser.add_argument("--jpeg-quality", type=int, default=80, help="1 to 100; default 80")
    parser.add_argument("--max-side", type=int, default=1280, help="larger pictures are shown smaller; default 1280")
    parser.add_argument(
        "--labels", type=Path, metavar="DIR", help="labels made by seem_ros.tools.label, to be corrected in the page"
    )
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--demo", action="store_true", help="start a node and a camera as well, away from other ROS nodes"
    )
    parser.add_argument("--video", help="with --demo: your video, folder of pictures, bag, or a webcam's number")
    parser.add_argument("--model", default="builtin", help="with --demo: model package, a name or a folder")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end.

    Returns:
        The exit status: 0, 143 where it was terminated, or 2 for what cannot be run.
    """
    words = sys.argv[1:] if arguments is None else arguments
    own, ros = (
        (words[: words.index("--ros-args")], words[words.index("--ros-args") :])
        if "--ros-args" in words
        else (words, [])
    )
    options = build_parser().parse_args(own)
    # until the server listens to it: the node and camera of a demo must not stay behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return _serve(options, ros)
    except KeyboardInterrupt:
        return 0
    except (SeemError, OSError) as error:
        print(f"console: {error}", file=sys.stderr)
        return 2


def _serve(options: argparse.Namespace, ros: list[str]) -> int:
    try:
        from seem_ros.console.server.app import make_app
        from seem_ros.console.server.labels import LabelDesk
        from seem_ros.console.server.serving import Server
    except ImportError as error:
        raise BackendError(
            f"the console needs starlette, uvicorn and websockets ({pip_line('console')}): {error}"
        ) from error
    from seem_ros.console.client.link import RosLink
    from seem_ros.console.demo import DemoStage
    from seem_ros.console.pictures.feed import FeedSettings
    from seem_ros.console.server.access import Access, is_loopback

    if not 0 <= options.port <= 65535:
        raise PromptError(f"--port must lie in 0 to 65535, got {options.port}")
    settings = FeedSettings(options.max_rate_hz, options.jpeg_quality, options.max_side)
    token = options.token or ("" if is_loopback(options.host) else secrets.token_urlsafe(24))
    opened = _listen(options.host, options.port)
    port = opened.getsockname()[1]
    access = Access(options.host, port, token, tuple(name.lower() for name in options.allow_host))
    stage = DemoStage(options.video, options.model) if options.demo else None
    link = None
    try:
        link = RosLink(ros)
        desk = LabelDesk(options.labels, link) if options.labels else None
        server = Server(make_app(link, access, settings, desk))
        address = _address(options.host, port, token)
        print(f"console: {address}", flush=True)
        if not options.no_open and _is_desktop():
            webbrowser.open(address)
        server.run(sockets=[opened])
        return 128 + server.ended_by if server.ended_by == signal.SIGTERM else 0
    finally:
        opened.close()
        if link is not None:
            link.close()
        if stage is not None:
            stage.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise PromptError(f"--host {host[:80]!r} is no address: {error}") from error
    # asyncio turns Nagle's algorithm off (40 ms a picture) only where the protocol is named
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(where)
        opened.listen()  # who comes before the server is ready waits
    except OSError as error:
        opened.close()
        raise BackendError(f"cannot listen on {host} port {port}: {error.strerror}; choose another --port") from error
    return opened


def _address(host: str, port: int, token: str) -> str:
    """What to type into a browser."""
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


def _is_desktop() -> bool:
    seen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform in ("darwin", "win32")
    return bool(seen) and sys.stdout.isatty()


if __name__ == "__main__":
    sys.exit(main())
