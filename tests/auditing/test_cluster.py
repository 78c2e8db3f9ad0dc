"""Audits on a real Dask cluster: what one process finds, whatever happens to workers, scheduler and auditor.

Clients run in processes of their own, because distributed leaves threads and warnings behind.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builders import depots
from builders.audits import folder_of
from builders.bundles import make
from builders.dask_cluster import ENVIRONMENT, DaskCluster, cluster
from builders.pki import NOW
from builders.policies import trusting, write
from builders.transcript import HEARING, run
from builders.web import Answer, listing, reply, site
from modseal.auditing import cluster as cluster_module
from modseal.auditing import rules
from modseal.auditing.look import look
from modseal.auditing.target import FileTarget
from modseal.codes import CODES
from modseal.files.identity import identity_of
from modseal.policy.sources import load

pytest.importorskip("distributed", reason="the extra `dask` is not installed")
pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dask")]

AT = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
MAIN = "from modseal.cli.main import main; main()"
COUNT = 128
"""Bundles of four batches, two for each of two workers."""


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with cluster(tmp_path_factory.mktemp("dask"), 2) as made:
        yield made


@pytest.fixture
def two(dask: DaskCluster) -> DaskCluster:
    """The cluster with two workers that live."""
    dask.workers = [worker for worker in dask.workers if worker.poll() is None]
    while len(dask.workers) < 2:
        dask.add_worker()
    return dask


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a policy, and bundles of every verdict below `depot`."""
    write(tmp_path)
    depot = tmp_path / "depot"
    paths = folder_of(depot, 70)
    paths[3].write_bytes(paths[3].read_bytes()[:-50])
    paths[40].write_bytes(make().unsigned().data)
    (depot / "gone.seal").symlink_to("nowhere")
    return tmp_path


def start(*arguments: object, program: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        env=ENVIRONMENT,
        cwd=cwd,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def audit(*arguments: object, cwd: Path, policy: str = "policy.toml", program: str = MAIN) -> subprocess.Popen[str]:
    options = ("--policy", policy, "--at", AT, "--no-cache", "--format", "json")
    return start("audit", *arguments, *options, program=program, cwd=cwd)


def end(process: subprocess.Popen[str], code: int) -> str:
    """What it printed; on standard error, only lines of ours."""
    out, err = process.communicate(timeout=120)
    assert all(line.startswith("modseal: ") for line in err.splitlines()), err
    assert process.returncode == code, err
    return out or err


def serving(answer: Answer) -> dict[str, Answer]:
    """A listing of COUNT bundles, and what answers for each."""
    names = [f"{number:03}.seal" for number in range(COUNT)]
    return {"/": listing(*names), **{f"/{name}": answer for name in names}}


def test_the_report_is_that_of_one_process_byte_for_byte(two: DaskCluster, desk: Path) -> None:
    with site(desk / "depot") as server:
        zipped = depots.make().write(desk / "offline.zip")
        unpacked = depots.make().unpack(desk / "unpacked")
        paths = (desk / "depot", zipped, f"{server.url}/000.seal", unpacked, f"{server.url}/none.seal")
        on_cluster = end(audit(*paths, "--dask", two.address, cwd=desk), 1)
        alone = end(audit(*paths, "-j", "1", cwd=desk), 1)
    assert on_cluster == alone
    verdicts = json.loads(alone)["summary"]["verdicts"]
    bundles = len(depots.make().bundles)
    assert verdicts == {"accepted": 69 + 2 * bundles, "rejected": 2, "undecided": 2}


def test_two_audits_at_once_keep_their_policies_apart(two: DaskCluster, desk: Path) -> None:
    write(desk, name="strict.toml", minimum="certified")
    running = [audit(desk / "depot", "--dask", two.address, cwd=desk, policy=name)
               for name in ("policy.toml", "strict.toml")]  # fmt: skip
    counts = [json.loads(end(process, 1))["summary"]["verdicts"]["accepted"] for process in running]
    assert counts == [68, 0]


def test_a_worker_that_is_killed_half_way_costs_nothing(two: DaskCluster, desk: Path) -> None:
    victim = two.workers[0]
    killed = threading.Event()

    def kill(handler: BaseHTTPRequestHandler) -> None:
        if not killed.is_set() and len(server.asked) >= COUNT // 4:  # both workers have most of their work before them
            killed.set()
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        reply(handler, 200, data)

    data = make().data
    with site(serving(kill)) as server:
        report = json.loads(end(audit(f"{server.url}/", "--dask", two.address, cwd=desk), 0))
    assert killed.is_set()
    assert victim.returncode == -signal.SIGKILL
    assert [result["bundle"] for result in report["results"]] == [
        f"{server.url}/{number:03}.seal" for number in range(COUNT)
    ]
    assert {result["verdict"] for result in report["results"]} == {"accepted"}


def test_ctrl_c_cancels_what_is_under_way(two: DaskCluster, desk: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        if len(server.asked) > 8:
            reached.set()
            go_on.wait(60)
        reply(handler, 200, data)

    data = make().data
    with site(serving(wait)) as server:
        process = audit(f"{server.url}/", "--dask", two.address, cwd=desk, program=HEARING)
        assert reached.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        go_on.set()
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert json.loads(out)["complete"] is False
    assert end(start(two.address, program=STATE, cwd=desk), 0) == "(0, [])\n"


STATE = """
import sys, time
from distributed import Client
from builders.dask_cluster import state
with Client(sys.argv[1]) as client:
    for _ in range(100):
        found = client.run_on_scheduler(state)
        if not found[0]:
            break
        time.sleep(0.1)
    print(found)
"""

EXAMINE = f"""
import json, sys
from datetime import datetime
from pathlib import Path
from builders.dask_cluster import Deadly
from modseal.auditing import cluster
from modseal.auditing.discover import discover
from modseal.policy.sources import load
cluster.PATIENCE = 1.0
targets = list(discover([sys.argv[2]]))
targets[1:1] = [Deadly("deadly.seal")]
engine = cluster.Cluster(load("policy.toml"), datetime.fromisoformat("{AT}"), sys.argv[1])
print(json.dumps([[record.row.bundle.rpartition("/")[2], record.row.verdict,
                   [finding.rule for finding in record.findings if finding.kind == "check"],
                   [finding.detail for finding in record.findings if finding.rule == "worker-lost"],
                   record.holds or record.identity]
                  for record in engine.records(targets)]))
"""


def test_a_bundle_that_no_worker_survives_is_named_and_no_other_suffers(two: DaskCluster, desk: Path) -> None:
    folder_of(desk / "few", 4)
    for _ in range(3):
        two.add_worker()
    found = json.loads(end(start(two.address, str(desk / "few"), program=EXAMINE, cwd=desk), 0))
    assert not any(kept for *_, kept in found)
    assert [(name, verdict, rules) for name, verdict, rules, *_ in found] == [
        ("000.seal", "accepted", []),
        ("deadly.seal", "undecided", ["worker-lost"]),
        ("001.vib", "accepted", []),
        ("002.seal", "accepted", []),
        ("003.vib", "accepted", []),
    ]
    assert two.alive() == 1  # two for the batch, two for the bundle alone


def test_when_no_worker_is_left_all_that_remains_is_undecided(two: DaskCluster, desk: Path) -> None:
    folder_of(desk / "few", 40)
    found = json.loads(end(start(two.address, str(desk / "few"), program=EXAMINE, cwd=desk), 0))
    assert len({name for name, *_ in found}) == len(found) == 41
    assert {rules[0] for _, verdict, rules, *_ in found if verdict == "undecided"} == {"worker-lost"}
    assert found[1][0] == "deadly.seal"
    assert "no worker of the cluster was left" in found[1][3][0] or "every worker" in found[1][3][0]
    assert two.alive() == 0


@pytest.mark.parametrize(
    ("before", "environment", "has"),
    [
        ("import modseal; modseal.__version__ = '0.0.7'; ", {}, "modseal 0.0.7 on Python"),
        ("import sys; sys.modules['modseal'] = None; ", {}, "modseal none on Python"),
        ("import platform; platform.python_version_tuple = lambda: ('3', '99', '0'); ", {}, "on Python 3.99"),
    ],
)
def test_workers_of_other_versions_are_refused(
    two: DaskCluster, desk: Path, before: str, environment: dict[str, str], has: str
) -> None:
    two.add_worker(before, **environment)
    try:
        error = end(audit(desk / "depot", "--dask", two.address, cwd=desk), 3)
    finally:
        two.remove_worker()
    assert has in error
    assert f"next: {CODES['cluster-failed'].next_step}" in error
    assert "modseal: here is modseal" in error


def test_a_scheduler_that_is_gone_ends_the_audit(two: DaskCluster, desk: Path) -> None:
    reached = threading.Event()

    def kill(handler: BaseHTTPRequestHandler) -> None:
        if not reached.is_set():
            reached.set()
            two.processes[0].kill()
        reply(handler, 200, data)

    data = make().data
    program = f"from modseal.auditing import cluster; cluster.CONNECT = 2.0; {MAIN}"
    with site(serving(kill)) as server:
        error = end(audit(f"{server.url}/", "--dask", two.address, cwd=desk, program=program), 3)
    assert error.startswith(f"modseal: {two.address}: ")
    assert "next: Check its address" in error


# No cluster is needed for these.


def test_a_workers_word_is_kept_in_no_cache(desk: Path) -> None:
    """Neither as what bytes are worth, nor for a file that has the same device and inode on the auditor's machine."""
    path = desk / "depot" / "000.seal"
    record = replace(look(FileTarget(str(path)), trusting(), (), NOW), identity=identity_of(path.stat()))
    assert record.holds
    assert cluster_module._not_to_be_kept(record) == replace(record, holds=None, identity=None)


@pytest.mark.parametrize("same", [True, False])
def test_a_worker_examines_only_for_audits_that_it_is_prepared_for(same: bool, desk: Path) -> None:
    from modseal.auditing import cluster_worker

    policy = load("strict")
    assert policy.origin is not None
    preparation = cluster_worker.WorkerPreparation("key", policy.origin, policy.source, NOW)
    if not same:
        preparation._versions = ("0.0.7", "3.11")
    preparation.setup(None)
    target = FileTarget(str(desk / "depot" / "000.seal"))
    if same:
        assert cluster_worker.examine("key", [target]) == [look(target, policy, rules.BUNDLE_RULES, NOW)]
        preparation.teardown(None)
    with pytest.raises(RuntimeError, match="a worker joined"):
        cluster_worker.examine("key", [target])


def test_nobody_answers(desk: Path) -> None:
    program = f"from modseal.auditing import cluster; cluster.CONNECT = 0.5; {MAIN}"
    error = end(start("audit", desk / "depot", "--dask", "tcp://127.0.0.1:1", program=program, cwd=desk), 3)
    assert error.startswith("modseal: tcp://127.0.0.1:1: ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("depot", "--dask", "tcp://127.0.0.1:1"), "depot: with --dask, give absolute paths"),
        (("/depot", "--dask", "tcp://127.0.0.1:1", "-j", "2"), "--dask and --jobs exclude each other"),
        (("/depot", "--dask", "127.0.0.1:1"), "not an address of a Dask scheduler"),
        (("/depot", "--dask", "inproc://x"), "not an address of a Dask scheduler"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(arguments: tuple[str, ...], reason: str, desk: Path) -> None:
    done = run("audit", *arguments, "--no-cache", cwd=desk)
    assert (done.code, reason in done.err) == (2, True), done.err


def test_a_missing_package_is_named(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "find_spec", lambda _name: None)
    done = run("audit", "/depot", "--dask", "tcp://127.0.0.1:1", "--no-cache", cwd=desk)
    assert done.code == 2
    assert "pip install modseal[dask]" in done.err
