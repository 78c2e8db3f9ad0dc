"""A program `modseal` whose processes are forked from one that has loaded modseal already.

Pages show some four hundred commands, and a cold start takes most of the time of each. Every command is a process of
its own, with the arguments, streams, folder and environment that the shell gives it. What a cold start loads is
counted in tests/cost, and tests/docs/test_readme.py runs cold.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CLIENT = """\
#!{python} -ISE
import posix, sys, _socket
peer = _socket.socket(_socket.AF_UNIX)
peer.connect({socket!r})
place = posix.umask(0)
words = [posix.getcwdb(), b"%o" % place, *map(lambda each: each.encode("utf-8", "surrogateescape"), sys.argv)]
environment = [name + b"=" + value for name, value in posix.environ.items()]
data = b"\\0".join([b"%d" % len(words), *words, *environment])
fds = bytes().join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
peer.sendmsg([b"%08d" % len(data)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
peer.sendall(data)
posix._exit(int(peer.recv(3) or b"255"))
"""


@contextlib.contextmanager
def warm_modseal(program: Path, environment: dict[str, str]) -> Iterator[None]:
    """Write `program`, which works while the context lasts. All three streams of a command must be open."""
    place = program.parent / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen(16)
        python = os.path.realpath(sys.executable)
        program.write_text(CLIENT.format(python=python, socket=str(place)))
        program.chmod(0o755)
        server = subprocess.Popen(
            [sys.executable, __file__, str(listening.fileno())],
            pass_fds=[listening.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield
    finally:
        server.kill()
        server.wait()


def _serve(listening: socket.socket) -> None:
    import importlib

    from modseal.cli import main

    for module, _about in main.COMMANDS.values():
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer
    while True:
        peer, _ = listening.accept()
        if not os.fork():
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(peer)
        peer.close()


def _answer(peer: socket.socket) -> None:
    head, streams, _, _ = socket.recv_fds(peer, 8, 3)
    data = b""
    while len(data) < int(head):
        data += peer.recv(1 << 20)
    count, *parts = data.split(b"\0")
    words, environment = parts[: int(count)], parts[int(count) :]
    child = os.fork()
    if not child:
        peer.close()
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        os.closerange(3, max(streams) + 1)
        # Python's own know what the descriptors were.
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        os.chdir(words[0])
        os.umask(int(words[1], 8))
        os.environb.clear()
        os.environb.update(dict(each.split(b"=", 1) for each in environment))
        sys.argv = [os.fsdecode(word) for word in words[2:]]
        from modseal.cli.main import main

        main()
    for descriptor in streams:
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    peer.sendall(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
