# SPDX-License-Identifier: Apache-2.0
"""The web server: the page's own files, the socket, and a handful of addresses for calls. Nothing else is served."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from seem_ros.console.client.link import RosLink
from seem_ros.console.client.parameters import read_parameters, set_parameter
from seem_ros.console.pictures.feed import FeedSettings
from seem_ros.console.server.access import Access, BodyTooLargeError, Guard
from seem_ros.console.server.bundle import write_bundle
from seem_ros.console.server.hub import Hub
from seem_ros.console.server.labels import LabelDesk
from seem_ros.console.server.viewer import Viewer
from seem_ros.errors import PromptError, SeemError

# ten people around a robot, and some tabs that nobody closed
MAX_VIEWERS = 16
TRY_AGAIN_LATER = 1013
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
Handler = Callable[[Request], Awaitable[Response]]


def page_files() -> dict[str, tuple[bytes, str]]:
    """All files of the page by their paths, read once: a request chooses among them and never touches the disk."""
    found: dict[str, tuple[bytes, str]] = {}

    def walk(folder: Any, prefix: str) -> None:
        for item in folder.iterdir():
            if item.is_dir():
                walk(item, f"{prefix}{item.name}/")
            elif PurePosixPath(item.name).suffix in _TYPES:
                found[f"{prefix}{item.name}"] = (item.read_bytes(), _TYPES[PurePosixPath(item.name).suffix])

    walk(resources.files("seem_ros.console").joinpath("page"), "/")
    found["/"] = found.pop("/index.html")
    return found


def make_app(link: RosLink, access: Access, settings: FeedSettings, desk: LabelDesk | None = None) -> Guard:
    """The ASGI application.

    Args:
        link: The ROS side.
        access: Who may talk to it.
        settings: How pictures go out.
        desk: Labels that are corrected here; None: there are none.
    """
    files = page_files()
    saving = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.hub = Hub(link, settings)
        try:
            yield
        finally:
            app.state.hub.close()

    async def page(request: Request) -> Response:
        found = files.get(request.url.path)
        if found is None:
            return Response("there is nothing here", 404, media_type="text/plain")
        return Response(found[0], media_type=found[1])

    async def call(request: Request) -> Response:
        hub: Hub = request.app.state.hub
        body = await _json_body(request, {"node": str, "service": str, "request": dict})
        return JSONResponse(await hub.calls.call(body["node"], body["service"], body["request"]))

    async def parameters(request: Request) -> Response:
        hub: Hub = request.app.state.hub
        return JSONResponse(
            {"parameters": await read_parameters(link, _node(hub, request.query_params.get("node", "")))}
        )

    async def parameter(request: Request) -> Response:
        hub: Hub = request.app.state.hub
        body = await _json_body(request, {"node": str, "name": str, "type": str, "value": object})
        node = _node(hub, body["node"])
        return JSONResponse(await set_parameter(hub.calls, link, node, body["name"], body["type"], body["value"]))

    async def pictures(request: Request) -> Response:
        hub: Hub = request.app.state.hub
        return JSONResponse(hub.pictures.add(await request.body()))

    async def bundle(request: Request) -> Response:
        hub: Hub = request.app.state.hub
        node = _node(hub, request.query_params.get("node", ""))
        packed = await request.body()
        try:
            rows = await read_parameters(link, node)
        except SeemError:
            rows = []  # a node that does not answer is what many reports are about
        data = write_bundle(packed, node, list(hub.calls.log), rows, hub.diagnostics(node)["statuses"])
        return Response(data, media_type="application/zip")

    async def labels(request: Request) -> Response:
        if desk is None:
            return JSONResponse({"pictures": None})
        file = request.query_params.get("file", "")
        if file:
            return JSONResponse(await run_in_threadpool(desk.picture, file))
        return JSONResponse(await run_in_threadpool(desk.ranked))

    async def outline(request: Request) -> Response:
        hub: Hub = request.app.state.hub
        body = await _json_body(request, {"node": str, "file": str, "object": int, "prompt": dict})
        node = _node(hub, body["node"])
        return JSONResponse(await _desk(desk).outline(node, body["file"], body["object"], body["prompt"]))

    async def correct(request: Request) -> Response:
        body = await _json_body(request, {"file": str, "action": str, "object": int, "name": str, "mask": str})
        async with saving:  # two pages that save at once would write over each other
            done = await run_in_threadpool(
                _desk(desk).save, body["file"], body["action"], body["object"], body["name"], body["mask"]
            )
        return JSONResponse(done)

    async def socket(websocket: WebSocket) -> None:
        hub: Hub = websocket.app.state.hub
        await websocket.accept()
        if len(hub.viewers) >= MAX_VIEWERS:
            await websocket.close(TRY_AGAIN_LATER, f"{MAX_VIEWERS} pages are open already; close one")
            return
        await Viewer(hub, websocket).serve()

    app = Starlette(
        routes=[
            Route("/api/call", _answering(call), methods=["POST"]),
            Route("/api/parameters", _answering(parameters), methods=["GET"]),
            Route("/api/parameter", _answering(parameter), methods=["POST"]),
            Route("/api/pictures", _answering(pictures), methods=["POST"]),
            Route("/api/bundle", _answering(bundle), methods=["POST"]),
            Route("/api/labels", _answering(labels), methods=["GET"]),
            Route("/api/labels/outline", _answering(outline), methods=["POST"]),
            Route("/api/labels/correct", _answering(correct), methods=["POST"]),
            WebSocketRoute("/socket", socket),
            Route("/{path:path}", page, methods=["GET"]),
        ],
        lifespan=lifespan,
    )
    return Guard(app, access)


def _desk(desk: LabelDesk | None) -> LabelDesk:
    if desk is None:
        raise PromptError("this console was started without --labels")
    return desk


def _node(hub: Hub, name: str) -> str:
    if not any(one.name == name for one in hub.nodes):
        raise PromptError(f"there is no segmentation node {name[:80]!r}")
    return name


async def _json_body(request: Request, fields: dict[str, type]) -> dict[str, Any]:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not a number")

    # a form of another site can send a body, but not with this type
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise PromptError("the body must be application/json")
    try:
        body = json.loads(await request.body(), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise PromptError(f"the body is not JSON: {str(error)[:100]}") from error
    if not isinstance(body, dict) or set(body) != set(fields):
        raise PromptError(f"the body must have the fields {', '.join(fields)}")
    for name, kind in fields.items():
        if not isinstance(body[name], kind):
            raise PromptError(f"{name} must be of type {kind.__name__}")
    return body


def _answering(handler: Handler) -> Handler:
    """Errors become answers; nothing escapes."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except SeemError as error:
            # what was sent may be quoted in it, and half a character can be no answer
            return JSONResponse({"message": str(error).encode("utf-8", "replace").decode()}, 400)
        except BodyTooLargeError:
            return JSONResponse({"message": "the body is too large"}, 413)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            link_logger(f"internal error in {request.url.path}: {type(error).__name__}: {error}")
            return JSONResponse({"message": f"internal error: {type(error).__name__}"}, 500)

    return answer


def link_logger(text: str) -> None:
    """Say something on the console that started us."""
    print(f"console: {text}", flush=True)
