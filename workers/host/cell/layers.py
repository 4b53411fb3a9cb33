"""Which layers of a cell this machine can put on."""

import msgspec

from workers.host.cell.identity import Kind as Identity
from workers.host.cell.scratch import Kind as Scratch


class Layers(msgspec.Struct, frozen=True, array_like=True):
    """What the template found out by trying.

    Attributes:
        filter: system calls are filtered.
        landlock: its version; 0: files are not fenced in, and none can be opened at all.
        identity: who a host is.
        namespaces: hosts have a network, and interprocess communication, of their own: none.
        scratch: where a host may write.
        search: hosts keep the right to read files of others, as far as Landlock lets them, because the
            libraries lie where only root may look.
    """

    filter: bool
    landlock: int
    identity: Identity
    namespaces: bool
    search: bool
    scratch: Scratch
