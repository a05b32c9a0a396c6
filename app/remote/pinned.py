"""Connections go to the address that was looked at, so that a name cannot mean another host a moment later."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import httpx

# Where the machines of clouds are told their secrets, whoever asks.
METADATA = frozenset(
    ipaddress.ip_address(each) for each in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254")
)


class ForbiddenAddress(httpx.ConnectError):
    """The name stands for an address at which no engine is."""


class PinnedTransport(httpx.AsyncHTTPTransport):
    """Looks a name up itself, refuses addresses that no engine has, and connects to one of the others.

    Certificates are checked for the name. Raises ForbiddenAddress, and httpx.ConnectError for a name without address.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
        addresses = await _addresses(host, port)
        if any(is_forbidden(address) for address in addresses):
            raise ForbiddenAddress(f"{host} stands for an address of a cloud's own service", request=request)
        request.extensions = {**request.extensions, "sni_hostname": host}
        for address in addresses[:-1]:
            try:
                return await self._at(request, address)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # `localhost` has two, of which a server listens at one.
                continue
        return await self._at(request, addresses[-1])

    async def _at(self, request: httpx.Request, address: str) -> httpx.Response:
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await super().handle_async_request(pinned)


def is_forbidden(address: str) -> bool:
    """Whether nothing may be sent to an IP address, in whatever way it is written."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip in METADATA or ip.is_multicast


async def _addresses(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"{host} has no address: {error}") from error
    return list(dict.fromkeys(str(info[4][0]) for info in found))
