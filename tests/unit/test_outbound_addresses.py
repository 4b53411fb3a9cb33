from ipaddress import IPv4Address, IPv6Address

from hypothesis import assume, given
from hypothesis import strategies as st

from shared.outbound.addresses import may_connect

MAPPED = bytes.fromhex("00000000000000000000ffff")  # ::ffff:0:0/96
NAT64 = bytes.fromhex("0064ff9b0000000000000000")  # 64:ff9b::/96


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_what_the_standard_library_calls_not_global_is_never_connected_to(address):
    assume(not address.is_global or address.is_multicast or address.is_reserved)
    assume(address.packed[:12] not in (MAPPED, NAT64))  # judged by the IPv4 address inside

    assert not may_connect(address, allow_private=False)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_ipv6_spelling(inner: IPv4Address):
    expected = may_connect(inner, allow_private=False)

    assert may_connect(IPv6Address(MAPPED + inner.packed), allow_private=False) == expected
    assert may_connect(IPv6Address(NAT64 + inner.packed), allow_private=False) == expected


@given(st.integers(0, 2**112 - 1))
def test_tunnels_out_of_ipv6_are_never_connected_to(rest: int):
    assert not may_connect(IPv6Address((0x2002 << 112) | rest), allow_private=True)


def test_well_known_public_addresses_are_connected_to():
    public = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "240e::1"]

    assert all(
        may_connect(IPv6Address(a) if ":" in a else IPv4Address(a), allow_private=False) for a in public
    )
