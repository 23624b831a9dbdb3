"""A root of trust as it was at a time: without what was not in use yet, or not any more (`validFor`).

Authorities and logs are retired, also because somebody got hold of a key: what they say of later is nothing.
The `sigstore` library lets them speak for ever (its verifier asks for `allow_expired`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from immutag.trust.judgement import Check, invalid

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_SECONDS = re.compile(r"[0-9]{1,12}")


def in_use(root: Any, times: Sequence[datetime], issued: Sequence[datetime]) -> dict[str, list[Any]]:
    """The root's authorities and logs that were in use at all these times, by the names of its fields.
    `issued`: when a log of certificates took the certificate. Raises Refused where no log is left."""
    found = {
        "certificate_authorities": _covering(root.certificate_authorities, times),
        "tlogs": _covering(root.tlogs, times),
        "ctlogs": _covering(root.ctlogs, issued),
    }
    if root.tlogs and not found["tlogs"]:
        raise invalid(Check.LOG, f"no log was in use at {_named(times)}")
    if root.ctlogs and not found["ctlogs"]:
        raise invalid(Check.CERTIFICATE, f"no log of certificates was in use at {_named(issued)}")
    return found


def promised(entries: Iterable[Mapping[str, Any]]) -> list[datetime]:
    """Since when a log says that it holds them; unverified. Raises Refused for a time that is none."""
    return [at_second(each.get("integratedTime", "0")) for each in entries if each.get("inclusionPromise")]


def at_second(seconds: object) -> datetime:
    """The time, so many seconds after 1970. Raises Refused where there is none."""
    if not _SECONDS.fullmatch(str(seconds)):
        raise invalid(Check.LOG, "a time that is none")
    try:
        return datetime.fromtimestamp(int(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        raise invalid(Check.LOG, "a time that is none") from None


def issued(leaf: "Certificate") -> list[datetime]:
    """When logs of certificates say that they took it; nothing where it does not say."""
    from cryptography.x509 import PrecertificateSignedCertificateTimestamps

    try:
        found = leaf.extensions.get_extension_for_class(PrecertificateSignedCertificateTimestamps).value
        return [_aware(each.timestamp) for each in found]
    except Exception:  # noqa: BLE001 - none, or damaged: whoever verifies it says so
        return []


def _covering(parts: Iterable[Any], times: Sequence[datetime]) -> list[Any]:
    return [each for each in parts if all(_covers(_period(each), time) for time in times)]


def _period(part: Any) -> Any:
    """An authority has its own, a log its key's."""
    return part.public_key.valid_for if hasattr(part, "public_key") else part.valid_for


def _covers(period: Any, time: datetime) -> bool:
    if period is None:
        return True
    begun = period.start is None or _aware(period.start) <= time
    return begun and (period.end is None or time <= _aware(period.end))


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _named(times: Sequence[datetime]) -> str:
    return ", ".join(each.isoformat(timespec="seconds") for each in times[:3])
