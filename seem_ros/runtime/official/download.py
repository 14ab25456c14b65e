# SPDX-License-Identifier: Apache-2.0
"""Fetches a file from a model hub: goes on where it stopped, and believes only what has the hub's size and sha256.

The hub's own client begins anew after every break (huggingface_hub 2.4), which on a robot's Wi-Fi may never end.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seem_ros import __version__
from seem_ros.errors import CheckpointError
from seem_ros.files import only_one
from seem_ros.runtime.package import file_sha256

PUBLIC_HUB = "https://huggingface.co"
TIMEOUT_S = 30.0
# A break after which nothing more came is followed by a pause, and this many in a row by giving up.
PAUSES_S = (0.5, 2.0, 5.0, 15.0)
SAY_EVERY_S = 2.0
_BLOCK_BYTES = 1 << 20
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
Say = Callable[[str], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file of a hub.

    Attributes:
        url: Where it is.
        size_bytes: How long it is.
        sha256: Hex digits.
    """

    url: str
    size_bytes: int
    sha256: str


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Gives redirects back: what the hub knows of a file stands in them."""

    def redirect_request(self, *_: Any) -> None:
        return None


def hub() -> str:
    """Address of the hub: ``$HF_ENDPOINT``, as its own client reads it, or the public one.

    Raises:
        CheckpointError: It is no address of the web.
    """
    address = os.environ.get("HF_ENDPOINT", "").rstrip("/") or PUBLIC_HUB
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise CheckpointError(f"HF_ENDPOINT must begin with http:// or https://, got {address[:80]!r}")
    return address


def fetch(repository: str, name: str, folder: Path, say: Say) -> Path:
    """A file of a hub, on this machine; two processes at once fetch it once.

    Args:
        repository: Owner and name on the hub.
        name: Of the file.
        folder: Where it goes, under its name; made if missing.
        say: Told how far it is, every few seconds.

    Raises:
        CheckpointError: The hub does not answer or has no such file, there is no room, or what came is something else.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with only_one(folder / f".{name}.lock", lambda: say(f"another process fetches {name}; waiting for it")):
            if path.is_file():
                return path
            remote = _ask(f"{hub()}/{repository}/resolve/main/{name}")
            part = folder / f".{name}.{remote.sha256[:16]}.part"
            _check_room(part, remote)
            _carry(remote, part, name, say)
            say(f"checking {name}")
            found = file_sha256(part)
            if found != remote.sha256:
                part.unlink()
                raise CheckpointError(
                    f"what came has sha256 {found[:16]}..., the hub says {remote.sha256[:16]}...; it was thrown away"
                )
            os.replace(part, path)
    except _BROKEN as error:
        raise CheckpointError(_reason(error)) from error
    except OSError as error:
        raise CheckpointError(f"{error.filename or folder}: {error.strerror or error}") from error
    return path


def _ask(url: str) -> RemoteFile:
    """What the hub says of a file.

    Raises:
        CheckpointError: It names no size or no sha256.
        OSError: It does not answer, or not so.
    """
    opener = urllib.request.build_opener(_StayHere)
    for _ in range(_MOST_REDIRECTS):
        try:
            with opener.open(_request(url, method="HEAD"), timeout=TIMEOUT_S) as answer:
                headers, moved = answer.headers, ""
        except urllib.error.HTTPError as error:
            if error.code not in _REDIRECTS:
                raise
            headers, moved = error.headers, error.headers.get("Location", "")
        digest = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"').lower()
        size = headers.get("X-Linked-Size") or ("" if moved else headers.get("Content-Length", ""))
        if re.fullmatch(r"[0-9a-f]{64}", digest) and str(size).isdigit():
            return RemoteFile(url, int(size), digest)
        if not moved:
            break
        url = urllib.parse.urljoin(url, moved)
    raise CheckpointError("the hub names no size and sha256 for it, so that nothing could be checked")


def _carry(remote: RemoteFile, part: Path, name: str, say: Say) -> None:
    """Bring the part to its full length, over as many breaks as there are while something comes between them.

    Raises:
        OSError: Nothing comes any more, or it cannot be written.
    """
    if part.is_file() and part.stat().st_size > remote.size_bytes:
        part.unlink()
    in_vain = 0
    while (have := part.stat().st_size if part.is_file() else 0) < remote.size_bytes:
        try:
            _go_on(remote, part, have, name, say)
        except urllib.error.HTTPError:
            raise
        except _BROKEN as error:
            in_vain = 0 if part.is_file() and part.stat().st_size > have else in_vain + 1
            if in_vain > len(PAUSES_S):
                raise
            pause_s = PAUSES_S[max(in_vain - 1, 0)]
            say(f"fetching {name}: {_reason(error)}; going on in {pause_s:g} s")
            time.sleep(pause_s)


def _go_on(remote: RemoteFile, part: Path, have: int, name: str, say: Say) -> None:
    request = _request(remote.url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        if have and answer.status != http.client.PARTIAL_CONTENT:
            have = 0  # a hub that knows no ranges
        with part.open("r+b" if have else "wb") as stream:
            stream.seek(have)
            begin_s, begin, next_s = time.monotonic(), have, 0.0
            while block := answer.read(_BLOCK_BYTES):
                if have + len(block) > remote.size_bytes:
                    raise ConnectionError(f"more than the {remote.size_bytes} bytes that the hub named")
                stream.write(block)
                have += len(block)
                now = time.monotonic()
                if now >= next_s:
                    rate = (have - begin) / max(now - begin_s, 1e-3) / 1e6
                    percent = 100 * have // remote.size_bytes
                    say(f"fetching {name}: {percent} % of {remote.size_bytes / 1e6:.0f} MB, {rate:.1f} MB/s")
                    next_s = now + SAY_EVERY_S
    if have < remote.size_bytes:
        raise ConnectionError("the connection broke off")


def _check_room(part: Path, remote: RemoteFile) -> None:
    needed = remote.size_bytes - (part.stat().st_size if part.is_file() else 0)
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise CheckpointError(f"{part.parent} has room for {free / 1e6:.0f} MB, and {needed / 1e6:.0f} MB are to come")


def _request(url: str, method: str = "GET") -> urllib.request.Request:
    return urllib.request.Request(url, method=method, headers={"User-Agent": f"seem_ros/{__version__}"})


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None)
    text = str(inner if isinstance(inner, BaseException) else error) or type(error).__name__
    return " ".join(text.split())[:200]
