"""The sections that every configuration has: keys, kinds and defaults, one function each."""

import re
from hashlib import sha256

from immutag.core.errors import ConfigInvalid, PolicyViolation
from immutag.core.policy import Enforcement
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Repository, shown
from immutag.settings import kinds
from immutag.settings.kinds import Where
from immutag.settings.model import (
    BuildSettings,
    GitBranch,
    ImageSettings,
    LedgerSettings,
    MetricsSettings,
    ProvenanceSettings,
    RegistrySettings,
    SbomSettings,
    TrustSettings,
)
from immutag.settings.section import Section, Source, read_tables

_BRANCH = "immutag-ledger"
_BRANCH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}(?<![./])")
_GIT_URL = re.compile(r"(?:https?://(?:[^/@:\s]+@)?|ssh://(?:[^/@:\s]+@)?|file:///)[^@\s#]+")
BUILDERS = ("auto", "docker", "buildah", "podman")


def read_image(source: Source, table: dict[str, object]) -> ImageSettings:
    section = Section(source, ("image",), table, ("repository", "staging", "main", "short_tag"))
    repository = section.required("repository", kinds.REPOSITORY, '"ghcr.io/owner/api"')
    staging = section.get("staging", kinds.REPOSITORY, f"{repository}-staging")
    if staging == repository:
        expected = "a repository of its own: what is in the canonical one may go to production (DR-005)"
        raise section.where("staging").wrong(expected, str(staging))
    return ImageSettings(
        repository=repository,
        staging=staging,
        main=section.get("main", kinds.TEXT, "main"),
        short_tag=section.get("short_tag", kinds.FLAG, False),
    )


def read_build(source: Source, table: dict[str, object]) -> BuildSettings:
    keys = ("builder", "context", "file", "args", "platforms", "timeout", "builder_args")
    for key in table:
        if key.startswith("cache"):
            raise _cache(f"build.{key}", str(source.file))
    section = Section(source, ("build",), table, keys)
    extra = section.get("builder_args", kinds.WORDS, [])
    for word in extra:
        if word.startswith(("--cache", "--layers", "--no-cache")):
            raise _cache(shown(word), section.where("builder_args").source)
    return BuildSettings(
        builder=section.get("builder", kinds.one_of(*BUILDERS), "auto"),
        context=section.get("context", kinds.INSIDE, "."),
        file=section.get("file", kinds.INSIDE, "Dockerfile"),
        args=section.get("args", kinds.TEXTS, {}),
        platforms=section.get("platforms", kinds.PLATFORMS, ["linux/amd64"]),
        timeout_s=section.get("timeout", kinds.SECONDS, 600),
        builder_args=extra,
    )


def _cache(key: str, source: str) -> PolicyViolation:
    return PolicyViolation(
        "a configuration that asks for a cache",
        expected="builds without any cache, in or out (DR-002)",
        found=f"{key} in {source}",
        remedy=f"remove it from {source}",
    )


def read_registries(
    source: Source, table: dict[str, object], image: ImageSettings
) -> dict[str, RegistrySettings]:
    """Those that the file names, and those of the two repositories."""
    named = read_tables(source, ("registry",), table)
    hosts = dict.fromkeys((*named, image.repository.host, image.staging.host))
    return {host: _registry(source, host, named.get(host, {})) for host in hosts}


def _registry(source: Source, host: str, table: dict[str, object]) -> RegistrySettings:
    section = Section(source, ("registry", host), table, ("plain_http", "ca"))
    try:
        Repository(host, "any")
    except ConfigInvalid:
        where = kinds.Where("registry", str(source.file), source.file.parent)
        raise where.wrong("a table for each registry's host[:port]", host) from None
    return RegistrySettings(
        host=host,
        plain_http=section.get("plain_http", kinds.FLAG, is_loopback(host)),
        ca=section.optional("ca", kinds.PATH),
    )


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is this machine."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name in ("localhost", "[::1]") or re.fullmatch(r"127(?:\.\d{1,3}){3}", name) is not None


def read_ledger(source: Source, table: dict[str, object]) -> LedgerSettings:
    section = Section(source, ("ledger",), table, ("url", "accept_unshared", "anchor_in_rekor"))
    url = section.get("url", kinds.TEXT, "sqlite:.immutag/ledger.db")
    accept_unshared = section.get("accept_unshared", kinds.FLAG, False)
    in_rekor = section.get("anchor_in_rekor", kinds.FLAG, False)
    where = section.where("url")
    scheme, _, path = url.partition(":")
    if scheme in ("postgresql", "postgres"):
        raise where.wrong("sqlite:PATH or git+https://…: PostgreSQL is not in this version", f"{scheme}:…")
    if scheme.startswith("git+"):
        branch = _git_branch(url.removeprefix("git+"), where)
        folder = kinds.PATH.parse(f".immutag/ledger-{_short_hash(f'{branch.url}#{branch.name}')}", where)
        return LedgerSettings(url, folder, branch, accept_unshared, in_rekor)
    if scheme != "sqlite" or not path or (path.startswith("//") and not path.startswith("///")):
        raise where.wrong("sqlite:PATH, or a branch: git+https://HOST/PATH#immutag-ledger", f"{scheme}:…")
    return LedgerSettings(
        url=url,
        path=kinds.PATH.parse(path, where),
        branch=None,
        accept_unshared=accept_unshared,
        anchor_in_rekor=in_rekor,
    )


def _short_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _git_branch(address: str, where: Where) -> GitBranch:
    """From `scheme://…#branch`. No password: the configuration is shown, and lies in the repository."""
    url, _, branch = address.partition("#")
    name = branch or _BRANCH
    if not _GIT_URL.fullmatch(url) or not _BRANCH_NAME.fullmatch(name) or ".." in name:
        expected = f"git+https://HOST/PATH#{_BRANCH} (or git+ssh, git+http, git+file), without a password"
        raise where.wrong(expected, f"git+{url.partition(':')[0]}:…")
    return GitBranch(url, name)


_TRUST = (
    "verification", "key", "signer", "signer_key", "keyless", "public_keys", "identities", "trusted_root",
    "signing_config", "transparency_log", "legacy", "signature_repository",
)  # fmt: skip


def read_trust(source: Source, table: dict[str, object]) -> TrustSettings:
    section = Section(source, ("trust",), table, _TRUST)
    enforcements = [member.value for member in Enforcement]
    identities = section.get("identities", kinds.TABLES, [])
    found_in = section.where("identities").source
    settings = TrustSettings(
        verification=Enforcement(section.get("verification", kinds.one_of(*enforcements), "soft")),
        key=section.optional("key", kinds.PATH),
        signer=section.optional("signer", kinds.PROGRAM) or (),
        signer_key=section.optional("signer_key", kinds.PATH),
        keyless=section.get("keyless", kinds.FLAG, False),
        public_keys=section.get("public_keys", kinds.PATHS, []),
        identities=tuple(_identity(index, table, found_in) for index, table in enumerate(identities)),
        trusted_root=section.optional("trusted_root", kinds.PATH),
        signing_config=section.optional("signing_config", kinds.PATH),
        transparency_log=section.get("transparency_log", kinds.FLAG, False),
        legacy=section.get("legacy", kinds.FLAG, True),
        signature_repository=section.optional("signature_repository", kinds.REPOSITORY),
    )
    if sum(map(bool, (settings.key, settings.signer, settings.keyless))) > 1:
        raise section.where("key").wrong("one of key, signer and keyless", "more than one of them")
    if bool(settings.signer) != bool(settings.signer_key):
        raise section.where("signer").wrong("signer together with signer_key", "one without the other")
    return settings


def _identity(index: int, table: dict[str, object], found_in: str) -> IdentityRule:
    issuer, subject = _pattern("issuer", table), _pattern("subject", table)
    if len(table) == 2 and issuer and subject:
        return IdentityRule(issuer, subject)
    raise ConfigInvalid(
        f"trust.identities.{index} cannot be used",
        expected='{ issuer = "https://…", subject = "…" }, either also as issuer_regexp, subject_regexp',
        found=f"the keys {', '.join(map(shown, table)) or 'none'} in {found_in}",
        remedy=f"correct trust.identities in {found_in}",
    )


def _pattern(name: str, table: dict[str, object]) -> Pattern | None:
    """A text, or a regular expression under the key's other name."""
    for key, regexp in ((name, False), (f"{name}_regexp", True)):
        text = table.get(key)
        if isinstance(text, str) and text:
            return Pattern(text, regexp)
    return None


def read_sbom(source: Source, table: dict[str, object]) -> SbomSettings:
    section = Section(source, ("sbom",), table, ("enabled", "formats", "command", "timeout"))
    formats = section.get("formats", kinds.WORDS, ["cyclonedx"])
    if not formats or not set(formats) <= {"cyclonedx", "spdx"}:
        raise section.where("formats").wrong("cyclonedx, spdx or both", list(formats))
    return SbomSettings(
        enabled=section.get("enabled", kinds.FLAG, False),
        formats=tuple(dict.fromkeys(formats)),
        command=section.optional("command", kinds.PROGRAM) or (),
        timeout_s=section.get("timeout", kinds.SECONDS, 300),
    )


def read_provenance(source: Source, table: dict[str, object]) -> ProvenanceSettings:
    section = Section(source, ("provenance",), table, ("enabled", "builder_id"))
    return ProvenanceSettings(
        enabled=section.get("enabled", kinds.FLAG, True),
        builder_id=section.optional("builder_id", kinds.TEXT),
    )


def read_metrics(source: Source, table: dict[str, object]) -> MetricsSettings:
    section = Section(source, ("metrics",), table, ("enabled", "textfile", "pushgateway"))
    return MetricsSettings(
        enabled=section.get("enabled", kinds.FLAG, False),
        textfile=section.optional("textfile", kinds.PATH),
        pushgateway=section.optional("pushgateway", kinds.HTTP_URL),
    )
