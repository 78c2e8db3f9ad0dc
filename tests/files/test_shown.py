"""What is shown of an address: no user, password or query, and no segment of its path that may be a token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modseal.files.address import read
from modseal.files.shown import HIDDEN, shown, without_secrets

ALPHABETS = {
    "hex": "0123456789abcdef",
    "small": "abcdefghijklmnopqrstuvwxyz0123456789",
    "any": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "base64": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://h/a.seal", "https://h/a.seal"),
        ("https://h/a.seal?sig=x", "https://h/a.seal?..."),
        ("https://h/a.seal#x", "https://h/a.seal#..."),
        ("https://user:word@h:8443/a.seal", "https://...@h:8443/a.seal"),
        ("https://dl.example.com/abc/PROD/COMP/main/", "https://dl.example.com/.../PROD/COMP/main/"),
        ("https://h/priv/abcdef/acme/a.vib", "https://h/priv/.../acme/a.vib"),
        ("https://h/token=abc/a.seal", "https://h/.../a.seal"),
        ("https://h/x;sig=abc/a.seal", "https://h/.../a.seal"),
        ("https://h/eyJhbGciOi.abc.def/a.seal", "https://h/.../a.seal"),
        ("https://h/550e8400-e29b-41d4-a716-446655440000/", "https://h/.../"),
        ("https://h/glpat-aB3dE5fG7hI9jK1lM2nO", "https://h/..."),
        ("https://h/%61B3dE5fG7hI9jK1lM2nO/x", "https://h/.../x"),
        ("tcp://user:word@h:8786", "tcp://...@h:8786"),
        ("no address at all", "no address at all"),
    ],
)
def test_what_may_be_a_secret_is_hidden(address: str, name: str) -> None:
    assert shown(address) == name


@pytest.mark.parametrize(
    "address",
    [
        "https://hostupdate.vmware.com/software/VUM/PRODUCTION/main/esx/vmw/vmw-depot-index.xml",
        "https://h/vib20/esx-base/VMware_bootbank_esx-base_8.0.2-0.0.22380479.vib",
        "https://h/VMware-ESXi-8.0U2-22380479-depot.zip",
        "https://h/ESXi80U2-22380479-standard/a.vib",
        "https://h/lsuv2-lsiv2-drivers-plugin/1.0.0-12vmw/",
        "https://h/releases/v1.2.3-rc1/acme-agent_1.2.3-4_amd64.seal",
        "https://h/20260131T120000Z/a.seal",
        f"https://h/depot/{'9f86d081884c7d65' * 4}.seal",
        "https://mirror.example.org/pub/acceptance-certification/community/",
    ],
)
def test_names_of_depots_modules_and_versions_are_shown(address: str) -> None:
    assert shown(address) == address
    assert read(address).name == address


@pytest.mark.parametrize("alphabet", ALPHABETS)
@given(data=st.data())
def test_a_random_segment_of_usual_length_is_hidden(alphabet: str, data: st.DataObject) -> None:
    letters = st.sampled_from(ALPHABETS[alphabet])
    # A token of this length without a digit in it is drawn about once in a hundred; it is for the mixture to find.
    token = "".join(data.draw(st.lists(letters, min_size=24, max_size=64))) + "7a"
    if alphabet == "base64":
        token = token.replace("-", "x").replace("_", "y")
    address = f"https://h/depot/{token}/main/a.vib"
    assert shown(address) == f"https://h/depot/{HIDDEN}/main/a.vib"


def test_the_address_that_is_asked_for_keeps_everything() -> None:
    address = read("https://h/glpat-aB3dE5fG7hI9jK1lM2nO/a.seal?sig=x")
    assert address.url == "https://h/glpat-aB3dE5fG7hI9jK1lM2nO/a.seal?sig=x"
    assert address.name == "https://h/.../a.seal?..."
    assert "glpat" not in repr(address)


def test_addresses_within_a_text_are_found() -> None:
    text = "cannot use 'https://u:p@h/x?y' or http:/h/glpat-aB3dE5fG7hI9jK1lM2nO"
    assert without_secrets(text) == "cannot use 'https://...@h/x?...' or http:/h/..."
    assert without_secrets("a plain text: no address") == "a plain text: no address"
