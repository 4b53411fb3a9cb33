"""Looks for what a worker of the whole platform has, beside a PostgreSQL and a Redis that run."""

import os
import socket

from tests.attacks.deeds.reading import processes, read
from tests.attacks.deeds.syscalls import first_that_works


def settings_of_the_worker(planted):
    """Wherever they may be: its environment, and that of every process."""

    def shown(path):
        content = read(path)
        return content if b"DATABASE" + b"_URL" in content else None

    found = first_that_works(*(lambda path=path: shown(path) for path in processes("environ")))
    return found or os.environ.get("DATABASE" + "_URL")


def its_servers(planted):
    """PostgreSQL and Redis listen on this machine; whoever reaches them has only a password to find."""

    def reached(port):
        def connect():
            socket.create_connection(("127.0.0.1", port), 1).close()
            return f"port {port}"

        return connect

    return first_that_works(*map(reached, planted.ports))


def files_of_the_store(planted):
    """Artifacts of all tenants lie in one folder."""
    return first_that_works(lambda: os.listdir(planted.storage))
