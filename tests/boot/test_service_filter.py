"""The filter of system calls that services have, in processes that have it: what is refused, and what is not."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="host images are for x86-64")

HEAD = """
import ctypes, errno, fcntl, os, subprocess, threading
from modseal.boot import service_filter, syscalls
from modseal.host import ways_round
libc = ctypes.CDLL(None, use_errno=True)
syscalls.no_new_privileges()
service_filter.install()
def call(*words):
    return errno.errorcode[ctypes.get_errno()] if libc.syscall(*words) < 0 else "done"
"""


def said(code: str) -> str:
    """What a process prints that has the filter."""
    done = subprocess.run([sys.executable, "-I", "-c", HEAD + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_none_of_the_calls_that_change_what_is_mounted_or_run_is_there() -> None:
    code = "print({call(number, 0, 0, 0, 0, 0) for number in service_filter._REFUSED.values()})"
    assert said(code) == "{'EPERM'}"


def test_what_it_starts_has_it_too_and_programs_and_threads_start_as_ever() -> None:
    child = "import ctypes; libc = ctypes.CDLL(None); print(libc.syscall(165, 0, 0, 0, 0, 0))"
    code = f"""
one = threading.Thread(target=print, args=("a thread",), kwargs={{"flush": True}}); one.start(); one.join()
print(subprocess.run([{sys.executable!r}, "-I", "-c", {child!r}], capture_output=True, text=True).stdout.strip())
"""
    assert said(code) == "a thread\n-1"


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        ("call(56, 0x00020000 | 17, 0, 0, 0, 0)", "EPERM"),  # a mount namespace of one's own
        ("call(56, 0x10000000 | 17, 0, 0, 0, 0)", "EPERM"),  # of users
        ("call(435, 0, 0)", "ENOSYS"),
        ("call(0x40000000 + 39)", "EPERM"),  # x32
        ("call(0x40000000 + 165, 0, 0, 0, 0, 0)", "EPERM"),
        ("call(16, 0, ctypes.c_ulong(0xC138FD09), 0)", "EPERM"),  # DM_TABLE_LOAD
        ("call(16, 0, ctypes.c_ulong(0xFFFFFFFFC138FD09), 0)", "EPERM"),  # the kernel looks at the low half only
        ("call(16, 0, ctypes.c_ulong(0x4C82), 0)", "EPERM"),  # LOOP_CTL_GET_FREE
        ("call(16, os.pipe()[0], ctypes.c_ulong(0x541B), ctypes.byref(ctypes.c_int()))", "done"),  # FIONREAD
        ("call(39)", "done"),  # getpid
        ("call(302, 1, 7, 0, 0)", "EPERM"),  # the open files of process 1
        ("call(302, 0, 7, 0, 0)", "done"),  # one's own
    ],
)
def test_namespaces_and_block_devices_cannot_be_made_and_what_is_usual_can(call: str, outcome: str) -> None:
    assert said(f"print({call})") == outcome


def test_what_is_closed_to_others_is_closed_in_forks_too_and_not_in_programs() -> None:
    code = """
syscalls.close_to_others()
if not os.fork():
    print(libc.prctl(3, 0, 0, 0, 0), flush=True)
    os.execv("/bin/sh", ["sh", "-c", "stat -c %u /proc/$$/environ"])
os.wait()
"""
    assert said(code) == f"0\n{os.getuid()}"


def test_it_cannot_be_taken_back_and_another_architecture_ends_the_process() -> None:
    assert said("print(call(317, 0, 0, 0), call(165, 0, 0, 0, 0, 0))") == "EINVAL EPERM"
    code = """
import mmap
if not os.fork():
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(b"\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3")  # getpid of a program of 32 bits
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
    os._exit(0)
print(os.WTERMSIG(os.wait()[1]))
"""
    assert said(code) == "31"


def test_no_process_of_a_host_has_memory_that_is_code_because_it_can_be_read() -> None:
    """With READ_IMPLIES_EXEC, brk(2) gives memory that is writable and code: neither MDWE nor IPE is asked."""
    heap = "any('rwx' in line for line in open('/proc/self/maps'))"
    code = f"""
ways_round.filter_calls(ways_round.no_code_by_reading())
print(call(135, 0x0400000), call(135, 0x0440000), call(0x40000087, 0x0400000))
print(call(135, 0xFFFFFFFF), call(135, 0x0040000))
libc.sbrk(1 << 20); print({heap})
"""
    assert said(code) == "EPERM EPERM EPERM\ndone done\nFalse"
    control = "libc.syscall(135, 0x0400000); libc.sbrk(1 << 20); print(" + heap + ")"
    assert said(control) == "True", "this kernel does not do that: the filter is not needed"
