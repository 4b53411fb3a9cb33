"""Whom an address stands for."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

_IPV6_NETWORK_BITS = 64  # what one customer gets: they may take any address in it


@lru_cache(10_000)
def client_network(client_ip: str) -> str:
    """The address, or of an IPv6 one the network that its owner has to themselves."""
    try:
        address = ip_address(client_ip)
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> _IPV6_NETWORK_BITS << _IPV6_NETWORK_BITS))
