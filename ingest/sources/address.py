"""Which network addresses may be connected to: public ones, and those that the operator allows.

A name is looked up once, here; every address of it must pass, and the connection goes to an address that passed. So a
name that answers differently a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from infra.errors import InvalidInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Sequence[str]]

# IPv6 ranges that carry an IPv4 address in their last 32 bits: NAT64 (RFC 6052) and IPv4-compatible (RFC 4291 2.5.5.1).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER = (
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible, deprecated
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 of a local network (RFC 8215)
    ipaddress.IPv6Network("2001::/32"),  # Teredo: the end point is hidden in it (RFC 4380)
    ipaddress.IPv6Network("fec0::/10"),  # site-local, deprecated
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays, deprecated
)


class AddressRefused(Exception):  # noqa: N818 - names what happened
    """A host, or an address that it has, may not be connected to; ``detail`` is a sentence for a person."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class HostUnknown(Exception):  # noqa: N818
    """A host has no address just now; ``detail`` is a sentence for a person."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def look_up(host: str, port: int) -> list[str]:
    """The addresses of ``host``, by the system's resolver; raises ``HostUnknown``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostUnknown(f"The host {host} has no address.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Public addresses, and the hosts (``wiki.corp``, ``*.corp``), addresses and networks (``10.1.0.0/16``) of ``allow``."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    resolve: Resolver = field(default=look_up)

    def names(self, host: str) -> bool:
        """Whether the operator allows ``host`` itself, by name, by a ``*.`` pattern, or as an address."""
        name = normal_host(host)
        parents = name.split(".")
        if name in self.hosts or any(
            "*." + ".".join(parents[depth:]) in self.hosts for depth in range(1, len(parents))
        ):
            return True
        address = _parsed(name)
        return address is not None and self._in_networks(address)

    def addresses(self, host: str, port: int) -> list[str]:
        """Where ``host`` may be reached: every address that it has, all of which passed.

        Raises ``AddressRefused`` if one did not, ``HostUnknown`` if there is none.
        """
        literal = _parsed(host.strip("[]"))
        found = [str(literal)] if literal else list(self.resolve(host, port))
        if not found:
            raise HostUnknown(f"The host {host} has no address.")
        named = self.names(host)
        for text in found:
            if not (named or self._passes(_parsed(text))):
                where = host if literal else f"{host}, which is at {text},"
                raise AddressRefused(f"{where} is no public address, and the operator has not allowed it as a source.")
        return found

    def check_literal(self, host: str) -> None:
        """Raise ``AddressRefused`` if ``host`` is an address that may not be reached; a name is not looked up."""
        if _parsed(host.strip("[]")) is not None:
            self.addresses(host, 0)

    def _passes(self, address: Address | None) -> bool:
        return address is not None and (self._in_networks(address) or is_public(address))

    def _in_networks(self, address: Address) -> bool:
        forms = [address, *_carried(address)]
        return any(form in network for form in forms for network in self.networks)


def address_rules(allow: Sequence[str] = (), resolve: Resolver = look_up) -> AddressRules:
    """The rules for an operator's list of host names, ``*.`` patterns, addresses and networks; raises ``InvalidInput``."""
    hosts: set[str] = set()
    networks: list[Network] = []
    for entry in allow:
        try:
            networks.append(ipaddress.ip_network(entry.strip("[] "), strict=False))
        except ValueError:
            name = normal_host(entry)
            if not name or "/" in name or ":" in name or "*" in name.removeprefix("*."):
                detail = f"{entry!r} is no host name, *.domain, address or network such as 10.0.0.0/8."
                raise InvalidInput(detail, code="invalid_address") from None
            hosts.add(name)
    return AddressRules(frozenset(hosts), tuple(networks), resolve)


def normal_host(host: str) -> str:
    """A host name as it is compared: lower case, without brackets or the dot that may end it."""
    return host.strip().strip("[]").rstrip(".").lower()


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, also when another is wrapped in it (mapped, 6to4, NAT64)."""
    carried = _carried(address)
    if carried:
        return all(is_public(inner) for inner in carried)
    if any(address in network for network in _NEVER):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _carried(address: Address) -> list[Address]:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    inner = address.ipv4_mapped or address.sixtofour
    return [inner] if inner is not None else []


def _parsed(text: str) -> Address | None:
    """The address that ``text`` writes, if it writes one (a zone index, ``fe80::1%eth0``, makes it none)."""
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
