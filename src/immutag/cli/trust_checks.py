"""What doctor says of signing: who signs here, whose signatures count, and what makes SBOMs."""

import shutil
from typing import TYPE_CHECKING

from immutag.cli.checks import Check, State
from immutag.core.errors import ImmutagError
from immutag.core.policy import Enforcement
from immutag.core.values import shown
from immutag.settings import SbomSettings, Settings

if TYPE_CHECKING:
    from immutag.project import Project

_DAY_S = 86400
_OLD_DAYS = 365


def trust_checks(project: "Project") -> list[Check]:
    """The trust rule and the signer; the root of trust, the log and the scanner where they are needed."""
    settings = project.settings
    checks = [_rule(project), _signer(settings)]
    if settings.trust.trusted_root:
        checks.append(_root(project))
    if settings.ledger.anchor_in_rekor:
        checks.append(_log(project))
    if settings.sbom.enabled:
        checks.append(_scanner(settings.sbom))
    return checks


def _rule(project: "Project") -> Check:
    """Whose signatures count."""
    try:
        rule = project.trust_rule
    except ImmutagError as error:
        return Check.failed("trust", error)
    if rule.keys or rule.identities:
        return Check("trust", State.OK, f"{len(rule.keys)} keys and {len(rule.identities)} identities")
    trust, remedy = project.settings.trust, "set [trust] public_keys or identities"
    if trust.verification is Enforcement.MANDATORY:
        return Check("trust", State.MISSING, "verification is mandatory, and nobody is trusted", remedy)
    if trust.signs:
        return Check("trust", State.WARNING, "releases are signed, and nobody here trusts it", remedy)
    return Check("trust", State.OK, "nobody is trusted, so no image counts as verified")


def _signer(settings: Settings) -> Check:
    """Who signs; a key is not unlocked for it."""
    trust = settings.trust
    if trust.key:
        if trust.key.is_file():
            return Check("signer", State.OK, str(trust.key))
        return Check("signer", State.MISSING, f"no file {trust.key}", "cosign generate-key-pair")
    if trust.signer:
        name = trust.signer[0]
        found = shutil.which(str(settings.root / name) if "/" in name else name)
        if found:
            return Check("signer", State.OK, found)
        return Check(
            "signer", State.MISSING, f"{shown(name)} is no program that can be run", f"chmod +x {name}"
        )
    return Check(
        "signer", State.OK, "the CI's identity, by Sigstore" if trust.keyless else "nothing is signed"
    )


def _root(project: "Project") -> Check:
    """The root of trust: where it is from, and how old."""
    try:
        text = project.root_of_trust.text()
        project.root_of_trust.authorities()
    except ImmutagError as error:
        return Check.failed("root of trust", error)
    days = int(text.age_s // _DAY_S)
    if days > _OLD_DAYS:
        return Check(
            "root of trust", State.WARNING, f"{text.origin}, {days} days old", "cosign trusted-root create"
        )
    return Check("root of trust", State.OK, f"{text.origin}, {days} days old")


def _log(project: "Project") -> Check:
    """Whether the ledger's head can be entered in Rekor, as the configuration says."""
    try:
        project.anchors.require_log()
    except ImmutagError as error:
        return Check.failed("log of heads", error)
    return Check("log of heads", State.OK, "the ledger's head is left in Rekor too")


def _scanner(sbom: SbomSettings) -> Check:
    from immutag.trust.evidence.sbom import find_syft

    if sbom.command:
        return Check("sbom", State.OK, shown(" ".join(sbom.command)))
    try:
        return Check("sbom", State.OK, find_syft())
    except ImmutagError as error:
        return Check.failed("sbom", error)
