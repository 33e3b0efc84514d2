"""Which network addresses may be connected to."""

from __future__ import annotations

import ipaddress

import pytest

from infra.errors import InvalidInput
from ingest.sources.address import AddressRefused, HostUnknown, address_rules, is_public

PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "::8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    rules = address_rules(resolve=lambda host, port: [address])
    with pytest.raises(AddressRefused, match=r"name\.test, which is at .* is no public address"):
        rules.addresses("name.test", 443)
    with pytest.raises(AddressRefused):
        rules.addresses(address, 443)
    with pytest.raises(AddressRefused):
        rules.check_literal(f"[{address}]")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_passes(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert address_rules(resolve=lambda host, port: [address]).addresses("name.test", 443) == [address]


def test_one_bad_address_among_good_ones_refuses_the_host() -> None:
    rules = address_rules(resolve=lambda host, port: ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(AddressRefused):
        rules.addresses("name.test", 443)


def test_what_cannot_be_read_as_an_address_is_refused() -> None:
    for answer in ("fe80::1%eth0", "nonsense", ""):
        with pytest.raises(AddressRefused):
            address_rules(resolve=lambda host, port, answer=answer: [answer]).addresses("name.test", 443)


@pytest.mark.parametrize(
    ("allow", "host", "address"),
    [
        ("wiki.corp", "wiki.corp", "10.0.0.5"),
        ("wiki.corp", "WIKI.corp.", "10.0.0.5"),
        ("*.corp", "a.b.corp", "10.0.0.5"),
        ("10.0.0.0/8", "anything.test", "10.9.9.9"),
        ("10.0.0.5", "anything.test", "10.0.0.5"),
        ("10.0.0.0/8", "anything.test", "::ffff:10.0.0.5"),
        ("fd00::/8", "anything.test", "fd00::1"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_what_the_operator_allows_passes(allow: str, host: str, address: str) -> None:
    assert address_rules([allow], lambda host, port: [address]).addresses(host, 80) == [address]


@pytest.mark.parametrize(
    ("allow", "host", "address"),
    [
        ("wiki.corp", "evil.wiki.corp", "10.0.0.5"),
        ("*.corp", "corp", "10.0.0.5"),
        ("*.corp", "evilcorp", "10.0.0.5"),
        ("10.0.0.0/8", "anything.test", "11.0.0.1, 192.168.0.1"),
    ],
)
def test_what_is_like_it_does_not(allow: str, host: str, address: str) -> None:
    with pytest.raises(AddressRefused):
        address_rules([allow], lambda host, port: address.split(", ")).addresses(host, 80)


def test_a_name_without_an_address() -> None:
    with pytest.raises(HostUnknown, match=r"no\.test has no address"):
        address_rules(resolve=lambda host, port: []).addresses("no.test", 80)
    with pytest.raises(HostUnknown):
        address_rules().addresses("no-such-host.invalid", 80)
    with pytest.raises(HostUnknown):
        address_rules().addresses("a" * 70 + ".test", 80)


@pytest.mark.parametrize("entry", ["", "a/b", "http://x", "*", "a.*.b", "10.0.0.0/99", "host:80"])
def test_a_bad_entry_of_the_list_is_refused(entry: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        address_rules([entry])
    assert caught.value.code == "invalid_address"


def test_numbers_that_the_system_reads_as_an_address_are_looked_up_and_refused() -> None:
    for host in ("2130706433", "0x7f.1", "127.1"):
        with pytest.raises((AddressRefused, HostUnknown)):
            address_rules().addresses(host, 80)
