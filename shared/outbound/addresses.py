"""Which IP addresses the platform connects to for its callers. Rules without I/O.

A caller chooses the URL and the platform connects from inside the operator's network, so that anything
but a public unicast address would let callers reach what only the operator's machines should reach.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# What an operator may open up: this machine, private networks, the local link.
_PRIVATE_4 = tuple(
    IPv4Network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
    )
)
_PRIVATE_6 = tuple(IPv6Network(network) for network in ("::1/128", "fc00::/7", "fe80::/10"))

# What nobody may: it is no host, or leads elsewhere by a tunnel.
# Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries.
_NEVER_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_UNICAST_6 = IPv6Network("2000::/3")
_NEVER_6 = tuple(IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))

# IPv6 spellings of an IPv4 address: it is the address inside that is connected to.
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")


def may_connect(address: IPv4Address | IPv6Address, *, allow_private: bool) -> bool:
    """Whether a caller's URL may lead to `address`; with `allow_private` also to those inside."""
    address = _unwrapped(address)
    if isinstance(address, IPv4Address):
        private, never = (any(address in network for network in group) for group in (_PRIVATE_4, _NEVER_4))
        return not never and (allow_private or not private)
    if any(address in network for network in _PRIVATE_6):
        return allow_private
    return address in _GLOBAL_UNICAST_6 and not any(address in network for network in _NEVER_6)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(address.packed[-4:])
    return address
