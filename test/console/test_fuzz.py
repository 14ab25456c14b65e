# SPDX-License-Identifier: Apache-2.0
"""Nonsense sent to every address and to the socket: nothing breaks, nothing is told that is not the page's own.

SEEM_FUZZ=10000 sends that many to each; CI sends a few hundred.
"""

import asyncio
import contextlib
import json
import os
import random
import socket
from pathlib import Path

import pytest
import websockets
from colour_backend import scene
from harness import Camera, wait_for

COUNT = int(os.environ.get("SEEM_FUZZ", "200"))
PATHS = (
    *("/", "/api/call", "/api/parameter", "/api/parameters?node=", "/api/pictures", "/api/bundle?node=/seem", "/js/"),
    *("/api/labels?file=", "/api/labels/outline", "/api/labels/correct"),
)
SECRET = b"# SPDX-License-Identifier"  # begins every file of the repository; the page's scripts say it in // and /* */


@pytest.fixture(scope="module")
def console(start_node, start_console, client, tmp_path_factory):
    start_node(f"objects_dir:={tmp_path_factory.mktemp('objects')}")
    camera = Camera(client, "image", lambda _: scene({(30, 30): "red"}), rate_hz=5)
    console = start_console()
    wait_for(lambda: b"parameters" in console.request("/api/parameters?node=/seem")[1], "the node", 40)
    yield console
    camera.close()


def value(rng, depth=0):
    """A JSON value, of the kinds that requests are made of and of others."""
    kinds = [
        lambda: rng.choice([None, True, False, 0, -1, 2**31, 2**64, 1e308, -0.0, float("nan"), float("inf")]),
        lambda: rng.choice(["", "/seem", "../../etc/passwd", "\ud800", "a" * rng.randint(0, 3000), "\0", "{}"]),
        lambda: [value(rng, depth + 1) for _ in range(rng.randint(0, 4))],
        lambda: {
            rng.choice(["node", "service", "request", "prompts", "clicks", "x", "text", "picture", "stamp", "__class__",
                        "reference", "compressed_image", "data", "target_id", "type", "name", "value", "camera"]):
            value(rng, depth + 1) for _ in range(rng.randint(0, 5))
        },
    ]  # fmt: skip
    return rng.choice(kinds[: 2 if depth > 4 else 4])()


def body(rng):
    """What is posted: JSON that is almost right, JSON that is not, and bytes."""
    almost = {
        "node": "/seem", "service": rng.choice(["segment", "refine", "remove_targets", "rename", "teach", "undo"]),
        "request": value(rng),
    }  # fmt: skip
    parameter = {"node": "/seem", "name": rng.choice(["overlay_alpha", "things", "nothing"]),
                 "type": rng.choice(["float", "str", "x"]), "value": value(rng)}  # fmt: skip
    text = json.dumps(rng.choice([almost, almost, parameter, value(rng)])).encode("utf-8", "replace")
    if rng.random() < 0.2:
        at = rng.randrange(len(text))
        text = text[:at] + rng.randbytes(rng.randint(0, 9)) + text[at + rng.randint(0, 9) :]
    return rng.choice([text, text, text, rng.randbytes(rng.randint(0, 400)), b"[" * rng.randint(0, 5000)])


@pytest.mark.parametrize("path", PATHS)
def test_an_address_answers_nonsense_with_a_refusal(console, path):
    rng, statuses = random.Random(path), set()
    for _ in range(COUNT):
        noise = "".join(rng.choice("./%\\aé0&=?;:~-_ ".replace(" ", "+")) for _ in range(rng.randint(0, 12)))
        where = path + noise.encode("ascii", "ignore").decode() if rng.random() < 0.5 else path
        method = rng.choice(["GET", "POST", "POST", "POST", "PUT", "HEAD"])
        kind = rng.choice(["application/json", "application/json", "text/plain", "x"])
        sent = body(rng) if method in ("POST", "PUT") else None
        status, answer, _ = console.request(where, sent, {"content-type": kind}, method)
        statuses.add(status)
        assert status < 500, (method, where, sent, answer[:300])
        assert b"root:" not in answer and SECRET not in answer[:200]
    assert statuses & {400, 404, 405}


def test_bytes_that_are_no_http_do_not_hold_a_connection_up(console):
    rng = random.Random(5)
    for _ in range(COUNT):
        with socket.create_connection(("127.0.0.1", console.port), 20) as plain:
            head = rng.choice(
                [b"", b"GET / HTTP/1.1\r\n", b"POST /api/call HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"\x16\x03\x01"]
            )
            with contextlib.suppress(ConnectionError):
                plain.sendall(head + rng.randbytes(rng.randint(1, 300)) + b"\r\n\r\n")
                plain.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    answer = plain.recv(300)
                    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert console.request("/")[0] == 200


def test_a_socket_takes_nonsense_and_the_others_go_on(console):
    rng = random.Random(9)
    watch = json.dumps({"type": "watch", "node": "/seem", "camera": "camera"})

    async def read(ws):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _ in ws:
                pass

    async def send():
        address = f"ws://127.0.0.1:{console.port}/socket"
        sent = 0
        while sent < COUNT:
            async with websockets.connect(address, max_size=None, compression=None, proxy=None) as ws:
                reading = asyncio.create_task(read(ws))  # what nobody reads would hold its own socket up
                with contextlib.suppress(websockets.ConnectionClosed):
                    for _ in range(rng.randint(1, 20)):
                        sent += 1
                        good = rng.choice([watch, '{"type": "shown"}', '{"type":"watch","node":"","camera":"/"}'])
                        bad = rng.choice([json.dumps(value(rng)), rng.randbytes(60), "x" * 9000, good[:-1]])
                        await ws.send(rng.choice([good, good, bad]))
            await reading

    asyncio.run(send())
    assert console.request("/")[0] == 200


def test_nothing_went_wrong_inside(console):
    assert console.process.poll() is None
    assert "Traceback" not in console.log and "internal error" not in console.log, console.log[-3000:]
    done = console.call("segment", {"prompts": [{"text": "red"}]})
    assert done["success"] and done["answer"]["segment_indices"] == [0], done
    assert Path("seem_ros/console/page/index.html").read_bytes() == console.request("/")[1]
