# SPDX-License-Identifier: Apache-2.0
"""Who may talk to the console, by its rules alone."""

import socket

import pytest

from seem_ros.console.server.access import Access
from seem_ros.errors import PromptError

TOKEN = "0123456789abcdef0123"


def test_an_address_that_others_reach_needs_a_token():
    for host in ("0.0.0.0", "192.168.1.7", "::", "robot.local"):
        with pytest.raises(PromptError, match="needs a token"):
            Access(host, 8080)
    for host in ("127.0.0.1", "::1", "localhost"):
        assert Access(host, 8080).has_cookie("")


def test_a_token_that_can_be_guessed_is_refused():
    with pytest.raises(PromptError, match="at least 16 characters"):
        Access("0.0.0.0", 8080, "1234")


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:8080", "127.0.0.1:9999", "127.0.0.1.evil.example:8080", "", "user@127.0.0.1:8080",
    "127.0.0.1:8080/x", "[::1", "127.0.0.1:port", "10.0.0.1:8080", "\x00", "localhost.evil.example",
])  # fmt: skip
def test_a_loopback_console_goes_by_loopback_names_only(host):
    assert not Access("127.0.0.1", 8080).knows_host(host)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "localhost", "127.0.0.2:8080"])
def test_the_names_of_this_machine_are_known(host):
    assert Access("127.0.0.1", 8080).knows_host(host)


def test_an_open_console_goes_by_addresses_its_own_name_and_allowed_names():
    access = Access("0.0.0.0", 8080, TOKEN, ("robot.lab",))
    own = socket.gethostname().lower()
    for host in ("192.168.1.7:8080", f"{own}:8080", f"{own}.local:8080", "robot.lab:8080"):
        assert access.knows_host(host)
    for host in ("evil.example:8080", "robot.lab.evil.example:8080", "robot.lab:81"):
        assert not access.knows_host(host)


def test_a_port_that_a_tunnel_shows_is_known_where_it_is_allowed_with_its_name():
    access = Access("127.0.0.1", 8080, "", ("localhost:9000", "robot.lab"))
    for host in ("localhost:9000", "LOCALHOST:9000", "localhost:8080", "robot.lab:8080"):
        assert access.knows_host(host)
    for host in ("localhost:9001", "robot.lab:9000", "evil.example:9000", "user@localhost:9000", "localhost:9000/x"):
        assert not access.knows_host(host)


def test_only_the_page_itself_is_an_own_origin():
    assert Access.is_own_origin("http://127.0.0.1:8080", "127.0.0.1:8080")
    for origin in ("http://evil.example", "null", "http://127.0.0.1:8081", "file://", "http://127.0.0.1:8080.evil", ""):
        assert not Access.is_own_origin(origin, "127.0.0.1:8080")


def test_the_cookie_stands_for_the_token_and_does_not_tell_it():
    access = Access("0.0.0.0", 8080, TOKEN)
    assert TOKEN not in access.cookie
    assert access.has_cookie(f"other=1; {access.cookie_name}={access.cookie}")
    for header in (
        "",
        f"{access.cookie_name}=",
        f"{access.cookie_name}={TOKEN}",
        "seem_console_8080=%00",
        "ä=ö",
        "a" * 3000,
    ):
        assert not access.has_cookie(header)
    assert Access("0.0.0.0", 8080, TOKEN + "x").cookie != access.cookie


def test_the_token_is_known_in_a_query_and_nothing_else_is():
    access = Access("0.0.0.0", 8080, TOKEN)
    assert access.has_token(f"token={TOKEN}".encode())
    for query in (b"", b"token=", b"token=x", f"Token={TOKEN}".encode(), b"\xff\xfe", b"token=" + b"%ff" * 9):
        assert not access.has_token(query)
