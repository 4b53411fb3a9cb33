"""Whose address counts: nobody can claim one, but where our own proxies say it."""

import pytest

from api.client_address import client_address, trusted_networks
from shared.settings import SettingsInvalid

PROXIES = trusted_networks("10.0.0.0/8, fd00::/8")


def address(peer, *forwarded, trusted=PROXIES):
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return client_address({"client": (peer, 1234), "headers": headers}, trusted)


def test_without_trusted_proxies_only_the_peer_counts():
    assert address("10.1.2.3", "198.51.100.7", trusted=()) == "10.1.2.3"


def test_a_stranger_cannot_claim_an_address():
    assert address("203.0.113.9", "198.51.100.7") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7"], "198.51.100.7"),  # the client wrote the first itself
        (["1.1.1.1", "198.51.100.7"], "198.51.100.7"),  # in two headers
        (["1.1.1.1, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),  # through two proxies
        (["2001:db8::5, fd00::1"], "2001:db8::5"),
        (["10.7.7.7, 10.9.9.9"], "10.7.7.7"),  # somebody inside
        (["198.51.100.7, nonsense, 10.9.9.9"], "10.9.9.9"),  # not past what cannot be read
        (["198.51.100.7:80"], "10.1.2.3"),
        ([""], "10.1.2.3"),
        ([], "10.1.2.3"),
    ],
)
def test_the_last_address_that_no_proxy_of_ours_has_counts(forwarded, client):
    assert address("10.1.2.3", *forwarded) == client


def test_a_proxy_on_a_socket_for_both_families_is_known_too():
    assert address("::ffff:10.1.2.3", "198.51.100.7") == "198.51.100.7"


def test_a_unix_socket_has_no_address():
    assert client_address({"client": None, "headers": []}, PROXIES) == ""


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.local", "10.0.0.0/8;fd00::/8"])
def test_what_is_no_network_is_refused_at_the_start(text):
    with pytest.raises(SettingsInvalid, match="TRUSTED_PROXIES"):
        trusted_networks(text)
