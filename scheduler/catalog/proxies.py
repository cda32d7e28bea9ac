"""By which proxy a provider is reached, as the environment's usual variables say."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from scheduler.domain.errors import Refused


class BadProxy(Refused):
    """A proxy's address cannot be used; the message names the variable, and not the address."""


def proxy_for(base_url: str, environ: Mapping[str, str]) -> str:
    """The proxy's address, or nothing: `HTTPS_PROXY` or `HTTP_PROXY`, by *base_url*'s scheme.

    What `NO_PROXY` has is reached without (hosts and all below them, `host:port`, networks like
    10.0.0.0/8, or `*`), and so is this machine.  As everywhere, names in lower case come first.

    Raises:
        BadProxy: it is no HTTP proxy.
    """
    parts = urlsplit(base_url)
    variable, proxy = _first(environ, f"{parts.scheme}_proxy")
    if not proxy or _is_here(parts.hostname or ""):
        return ""
    exempt = _first(environ, "no_proxy")[1].lower().split(",")
    if any(_is_among(parts, one.strip()) for one in exempt):
        return ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")) or not _has_host(proxy):
        raise BadProxy(f"{variable} must be a proxy's address, like http://proxy.example:3128")
    return proxy


def _first(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    for variable in (name, name.upper()):
        if said := environ.get(variable, "").strip():
            return variable, said
    return name, ""


def _is_among(parts: SplitResult, exempt: str) -> bool:
    host = parts.hostname or ""
    if "/" in exempt:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(exempt, strict=False)
        except ValueError:
            return False
    name = exempt.lstrip("*").lstrip(".")
    if not name:
        return exempt == "*"
    return any(f".{one}".endswith(f".{name}") for one in (host, parts.netloc.lower()))


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Read to see whether it is a number.
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
