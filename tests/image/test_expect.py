"""What is predicted of a host's TPM: from the program, the firmware's variables and the log, and from nothing else."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from pathlib import Path

import pytest

from builders import images
from modseal.boot import attestation, portable_executable
from modseal.causes import CAUSES
from modseal.errors import FormatError, InputError, UsageError
from modseal.image import firmware
from modseal.image.ask import ask
from modseal.image.expect import expect


def changed(folder: Path, name: str, before: bytes, after: bytes) -> set[int]:
    """Which registers are predicted to change with some bytes of a file."""
    was = expect(folder).registers
    path = folder / name
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, after, 1))
    facts = json.loads((folder / "image.json").read_bytes())
    facts["program"] = portable_executable.digest((folder / "boot.efi").read_bytes()).hex()
    (folder / "image.json").write_text(json.dumps(facts))
    now = expect(folder).registers
    return {number for number in was if was[number] != now[number]}


def test_each_register_has_its_own_part(tmp_path: Path) -> None:
    folder = images.built(tmp_path / "image")
    assert changed(folder, "boot.efi", b"kernel", b"kernle") == {4, 11}
    assert changed(folder, "boot.efi", b"stub", b"sutb") == {4}
    assert changed(folder, "firmware.fd", b"owner", b"ownre") == {7}
    assert changed(folder, "image.json", b"nginx", b"nginy") == {13}


def test_the_log_replays_to_its_register(tmp_path: Path) -> None:
    found = expect(images.built(tmp_path / "image"))
    assert found.registers[13] == attestation.replayed(found.events)
    assert [one["what"] for one in found.events] == ["host", "generation", "module"]


def test_register_11_has_each_part_by_its_name_in_the_order_of_the_stub(tmp_path: Path) -> None:
    value = bytes(32)
    for name, content in (
        (b".linux", b"kernel"),
        (b".osrel", b"ID=x"),
        (b".cmdline", b"root"),
        (b".initrd", b"initrd"),
    ):
        for data in (name + b"\0", content):
            value = hashlib.sha256(value + hashlib.sha256(data).digest()).digest()
    assert expect(images.built(tmp_path / "image")).registers[11] == value


def test_the_stub_is_given_nothing_beside_its_program(tmp_path: Path) -> None:
    assert expect(images.built(tmp_path / "image")).registers[12] == bytes(32)


def refuses(folder: Path, name: str, data: bytes) -> None:
    """An image with these bytes in the place of a file is refused, with the file's name and what to do."""
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(data)
    with pytest.raises(FormatError) as caught:
        expect(folder)
    assert caught.value.failure.detail.startswith(f"{folder / name}: ")
    assert caught.value.failure.next_step == CAUSES["no-image"]
    (folder / name).write_bytes(before)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"[]", b"5", b'{"events": 5}', b"\xff", b"[" * 100_000),
        *(b'{"events": [5], "program": "%s"}', b'{"events": [{"what": [5]}], "program": "%s"}', b'{"program": "%s"}'),
    ],
    ids=lambda data: data[:30].decode("latin-1"),
)
def test_what_no_build_has_written_is_refused(tmp_path: Path, data: bytes) -> None:
    refuses(images.built(tmp_path / "image"), "image.json", data.replace(b"%s", b"0" * 64))


def test_a_program_that_is_cut_off_or_changed_is_none_to_expect(tmp_path: Path) -> None:
    """Else a host that runs what was built would be told to run something else."""
    folder = images.built(tmp_path / "image")
    program = (folder / "boot.efi").read_bytes()
    unsigned = len(program) - 2048
    for end in range(0, unsigned, 97):
        refuses(folder, "boot.efi", program[:end])
    refuses(folder, "boot.efi", program.replace(b"kernel", b"kernle", 1))
    refuses(folder, "boot.efi", b"-----BEGIN CERTIFICATE-----" * 99)


def test_a_store_that_is_cut_off_or_has_no_keys_is_none_to_expect(tmp_path: Path) -> None:
    folder = images.built(tmp_path / "image")
    store = (folder / "firmware.fd").read_bytes()
    for end in range(0, len(store), 97):
        refuses(folder, "firmware.fd", store[:end])
    refuses(folder, "firmware.fd", images.empty_store())
    refuses(folder, "firmware.fd", b"-----BEGIN CERTIFICATE-----" * 999)
    keys = [one for one in firmware.secure_boot(b"pk", b"kek", b"db") if one.name != "KEK"]
    refuses(folder, "firmware.fd", firmware.store_variables(images.empty_store(), keys))


@pytest.mark.parametrize("address", ["https://a", "http://", "http://a/b", "http://a?b"])
def test_an_address_is_that_of_a_management_interface(address: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a host"):
        ask(address, b"nonce")


def test_a_host_that_gives_nothing_is_an_error() -> None:
    class Nothing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Nothing) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(InputError, match="HTTP 404"):
            ask(address, b"nonce")
        thread.join()
    with pytest.raises(InputError, match="does not answer"):
        ask(address, b"nonce")
