"""The one trust rule of the configuration as other tools' command lines. Pure; their policies: `admission`.

cosign takes any attestation by the same signers for a signature, we take SLSA provenance only. Their regular
expressions are Go's, and search: ours have to match all of a text, so they are anchored on the way.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from immutag.core.errors import ConfigInvalid
from immutag.core.frozen import frozen
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import ImageRef, Repository

_ANY = " || "
_GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
_GITHUB_SUBJECT = re.compile(r"https://github\.com/([\w.-]+)/(?:([\w.-]+)/)?")


@frozen()
class File:
    """A file of the configuration, a public key or the trusted root, and what is in it."""

    path: Path
    text: str


@frozen()
class Rule:
    """Whom the configuration trusts, any of them. `signatures`: where signatures lie, if not beside images.

    `transparency_log`: keys need a log's proof too; certificates always do. `trusted_root`: of a Sigstore
    that is not the public one.
    """

    keys: tuple[File, ...]
    identities: tuple[IdentityRule, ...]
    transparency_log: bool = False
    trusted_root: File | None = None
    signatures: Repository | None = None
    plain_http: bool = False
    ca: Path | None = None

    def __post_init__(self) -> None:
        if not self.keys and not self.identities:
            raise ConfigInvalid(
                "there is no trust rule to tell others",
                expected="somebody who is trusted",
                found="neither a key nor an identity",
                remedy="set [trust] public_keys or identities",
            )


def cosign_command(image: ImageRef, rule: Rule) -> str:
    """What accepts the image by cosign (v3) as we do, as one line of shell."""
    return _ANY.join(_shell(argv, shlex.quote(str(image)), rule) for argv in cosign_verify(rule))


def gh_command(image: ImageRef, rule: Rule) -> str | None:
    """The same by GitHub's command line, of its provenance; None where it has no way to say the rule."""
    commands = [_shell(argv, shlex.quote(str(image)), rule) for argv in gh_verify(rule)]
    return _ANY.join(commands) or None


def script(commands: Sequence[Sequence[str]], rule: Rule) -> str:
    """The commands as lines of shell about the image `$IMAGE`, of which one must succeed."""
    lines = [_shell(argv, '"$IMAGE"', rule) for argv in commands]
    return "# IMAGE is REPOSITORY@DIGEST; one of these must succeed\n" + " ||\n".join(lines)


def cosign_verify(rule: Rule) -> list[tuple[str, ...]]:
    """A command for each key and identity, without the image; an image is accepted by any."""
    every: tuple[str, ...] = ()
    if rule.trusted_root:
        every += ("--trusted-root", str(rule.trusted_root.path))
    if rule.plain_http:
        every += ("--allow-http-registry",)
    if rule.ca:
        every += ("--registry-cacert", str(rule.ca))
    unlogged = () if rule.transparency_log else ("--insecure-ignore-tlog=true",)
    keys = [("cosign", "verify", "--key", str(key.path), *unlogged, *every) for key in rule.keys]
    return keys + [("cosign", "verify", *_identity_flags(each), *every) for each in rule.identities]


def gh_verify(rule: Rule) -> list[tuple[str, ...]]:
    """A command for each identity of a GitHub workflow, without the image; gh knows no others, nor keys,
    and looks only beside the image."""
    root = ("--custom-trusted-root", str(rule.trusted_root.path)) if rule.trusted_root else ()
    found: list[tuple[str, ...]] = []
    for each in rule.identities:
        place = None if rule.signatures else _github_place(each)
        if place:
            name = "--cert-identity-regex" if each.subject.regexp else "--cert-identity"
            identity = (name, anchored(each.subject), "--cert-oidc-issuer", each.issuer.text)
            found.append(("gh", "attestation", "verify", "--bundle-from-oci", *place, *identity, *root))
    return found


def anchored(pattern: Pattern) -> str:
    """The pattern's text for tools whose expressions search: it has to match from end to end there too."""
    return f"^(?:{pattern.text})$" if pattern.regexp else pattern.text


def _identity_flags(each: IdentityRule) -> tuple[str, ...]:
    identity = "--certificate-identity" + ("-regexp" if each.subject.regexp else "")
    issuer = "--certificate-oidc-issuer" + ("-regexp" if each.issuer.regexp else "")
    return identity, anchored(each.subject), issuer, anchored(each.issuer)


def _github_place(each: IdentityRule) -> tuple[str, str] | None:
    """The repository or owner that gh wants to be told: one, as the subject begins."""
    text = each.subject.text.replace("\\", "").removeprefix("^")
    found = _GITHUB_SUBJECT.match(text)
    if each.issuer != Pattern(_GITHUB_ISSUER) or not found or (each.subject.regexp and "|" in text):
        return None
    owner, repository = found.groups()
    return ("--repo", f"{owner}/{repository}") if repository else ("--owner", owner)


def _shell(argv: Sequence[str], image: str, rule: Rule) -> str:
    """cosign is told by a variable where else signatures lie; gh wants to hear that it is an image."""
    if argv[0] == "gh":
        return f"{shlex.join(argv)} oci://{image}"
    beside = f"COSIGN_REPOSITORY={rule.signatures} " if rule.signatures else ""
    return f"{beside}{shlex.join(argv)} {image}"
