"""Whom an address stands for."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

_IPV6_NETWORK_BITS = 64  # what one customer gets: they may take any address in it
_BLOCK_BITS = {4: 24, 6: 48}  # the least that is routed by itself, and what whoever has it may use whole


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


@lru_cache(10_000)
def client_block(client_ip: str) -> str:
    """The block around `client_network`, which may have one owner: a /24, or a /48 of IPv6."""
    network = client_network(client_ip)
    try:
        bits = _BLOCK_BITS[ip_address(network).version]
    except ValueError:
        return network
    return str(ip_network((network, bits), strict=False))
