"""Reaches for other machines, and for other processes on this one."""

import os
import socket
import urllib.request

from tests.attacks.deeds.syscalls import first_that_works


def tcp(planted):
    with socket.create_connection(("127.0.0.1", planted.tcp_port), 2) as connection:
        connection.sendall(planted.name.encode())
    return "a TCP connection"


def tcp6(planted):
    with socket.socket(socket.AF_INET6) as connection:
        connection.settimeout(2)
        connection.connect(("::ffff:127.0.0.1", planted.tcp_port))
    return "a TCP connection by IPv6"


def udp(planted):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(planted.name.encode(), ("127.0.0.1", planted.udp_port))
    return "a datagram"


def unix_socket(planted):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect(planted.unix_path)
        connection.sendall(planted.name.encode())
    return "a socket of the file system"


def abstract_socket(planted):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect("\0" + planted.abstract_name)
        connection.sendall(planted.name.encode())
    return "an abstract socket"


def listen(planted):
    with socket.create_server(("0.0.0.0", 0)) as server:
        return f"it listens on {server.getsockname()}"


def listen_abstract(planted):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + planted.name)
        server.listen()
        return "it listens on an abstract socket"


def other_families(planted):
    """Netlink, packets, raw IP, Bluetooth, vsock, the kernel's ciphers."""
    families = [
        (socket.AF_NETLINK, socket.SOCK_RAW, 0),
        (socket.AF_PACKET, socket.SOCK_RAW, 0),
        (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        (40, socket.SOCK_STREAM, 0),
        (socket.AF_ALG, socket.SOCK_SEQPACKET, 0),
    ]

    def opened(arguments):
        def attempt():
            with socket.socket(*arguments):
                return f"a socket {arguments}"

        return attempt

    return first_that_works(*map(opened, families))


def resolve_a_name(planted):
    """The question itself would carry a secret out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", planted.udp_port))
        sender.send(b"\0\0\1\0\0\1\0\0\0\0\0\0\6secret\7example\0\0\1\0\1")
    return "a question went out"


def fetch(planted):
    with urllib.request.urlopen(f"http://127.0.0.1:{planted.tcp_port}/{planted.name}", timeout=2) as answer:
        return answer.read()


def redirect_its_socket(planted):
    with socket.socket(fileno=os.dup(3)) as ours:
        ours.connect(planted.unix_path)
    return "its socket leads elsewhere now"
