"""The pages for people, over real TLS: who sees what, and what a form must have to be taken."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from builders.html_page import HtmlPage
from builders.pki import Identity, leaf, root
from builders.served import BOUNDARY, Reply, Served, client, served
from modseal.format.rules import key_name
from modseal.serve import routes

FORM = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("paged"), "upload = 1\nrequests = 100000") as found:
        found.ended(found.push(found.host.bundle("acme-agent", "1.0")))
        yield found


def page(one: Served, path: str, role: str | Identity = "reader", status: int = 200) -> HtmlPage:
    reply = one.ask("GET", path, role)
    assert (reply.status, reply.headers["Content-Type"]) == (status, "text/html; charset=utf-8"), reply.data
    return HtmlPage(reply.data.decode())


def token(one: Served, role: str | Identity = "operator") -> str:
    [found] = re.findall(r'name="token" value="(\w+)"', one.ask("GET", routes.UPLOAD_PAGE, role).data.decode())
    return found


def send(one: Served, fields: dict[str, str], *bundles: Path, role: str | Identity = "operator") -> Reply:
    """What a browser sends of the form; with the fields after the bundles where they are called so."""
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts += [(f'name="UpdateFile"; filename="{bundle.name}"', bundle.read_bytes()) for bundle in bundles]
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    )
    return one.ask("POST", routes.UPLOAD_PAGE, role, body + f"--{BOUNDARY}--\r\n".encode(), Content_Type=FORM)


def ended(one: Served, reply: Reply) -> HtmlPage:
    """The page of the task to which an upload leads, as soon as it is not loaded again."""
    assert (reply.status, reply.data) == (303, b"")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = page(one, reply.headers["Location"])
        if not any("http-equiv" in attributes for _, attributes, _ in found.elements):
            return found
        time.sleep(0.05)
    raise AssertionError("the task does not end")


def changed(one: Served) -> tuple[int, list[str]]:
    """The newest line of the log, and what was spooled and is left."""
    folder = one.host.root / "var/lib/modseal-serve/tasks"
    return one.ask("GET", routes.MANAGER).own["event"], sorted(path.name for path in folder.iterdir())


def test_each_page_is_whole_and_has_the_headers_that_guard_it(one: Served) -> None:
    task = one.ask("GET", routes.TASKS).document["Members"][0]["@odata.id"].rpartition("/")[2]
    for path in (each.format(name="acme-agent", id=task) for each in sorted(routes.PAGES)):
        reply = one.ask("GET", path, "operator")
        assert reply.status == 200, path
        assert HtmlPage(reply.data.decode()).all("h1"), path
        assert "script" not in reply.headers["Content-Security-Policy"], path
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-"), path
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert (reply.headers["Cache-Control"], reply.headers["Referrer-Policy"]) == ("no-store", "same-origin")
        assert b"<script" not in reply.data


def test_the_pages_show_what_is_proved(one: Served) -> None:
    [row] = [row for row in page(one, "/modules").table() if row["Module"].startswith("acme-agent ")]
    assert (row["Claimed level"], row["Proven level"], row["Recall"]) == ("partner", "partner", "not recalled")
    assert "trusted by" in row["Signed by"]
    found = page(one, "/modules/acme-agent")
    assert "9 restrictions" in found.all("h4")
    assert "no check" not in found.all("p")
    rows = page(one, "/generations").table()
    assert rows[-2]["Changed"] == "added acme-agent 1.0"


def test_an_upload_leads_to_its_task_which_shows_the_steps(one: Served) -> None:
    reply = send(one, {"token": token(one), "Action": "install"}, one.host.bundle("uploaded", "1.0"))
    found = ended(one, reply)
    assert "done" in found.all("span", "pill")
    assert "Verdict: uploaded-1.0.seal accepted" in found.all("h2")
    assert [text[0] for text in found.all("h4")] == [*"0123456789"]
    assert one.host.modules()["uploaded"] == "1.0"
    update = send(one, {"token": token(one), "Action": "update"}, one.host.bundle("uploaded", "2.0"))
    assert "updated uploaded 2.0, was 1.0" in "".join(ended(one, update).all("li"))


def test_a_bundle_that_is_only_tried_changes_nothing(one: Served) -> None:
    before = one.host.modules()
    reply = send(one, {"token": token(one), "DryRun": "yes"}, one.host.bundle("tried", "1.0"))
    assert "What would change" in ended(one, reply).all("h2")
    assert one.host.modules() == before


def test_a_refused_bundle_has_its_code_the_next_step_and_the_steps(one: Served) -> None:
    stranger = one.host.bundle("stranger", "1.0", leaf(issuer=root(7)))
    found = ended(one, send(one, {"token": token(one)}, stranger))
    assert found.all("span", "pill")[0] == "refused"
    assert re.search("no-pathNext: .{20,}", found.all("div", "alarm")[0])
    failed = [text for tag, attributes, text in found.elements if tag == "li" and attributes.get("class") == "failed"]
    assert "3 chain" in "".join(failed[0])


def test_the_first_page_has_what_the_newest_verification_found(one: Served) -> None:
    assert "not verified" in page(one, "/").all("div", "warning")[0]
    one.ended(one.ask("POST", f"{routes.ACTIONS}.Verify", "operator"))
    assert page(one, "/").all("div", "warning") == []
    assert "accepted" in page(one, "/").all("span", "pill")
    assert {row["What"]: row["State"] for row in page(one, "/tasks").table()}["verify"] == "accepted"


def test_a_strict_host_says_why_it_refuses(one: Served) -> None:
    keys = [key_name(_der(one.clients["admin"])), key_name(_der(client(one.ca, None)))]
    strict = {"Mode": "strict", "Controllers": keys[:1], "BreakGlassKeys": keys[1:], "Threshold": 1}
    assert one.ask("POST", f"{routes.ACTIONS}.SetLockdown", "admin", strict).status == 200
    try:
        assert "strict" in page(one, "/").all("span", "pill")
        assert "none of its controllers" in page(one, "/upload", "operator").all("div", "warning")[0]
        assert page(one, "/upload", "admin").all("div", "warning") == []
        told = ended(one, send(one, {"token": token(one)}, one.host.bundle("agent", "1.0"))).all("div", "alarm")[0]
        assert re.search("this host is in strict mode.*host-locked-downNext: ", told)
    finally:
        assert one.ask("POST", f"{routes.ACTIONS}.SetLockdown", "admin", {"Mode": "normal"}).status == 200


def _der(identity: Identity) -> bytes:
    """The public key."""
    return identity.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("how", ["none", "made up", "of another certificate", "after the bundle", "empty"])
def test_a_form_that_was_not_given_to_this_certificate_is_refused_and_nothing_is_spooled(one: Served, how: str) -> None:
    bundle = one.host.bundle("forged", "1.0")
    other = client(one.ca, "operator")
    given = {"none": {}, "made up": {"token": "0" * 64}, "empty": {"token": ""}, "after the bundle": {}}
    fields = given[how] if how in given else {"token": token(one, other)}
    before = changed(one)
    if how == "after the bundle":
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="UpdateFile"; filename="a.seal"\r\n\r\nx\r\n'
        tail = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="token"\r\n\r\n{token(one)}\r\n--{BOUNDARY}--\r\n'
        reply = one.ask("POST", "/upload", "operator", (head + tail).encode(), Content_Type=FORM)
    else:
        reply = send(one, fields, bundle)
    assert reply.status == 403
    assert "not given to this certificate" in HtmlPage(reply.data.decode()).all("div", "alarm")[0]
    assert changed(one) == before


def test_a_form_of_a_page_elsewhere_is_refused_even_with_a_token(one: Served) -> None:
    body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="token"\r\n\r\n{token(one)}\r\n--{BOUNDARY}--\r\n'
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        reply = one.ask("POST", "/upload", "operator", body.encode(), Content_Type=FORM, **headers)
        assert reply.status == 403, headers
        assert "a page from elsewhere" in reply.data.decode().lower()


def test_a_reader_sees_no_form_and_cannot_send_one(one: Served) -> None:
    before = changed(one)
    assert "Upload" not in page(one, "/").all("a")
    assert page(one, "/upload", status=403).all("form") == []
    stolen = send(one, {"token": token(one)}, one.host.bundle("stolen", "1.0"), role="reader")
    assert (stolen.status, stolen.codes) == (403, ["role-too-low"])
    assert changed(one) == before


def test_what_is_wrong_with_an_upload_is_said_with_the_next_step(one: Served, tmp_path: Path) -> None:
    large = tmp_path / "large.seal"
    large.write_bytes(bytes((1 << 20) + 1))
    nothing = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="token"\r\n\r\n{token(one)}\r\n'
    nothing += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="UpdateFile"; filename=""\r\n\r\n\r\n'
    unnamed = one.ask("POST", "/upload", "operator", f"{nothing}--{BOUNDARY}--\r\n".encode(), Content_Type=FORM)
    for reply, status in ((send(one, {"token": token(one)}, large), 413), (unnamed, 400)):
        assert reply.status == status
        assert "Next: " in HtmlPage(reply.data.decode()).all("div", "alarm")[0]


def test_what_is_not_there_is_a_page_for_a_browser_and_json_for_others(one: Served) -> None:
    assert "unknown-item" in page(one, "/tasks/20260101T000000Z-00000000", status=404).all("code")
    assert "not-installed" in page(one, "/modules/none", status=404).all("code")
    reply = one.ask("GET", "/nowhere", Accept="text/html,*/*")
    assert (reply.status, reply.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert one.ask("GET", "/nowhere").document["error"]
    assert one.ask("GET", f"{routes.ROOT}/nothing", Accept="text/html").status == 404


def test_names_of_clients_and_files_are_nothing_but_text(one: Served) -> None:
    parts = [(NameOID.ORGANIZATIONAL_UNIT_NAME, "modseal:operator"), (NameOID.COMMON_NAME, '"><img src=x>\u202eevE')]
    eve = client(one.ca, None, subject=x509.Name([x509.NameAttribute(oid, text) for oid, text in parts]))
    bundle = one.host.bundle("eve", "1.0").rename(one.host.root.parent / "<b>eve.seal")
    ended(one, send(one, {"token": token(one, eve)}, bundle, role=eve))
    for path in ("/tasks", "/log", "/"):
        source = one.ask("GET", path, eve).data.decode()
        assert not [tag for tag, _, _ in HtmlPage(source).elements if tag == "img"]
        assert re.search(r"&lt;img src=x[\\]*&gt;\\u202eevE", source), path
    assert "install &lt;b&gt;eve.seal" in one.ask("GET", "/tasks").data.decode()
