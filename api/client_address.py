"""Who is at the other end: the socket's peer, or whom our own proxies say they speak for."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from litestar.types import Scope

from shared.settings import SettingsInvalid

Network = IPv4Network | IPv6Network


def trusted_networks(text: str) -> tuple[Network, ...]:
    """The networks of TRUSTED_PROXIES.

    Raises:
        SettingsInvalid: one of them is none; the text says which.
    """
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The address of the client; empty where it came over a Unix socket.

    Each proxy adds to the end of X-Forwarded-For whom it heard from. What a trusted one added can be
    believed; the rest is what the client says of itself, and counts for nothing.
    """
    client = scope.get("client")
    peer = client[0] if client else ""
    if not trusted or not is_trusted(peer, trusted):
        return peer
    for claimed in reversed(_forwarded_for(scope)):
        if _address(claimed) is None:
            break
        peer = claimed
        if not is_trusted(claimed, trusted):
            break
    return peer


def is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    """Whether the address is one of our own proxies'."""
    address = _address(text)
    return address is not None and any(address in network for network in trusted)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise SettingsInvalid(f"TRUSTED_PROXIES: {error}; write networks such as 10.0.0.0/8") from None


def _forwarded_for(scope: Scope) -> list[str]:
    """Everything that the headers of this name list, in their order."""
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [part.strip() for value in values for part in value.split(",")]


@lru_cache(4096)  # the same few clients and proxies come again and again
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def client_scheme(scope: Scope, trusted: Sequence[Network]) -> str:
    """`http` or `https`, by which the client came.

    A trusted proxy says so in X-Forwarded-Proto; where it says it several times, what was added last
    counts. Anybody else's word counts for nothing.
    """
    client = scope.get("client")
    scheme = str(scope["scheme"])
    if client is None or not is_trusted(client[0], trusted):
        return scheme
    claimed = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    last = claimed[-1].rpartition(b",")[2].strip().lower() if claimed else b""
    return last.decode() if last in {b"http", b"https"} else scheme
