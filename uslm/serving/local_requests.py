"""Access rules of a program that listens on this machine only, and so wants no password.

A browser on this machine asks for whatever page its user has open. A page of another site may
send forms here, or have its own name point here (DNS rebinding) to read the answers as well: both
show in the headers, which a page cannot change.
"""

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing; a browser keeps the answers from other sites."""
OUR_SITES = (b"same-origin", b"none")
"""What Sec-Fetch-Site says of our own pages, and of an address that the user typed."""


def why_refused(
    method: str, headers: Mapping[bytes, bytes], allowed_origins: Collection[str] = ()
) -> str | None:
    """Reason why a request is not for a program of this machine; None if it may come in.

    `headers` have their names in lower case. Programs send no Origin, and so need none. Pages of
    `allowed_origins` may ask for everything.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    if not names_this_machine(host):
        return "the Host header must name this machine"
    origin = headers.get(b"origin")
    if method.upper() in READING or (origin or b"").decode("latin-1") in allowed_origins:
        return None
    if origin is not None and not _is_of(origin.decode("latin-1"), host):
        return "a page of another site may not ask for this (Origin)"
    if headers.get(b"sec-fetch-site", b"none") not in OUR_SITES:
        return "a page of another site may not ask for this (Sec-Fetch-Site)"
    return None


def names_this_machine(host: str) -> bool:
    """Whether a Host header, with its port or without, can only mean this machine."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname or "", parts.port
    except ValueError:  # brackets that do not match, a port that is no number
        return False
    if parts.netloc != host or parts.username is not None:
        return False
    return is_this_machine(name)


def is_this_machine(name: str) -> bool:
    """Whether an address or a host name can be reached from this machine only."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_of(origin: str, host: str) -> bool:
    scheme, _, netloc = origin.partition("://")
    return scheme in ("http", "https") and netloc.lower() == host.lower()
