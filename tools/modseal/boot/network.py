"""Gives the machine's first network interface its address, by the kernel's own ioctls (netdevice(7))."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct

from modseal.boot.documents import Network

_SET_FLAGS, _SET_ADDRESS, _SET_MASK, _ADD_ROUTE = 0x8914, 0x8916, 0x891C, 0x890B
_UP, _GATEWAY = 0x1, 0x2
_LOOPBACK = "lo"
_ANY = "0.0.0.0"  # noqa: S104 - where a route leads, not a place to listen
_ROUTE = struct.Struct("=Q16s16s16sHh4xQQh6xQQQH6x")
"""`struct rtentry` (linux/route.h) on x86-64."""


def _address(value: str) -> bytes:
    """`struct sockaddr_in` without a port."""
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))


def _up(control: socket.socket, name: str) -> None:
    fcntl.ioctl(control, _SET_FLAGS, struct.pack("=16sH14x8x", name.encode(), _UP))


def bring_up(network: Network | None) -> str | None:
    """The loopback interface and, where there is a network, the first other one; gives its name. Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        _up(control, _LOOPBACK)
        names = sorted(name for name in os.listdir("/sys/class/net") if name != _LOOPBACK)
        if network is None or not names:
            return None
        mask = str(ipaddress.IPv4Network(f"0.0.0.0/{network.prefix}").netmask)
        for request, value in ((_SET_ADDRESS, network.address), (_SET_MASK, mask)):
            fcntl.ioctl(control, request, struct.pack("=16s16s8x", names[0].encode(), _address(value)))
        _up(control, names[0])
        if network.gateway:
            ends = (_address(_ANY), _address(network.gateway), _address(_ANY))
            route = _ROUTE.pack(0, *ends, _UP | _GATEWAY, 0, 0, 0, 0, 0, 0, 0, 0)
            fcntl.ioctl(control, _ADD_ROUTE, route)
        return names[0]
