"""Who may use the server: clients with its token, as a bearer or as the cookie that the login form sets."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from vvbatch.errors import InputError

TOKEN_FILE = "VVBATCH_TOKEN_FILE"
SHORTEST = 16  # characters of a token
COOKIE = "vvbatch"
COOKIE_S = 30 * 86_400
FAILURES, WINDOW_S = 10, 60.0  # wrong tokens of one address, and for how long they count
ADDRESSES = 4096  # that are remembered


class TokenError(InputError):
    """The token cannot be used, or is missing; the message names the remedy."""


class TooManyGuesses(Exception):
    """Too many wrong tokens came from an address."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many wrong tokens from this address")
        self.wait_s = wait_s


def token_from_environment() -> str | None:
    """The first line of the file that VVBATCH_TOKEN_FILE names. Raises TokenError."""
    named = os.environ.get(TOKEN_FILE)
    if not named:
        return None
    try:
        token = Path(named).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"{TOKEN_FILE}={named} cannot be read: {error}") from error
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise TokenError(
            f"{named} has no token of {SHORTEST} or more ASCII characters without spaces: "
            f"python -c 'import secrets; print(secrets.token_urlsafe())' > {named}"
        )
    return token


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def url_host(host: str) -> str:
    """A name or an address as URLs and `Host` have it: in lower case, IPv6 in its short form and in brackets."""
    try:
        ip = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower()
    return f"[{ip}]" if ip.version == 6 else str(ip)


@dataclass
class Access:
    """Without a token every client that reaches the server may use it."""

    token: str | None
    failures: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        key = (self.token or "").encode()
        self.cookie = hmac.new(key, b"vvbatch cookie 1", sha256).hexdigest()

    def is_cookie(self, headers: Mapping[str, str]) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self.cookie.encode())

    def is_token(self, given: str, address: str, now: float) -> bool:
        """A wrong one counts against the address. Raises TooManyGuesses, then for the right one too."""
        if (wait_s := self.blocked_s(address, now)) > 0:
            raise TooManyGuesses(wait_s)
        right = self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())
        if not right:
            self.note_failure(address, now)
        return right

    def blocked_s(self, address: str, now: float) -> float:
        """Seconds until this address may try another token."""
        times = self.failures.get(network(address))
        while times and now - times[0] > WINDOW_S:
            times.popleft()
        return WINDOW_S - (now - times[0]) if times and len(times) >= FAILURES else 0.0

    def note_failure(self, address: str, now: float) -> None:
        times = self.failures.setdefault(network(address), deque(maxlen=FAILURES))
        times.append(now)
        self.failures.move_to_end(network(address))
        if len(self.failures) > ADDRESSES:
            self.failures.popitem(last=False)


def network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
