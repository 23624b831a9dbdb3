"""What this machine says about the network: proxies, and which certificate authorities it trusts."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from immutag.core.errors import ConfigInvalid
from immutag.core.frozen import frozen

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # BSD, macOS
)
_FOLDER = "/etc/ssl/certs"


def is_loopback(host: str) -> bool:
    """Whether a host (without port or brackets) is this machine by definition; no name is looked up."""
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host, re.ASCII) is not None


def names_this_machine(host: str) -> bool:
    """Whether a host could be this machine in any spelling that resolves without a question: `127.1`, `0`,
    `0x7f000001`, `::ffff:127.0.0.1`, `x.localhost`. For refusing only: `is_loopback` is what permits.
    """
    import ipaddress
    import socket

    name = host.lower().rstrip(".")
    if is_loopback(name) or name.endswith(".localhost") or "%" in name:  # libcurl decodes a host's %2e
        return True
    try:
        found = ipaddress.ip_address(name if ":" in name else socket.inet_aton(name))
    except (OSError, ValueError):
        return False
    plain = getattr(found, "ipv4_mapped", None) or found
    return plain.is_loopback or plain.is_unspecified


def host_of(netloc: str) -> str:
    """The host of `host[:port]`, without port and brackets."""
    return urlsplit(f"//{netloc}").hostname or ""


@frozen()
class Proxy:
    """Where to send a request instead, and which hosts are exempt; both as libcurl reads them."""

    url: str
    exempt: str


def proxy_for(scheme: str, host: str, environ: Mapping[str, str]) -> Proxy:
    """The proxy that the environment asks for. Loopback is never proxied.

    Upper-case HTTP_PROXY is ignored inside CGI, where it is a request's header.
    """
    names = [f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in environ:
        names = [name for name in names if name != "HTTP_PROXY"]
    url = "" if is_loopback(host) else next((environ[name] for name in names if environ.get(name)), "")
    return Proxy(url, environ.get("no_proxy") or environ.get("NO_PROXY") or "")


@frozen()
class TrustedCertificates:
    """The authorities that vouch for a registry: a bundle, a hashed folder, or the PEM text itself."""

    bundle: Path | None = None
    folder: Path | None = None
    pem: bytes | None = None


def trusted_certificates(ca: Path | None, environ: Mapping[str, str]) -> TrustedCertificates:
    """The system's authorities and, if configured, one more file. Raises ConfigInvalid.

    Without SSL_CERT_FILE a hashed folder is preferred: OpenSSL then reads only the certificates that it
    needs, not 150 of them at each connection.
    """
    if ca is not None and not ca.is_file():
        raise ConfigInvalid(
            "the certificate authority's file is not there",
            expected="a file of PEM certificates",
            found=str(ca),
            remedy="correct `ca` of this registry in immutag.toml",
        )
    named = environ.get("SSL_CERT_FILE")
    if named in _BUNDLES:  # the system's own, which the folder holds too
        named = None
    folder = Path(environ.get("SSL_CERT_DIR") or _FOLDER)
    if not named and any(folder.glob("*.0")):
        return TrustedCertificates(bundle=ca, folder=folder)
    system = Path(named) if named else next((Path(p) for p in _BUNDLES if Path(p).is_file()), None)
    if ca is None or system is None:
        return TrustedCertificates(bundle=ca or system)
    return TrustedCertificates(pem=system.read_bytes() + b"\n" + ca.read_bytes())
