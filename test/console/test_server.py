# SPDX-License-Identifier: Apache-2.0
"""The console over real sockets and a real node: addresses, refusals, the socket's pace, what it does not serve."""

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import websockets
import yaml
from colour_backend import scene
from harness import Camera, wait_for
from one_camera import BLOBS

from seem_ros.console.pictures.wire import unpack
from seem_ros.console.server.viewer import MAX_IN_FLIGHT

TOKEN = "a-token-of-the-tests-0123"


def moving(index):
    return scene({**BLOBS, (60 + index % 40, 20): "yellow"})


@pytest.fixture(scope="module")
def console(start_node, start_console, client):
    start_node("camera_timeout_s:=1.0")
    camera = Camera(client, "image", moving, rate_hz=20)
    console = start_console()
    wait_for(lambda: watched(console), "a camera of the node", 40)
    yield console
    camera.close()


def watched(console):
    """The first camera that the console knows: node and name."""

    async def read():
        async with connect(console) as ws:
            message = json.loads(await asyncio.wait_for(ws.recv(), 5))
            assert message["type"] == "graph"
            return next(((node["name"], camera["name"]) for node in message["nodes"] for camera in node["cameras"]
                         if camera["image"]), None)  # fmt: skip

    return asyncio.run(read())


def connect(console, origin=None, headers=None, port=None):
    return websockets.connect(
        f"ws://127.0.0.1:{port or console.port}/socket", origin=origin, additional_headers=headers or {}, max_size=None,
        compression=None, proxy=None, close_timeout=1,
    )  # fmt: skip


async def pictures(ws, count, acknowledge=True, timeout_s=20.0):
    """The next pictures, unpacked."""
    found = []
    async with asyncio.timeout(timeout_s):
        while len(found) < count:
            message = await ws.recv()
            if isinstance(message, bytes):
                found.append(unpack(message))
                if acknowledge:
                    await ws.send('{"type": "shown"}')
    return found


WATCH = '{"type": "watch", "node": "/seem", "camera": "camera"}'


def test_the_page_and_its_own_files_are_served_and_nothing_else(console):
    status, body, headers = console.request("/")
    assert status == 200 and b"<title>SEEM console</title>" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    page = Path("seem_ros/console/page")
    for file in page.rglob("*.*"):
        where = "/" if file.name == "index.html" else f"/{file.relative_to(page)}"
        assert console.request(where)[1] == file.read_bytes()
    for path in ("/index.html.bak", "/../main.py", "/..%2fmain.py", "/%2e%2e/%2e%2e/pyproject.toml", "//etc/passwd",
                 "/js/../../main.py", "/js/", "/js", "/main.py", "/socket", "/api/call", "/.git/config",
                 "/%00", "/js/main.js%00.txt"):  # fmt: skip
        assert console.request(path)[0] in (404, 405), path


def test_nothing_of_the_page_comes_from_elsewhere():
    for file in Path("seem_ros/console/page").rglob("*.*"):
        text = file.read_text().replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1", "")
        assert "http://" not in text and "https://" not in text and "//cdn" not in text, file


def test_a_picture_comes_with_its_masks_and_fits_them(console):
    started = console.call("segment", {"prompts": [{"clicks": [{"x": 90, "y": 60}]}], "track": True})
    assert started["success"], started
    (target,) = started["answer"]["target_ids"]

    async def look():
        async with connect(console) as ws:
            await ws.send(WATCH)
            return await pictures(ws, 12)

    found = [
        one for one in asyncio.run(look()) if one.header["masks"] == one.header["stamp"] and one.header["segments"]
    ]
    assert found
    picture = cv2.imdecode(np.frombuffer(found[-1].jpeg, np.uint8), cv2.IMREAD_COLOR)
    (segment,) = [one for one in found[-1].header["segments"] if one["id"] == target]
    mask = found[-1].labels == segment["value"]
    assert picture.shape[:2] == mask.shape == (96, 128) and found[-1].header["source"] == [128, 96]
    green = picture[mask].mean(axis=0)
    assert green[1] > 150 and green[0] < 80 and green[2] < 80
    assert abs(int(mask.sum()) - 256) < 40
    console.call("remove_targets", {"all": True})


def test_a_viewer_that_does_not_answer_gets_no_more_pictures_and_holds_nobody_up(console):
    async def look():
        async with connect(console) as idle, connect(console) as busy:
            await idle.send(WATCH)
            await busy.send(WATCH)
            await pictures(busy, 15)
            unanswered = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(4):
                    while True:
                        unanswered += isinstance(await idle.recv(), bytes)
            return unanswered

    assert asyncio.run(look()) == MAX_IN_FLIGHT


def test_pictures_are_new_ones_each_time(console):
    async def look():
        async with connect(console) as ws:
            await ws.send(WATCH)
            return [int(one.header["stamp"]) for one in await pictures(ws, 10)]

    stamps = asyncio.run(look())
    assert len(set(stamps)) == len(stamps) and stamps == sorted(stamps)


@pytest.mark.parametrize("text", [
    "", "{}", "[]", "null", "x", '{"type": "watch"}', '{"type": "watch", "node": 1, "camera": "c"}', "[" * 1900,
    '{"type": "call"}', "x" * 5000, "x" * 100_000,
])  # fmt: skip
def test_a_socket_that_sends_something_else_is_closed(console, text):
    async def send():
        async with connect(console) as ws:
            await ws.send(text)
            with contextlib.suppress(websockets.ConnectionClosed):
                async with asyncio.timeout(10):
                    while True:
                        await ws.recv()
            return ws.close_code

    assert asyncio.run(send()) in (1008, 1009)


def test_too_many_viewers_are_refused_and_the_others_stay(console):
    async def open_many():
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(connect(console)) for _ in range(18)]
            await asyncio.sleep(0)
            codes = []
            for ws in sockets:
                try:
                    await asyncio.wait_for(ws.recv(), 10)
                    codes.append(None)
                except websockets.ConnectionClosed:
                    codes.append(ws.close_code)
            return codes

    codes = asyncio.run(open_many())
    assert codes[:16] == [None] * 16 and codes[16:] == [1013, 1013]


@pytest.mark.parametrize("headers, status", [
    ({"Host": "evil.example"}, 421),
    ({"Host": "evil.example:8080"}, 421),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Cookie": "x" * 5000}, 431),
])  # fmt: skip
def test_foreign_names_and_origins_are_refused(console, headers, status):
    assert console.request("/", headers=headers)[0] == status
    assert console.request("/api/call", {"node": "/seem", "service": "remove_targets", "request": {"all": True}},
                           headers)[0] == status  # fmt: skip


def test_a_socket_from_a_foreign_page_is_refused(console):
    async def knock(**how):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(console, **how):
                pass
        return refused.value.response.status_code

    assert asyncio.run(knock(origin="http://evil.example")) == 403
    assert asyncio.run(knock(headers={"Host": "evil.example"})) in (400, 403)


def test_a_form_of_another_site_cannot_call(console):
    body = json.dumps({"node": "/seem", "service": "remove_targets", "request": {"all": True}}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        status, answer, _ = console.request("/api/call", body, {"content-type": kind})
        assert status == 400 and b"application/json" in answer


def test_a_body_that_is_too_large_is_refused_announced_or_not(console):
    length = 9 * 1024 * 1024
    with socket.create_connection(("127.0.0.1", console.port), 20) as plain:
        head = f"POST /api/pictures HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nContent-Length: {length}\r\n\r\n"
        plain.sendall(head.encode())
        assert b" 413 " in plain.recv(200).splitlines()[0]
    with socket.create_connection(("127.0.0.1", console.port), 20) as plain:
        head = f"POST /api/pictures HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
        plain.sendall(head.encode())
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(10):
                plain.sendall(chunk)
        assert b" 413 " in plain.recv(200).splitlines()[0]
    assert console.request("/")[0] == 200


@pytest.mark.parametrize("body, reason", [
    ({}, "must have the fields"),
    ({"node": 1, "service": "segment", "request": {}}, "node must be of type str"),
    ({"node": "/nobody", "service": "segment", "request": {}}, "no segmentation node"),
    ({"node": "/seem", "service": "set_parameters", "request": {}}, "has no service"),
    ({"node": "/seem", "service": "../seem/segment", "request": {}}, "has no service"),
    ({"node": "/seem", "service": "segment", "request": {"prompt": 1}}, "has no field"),
    ({"node": "/seem", "service": "refine", "request": {"target_id": "\ud800"}}, "must be a whole number"),
])  # fmt: skip
def test_a_call_that_does_not_fit_is_refused_in_words(console, body, reason):
    status, answer, _ = console.request("/api/call", body)
    assert status == 400 and reason in json.loads(answer)["message"]


def test_what_the_node_refuses_is_an_answer_with_the_nodes_words(console):
    done = console.call("refine", {"target_id": 4242, "prompt": {"text": "red"}})
    assert not done["success"] and "there is no target 4242" in done["message"]
    assert done["line"].startswith("ros2 service call /seem/refine seem_ros/srv/Refine")


def test_parameters_come_with_their_descriptions_and_can_be_set(console):
    def read():
        rows = json.loads(console.request("/api/parameters?node=/seem")[1])["parameters"]
        return {row["name"]: row for row in rows}

    rows = read()
    assert rows["overlay_alpha"]["range"] == [0.0, 1.0] and "Opacity" in rows["overlay_alpha"]["description"]
    assert rows["transport"]["choices"] == ["auto", "raw", "compressed"] and rows["model"]["fixed"]
    good = {"node": "/seem", "name": "overlay_alpha", "type": "float", "value": 0.25}
    done = json.loads(console.request("/api/parameter", good)[1])
    assert done["success"] and done["line"] == "ros2 param set /seem overlay_alpha 0.25"
    assert read()["overlay_alpha"]["value"] == 0.25
    bad = json.loads(console.request("/api/parameter", {**good, "value": 7.0})[1])
    assert not bad["success"] and bad["message"]
    for value in ("x", None, True, [1]):
        assert console.request("/api/parameter", {**good, "value": value})[0] == 400
    for text in ("\ud800", "a\0b", "a" * 3000):
        assert console.request("/api/parameter", {**good, "name": "things", "type": "str", "value": text})[0] == 400
        assert console.request("/api/parameter", {**good, "name": text})[0] == 400


def test_save_this_gives_one_file_with_all_that_a_report_needs(console):
    console.call("segment", {"prompts": [{"text": "red"}], "track": True})

    async def look():
        async with connect(console) as ws:
            await ws.send(WATCH)
            async with asyncio.timeout(20):
                while True:
                    message = await ws.recv()
                    if isinstance(message, bytes):
                        if unpack(message).header["segments"]:
                            return message
                        await ws.send('{"type": "shown"}')

    packed = asyncio.run(look())
    status, data, headers = console.request("/api/bundle?node=/seem", packed)
    assert status == 200 and headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(data))
    picture = cv2.imdecode(np.frombuffer(archive.read("picture.jpg"), np.uint8), cv2.IMREAD_COLOR)
    labels = cv2.imdecode(np.frombuffer(archive.read("labels.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    (segment,) = json.loads(archive.read("segments.json"))["segments"]
    assert picture.shape[:2] == labels.shape and (labels == segment["value"]).sum() > 100
    assert b"ros2 service call /seem/segment" in archive.read("calls.txt")
    assert "model" in yaml.safe_load(archive.read("parameters.yaml"))["/seem"]["ros__parameters"]
    assert json.loads(archive.read("diagnostics.json")) and json.loads(archive.read("versions.json"))["seem_ros"]
    assert console.request("/api/bundle?node=/seem", b"nonsense")[0] == 400
    console.call("remove_targets", {"all": True})


def test_a_reference_picture_is_checked_when_it_is_sent(console):
    png = cv2.imencode(".png", scene({(40, 40): "green"}))[1].tobytes()
    sent = json.loads(console.request("/api/pictures", png)[1])
    assert (sent["width"], sent["height"]) == (128, 96)
    reference = {"compressed_image": {"picture": sent["picture"]}, "clicks": [{"x": 40, "y": 40}]}
    done = console.call("segment", {"prompts": [{"reference": reference}]})
    (found,) = done["answer"]["result"]["segments"]
    assert abs(found["centroid"]["x"] - 90) < 4 and abs(found["centroid"]["y"] - 60) < 4
    for broken in (b"", b"GIF89a", png[:30], b"\xff\xd8\xff" + os.urandom(300)):
        assert console.request("/api/pictures", broken)[0] == 400


class TestTokens:
    @pytest.fixture(scope="class")
    def guarded(self, start_console, console):
        return start_console("--host", "0.0.0.0", "--token", TOKEN)

    def test_the_printed_address_carries_the_token(self, guarded):
        assert guarded.url.endswith(f"/?token={TOKEN}")

    def test_the_printed_address_lets_in_whatever_the_token_is_made_of(self, start_console, private_ros):
        chosen = start_console("--token", "Jx0+Tq3k/7cW#9Zp&Vb=%41 ä")
        assert chosen.request("/" + chosen.url.split("/", 3)[3])[0] == 303

    @pytest.mark.parametrize("path", ["/", "/js/main.js", "/?token=wrong-token-of-others", "/?token=", "/css/base.css"])
    def test_without_the_token_nothing_is_shown(self, guarded, path):
        status, body, _ = guarded.request(path)
        assert status == 403 and b"needs its token" in body

    def test_the_token_is_sent_once_and_a_cookie_takes_its_place(self, guarded):
        status, _, headers = guarded.request(f"/?token={TOKEN}")
        assert status == 303 and headers["location"] == "/"
        assert "HttpOnly" in headers["set-cookie"] and TOKEN not in headers["set-cookie"]
        cookie = headers["set-cookie"].split(";")[0]
        assert guarded.request("/", headers={"Cookie": cookie})[0] == 200
        assert guarded.request("/", headers={"Cookie": cookie[:-1] + ("0" if cookie[-1] != "0" else "1")})[0] == 403

        async def knock(headers):
            async with connect(guarded, headers=headers) as ws:
                return json.loads(await ws.recv())["type"]

        assert asyncio.run(knock({"Cookie": cookie})) == "graph"
        with pytest.raises(websockets.InvalidStatus):
            asyncio.run(knock({}))

    def test_calls_need_the_cookie_too(self, guarded):
        body = {"node": "/seem", "service": "remove_targets", "request": {"all": True}}
        assert guarded.request("/api/call", body)[0] == 403
        assert guarded.request(f"/api/call?token={TOKEN}", body)[0] == 403


@pytest.mark.parametrize("arguments, reason", [
    (("--host", "0.0.0.0", "--token", "short"), "at least 16 characters"),
    (("--port", "70000"), "--port must lie in"),
    (("--max-rate-hz", "0"), "pictures a second must lie in"),
    (("--host", "no.such.host.invalid"), "is no address"),
    (("--host", "203.0.113.7"), "cannot listen on"),
    (("--port", "0", "--demo", "--video", "/no/such/clip.mp4"), "does not exist"),
])  # fmt: skip
def test_what_cannot_be_served_is_one_line_and_exit_status_2(private_ros, arguments, reason, capfd):
    from seem_ros.console.main import main

    assert main(list(arguments)) == 2
    printed = capfd.readouterr().err
    assert reason in printed and len(printed.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_said(private_ros, console, capfd):
    from seem_ros.console.main import main

    assert main(["--port", str(console.port)]) == 2
    assert "choose another --port" in capfd.readouterr().err


def test_the_console_ends_cleanly_while_pages_are_open(start_console):
    console = start_console()

    async def hold():
        async with connect(console) as ws:
            await ws.recv()
            return await asyncio.to_thread(console.stop)

    assert asyncio.run(hold()) == 0
    assert "Traceback" not in console.log


def test_ctrl_c_twice_ends_the_console_as_quietly_as_once(start_console):
    """The terminal gives one to all that launch has started, and launch gives one more."""
    console = start_console()

    async def hold():
        async with connect(console) as ws:
            await ws.recv()
            console.process.send_signal(signal.SIGINT)
            return await asyncio.to_thread(console.stop)

    assert asyncio.run(hold()) == 0
    assert console.log.splitlines() == [f"console: {console.url}"]


def test_nothing_went_wrong_inside(console):
    assert "Traceback" not in console.log and "internal error" not in console.log
