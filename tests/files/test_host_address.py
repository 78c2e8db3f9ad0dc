"""Addresses of hosts: one reader, which says what is wrong with one, and never shows a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modseal.errors import UsageError
from modseal.files.host_address import HostAddress, read

EXAMPLE = "http://192.0.2.7:9090"
HOSTS = st.sampled_from(["h", "192.0.2.7", "host.example", "a_b-c.example"])
PORTS = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("host.example", "host.example", 80),
        ("http://192.0.2.7:9090", "192.0.2.7", 9090),
        ("HTTP://192.0.2.7:9090/", "192.0.2.7", 9090),
        ("[2001:db8::7]", "2001:db8::7", 80),
        ("http://[::1]:65535", "::1", 65535),
        ("http://[::ffff:192.0.2.7]:1/", "::ffff:192.0.2.7", 1),
        ("7.example", "7.example", 80),
        ("192.0.2.7a", "192.0.2.7a", 80),
        ("0xcafe.example", "0xcafe.example", 80),
    ],
)
def test_an_address_has_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert read(text, "http", 80, EXAMPLE) == HostAddress(host, port)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it names none"),
        ("http://", "it names none"),
        ("http://:9090", "it names none"),
        ("ftp://192.0.2.7:9090", "it is asked over http"),
        ("https://192.0.2.7:9090", "it is asked over http"),
        ("://192.0.2.7", "it is asked over http"),
        ("http://me:hush@192.0.2.7:9090", "no user or password belongs in it"),
        ("me:hush@192.0.2.7", "no user or password belongs in it"),
        ("http://192.0.2.7:9090/update", "nothing comes behind the port"),
        ("http://192.0.2.7:9090//", "nothing comes behind the port"),
        ("http://192.0.2.7:9090?x", "nothing comes behind the port"),
        ("http://192.0.2.7:9090#x", "nothing comes behind the port"),
        ("http://192.0.2.7:0", "from 1 to 65535"),
        ("http://192.0.2.7:65536", "from 1 to 65535"),
        ("http://192.0.2.7:99999", "from 1 to 65535"),
        ("http://192.0.2.7:", "from 1 to 65535"),
        ("http://192.0.2.7:-1", "from 1 to 65535"),
        ("http://192.0.2.7:90 90", "from 1 to 65535"),
        ("http://192.0.2.7:\u0661", "from 1 to 65535"),
        ("http://[::1", "stands in brackets"),
        ("http://::1:9090", "stands in brackets"),
        ("2001:db8::7", "stands in brackets"),
        ("http://[fe80::1%eth0]:9090", "no IPv6 address without a zone"),
        ("http://[\u0661::1]:9090", "no IPv6 address;"),
        ("192.0.2.010", "four numbers"),
        ("http://192.0.2:9090", "four numbers"),
        ("192.0.2.256:9090", "four numbers"),
        ("3221225991", "four numbers"),
        ("0xC0000207", "four numbers"),
        ("192.0.2.0x7", "four numbers"),
        ("host.example.7", "four numbers"),
        ("http://[]:9090", "no IPv6 address"),
        ("http://[::1::]:9090", "no IPv6 address"),
        ("http://[192.0.2.7]:9090", "no IPv6 address"),
        ("http://192.0.2.7 :9090", "letters"),
        ("http://ho\nst", "letters"),
        ("http://h\u00f6st", "letters"),
        ("http://a..b", "letters"),
        (f"http://{'a' * 64}", "letters"),
    ],
)
def test_what_is_none_is_told_what_is_wrong_and_what_to_give(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text, "http", 80, EXAMPLE)
    said = caught.value.failure.detail
    assert why in said
    assert said.endswith(f"; give one such as {EXAMPLE}")
    assert "hush" not in said
    assert "\n" not in said


@given(st.text(max_size=40) | st.from_regex(r"(http://)?\[?[0-9a-f:.%@/]{0,20}\]?(:[0-9]{0,6})?/?", fullmatch=True))
def test_any_text_is_an_address_or_a_mistake_of_who_wrote_it(text: str) -> None:
    try:
        found = read(text, "http", 80, EXAMPLE)
    except UsageError:
        return
    shown = f"[{found.host}]" if ":" in found.host else found.host
    assert read(f"http://{shown}:{found.port}", "http", 80, EXAMPLE) == found
    assert 0 < found.port < 65536


@given(HOSTS, PORTS, st.booleans())
def test_the_scheme_may_be_left_out(host: str, port: int, ends: bool) -> None:
    assert read(f"{host}:{port}{'/' * ends}", "https", 8443, EXAMPLE) == HostAddress(host, port)
