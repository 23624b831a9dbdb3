"""Whether a provenance is about what is being deployed. Pure: the checks in their order, one a function.

Whoever signed it was checked before: a provenance by nobody we trust is not looked at. SLSA v1 and v0.2,
as GitHub, BuildKit and we ourselves write them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from immutag.core.frozen import frozen
from immutag.core.statement import SLSA_PROVENANCE, SLSA_PROVENANCE_V02, Statement
from immutag.core.values import Digest, GitSha, shown

_SCHEME = re.compile(r"^(?:git\+|scm:git:)?(?:https?|ssh|git)://(?:[^/@]*@)?", re.IGNORECASE)
_SCP_LIKE = re.compile(r"^(?:git\+)?[^/@:\s]+@([^/:\s]+):(?!//)")
_COMMIT = ("gitCommit", "sha1")


@frozen()
class Expected:
    """What is being deployed. `None`, and no builders at all, is what nobody can or wants to say."""

    subject: Digest
    repository: str | None
    commit: GitSha
    branch: str | None
    builders: tuple[str, ...]


@frozen()
class Refused:
    """The first check that the provenance did not pass."""

    check: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.check}: expected {self.expected}, found {self.found}"


@frozen()
class _Source:
    """A source that the provenance names."""

    repository: str
    ref: str | None
    commit: str


def check_provenance(statement: Statement, expected: Expected) -> Refused | None:
    """The first check that refuses it, in their order; None if it is about what is expected.

    A field that the provenance lacks does not pass: what is not said is not proved.
    """
    for check in CHECKS:
        refused = check(statement, expected)
        if refused:
            return refused
    return None


def is_provenance(statement: Statement) -> bool:
    """Whether the statement is a provenance of a version that is read here."""
    return statement.predicate_type in (SLSA_PROVENANCE, SLSA_PROVENANCE_V02)


def builder_of(statement: Statement) -> str | None:
    """The builder that the provenance names."""
    document = statement.predicate
    where = ("builder",) if statement.predicate_type == SLSA_PROVENANCE_V02 else ("runDetails", "builder")
    found = _mapping(_at(document, *where)).get("id")
    return found if isinstance(found, str) and found else None


def _type(statement: Statement, _: Expected) -> Refused | None:
    if is_provenance(statement):
        return None
    return _refused("1 predicate type", f"{SLSA_PROVENANCE} or v0.2", [statement.predicate_type])


def _subject(statement: Statement, expected: Expected) -> Refused | None:
    if statement.is_about(expected.subject):
        return None
    return _refused("2 subject", str(expected.subject), [str(each.digest) for each in statement.subjects])


def _builder(statement: Statement, expected: Expected) -> Refused | None:
    found = builder_of(statement)
    if found and (not expected.builders or found in expected.builders):
        return None
    return _refused("3 builder", " or ".join(expected.builders) or "a builder", [found] if found else [])


def _repository(statement: Statement, expected: Expected) -> Refused | None:
    if expected.repository is None or _named(statement, expected):
        return None
    found = [source.repository for source in _sources(statement)]
    return _refused("4 source repository", expected.repository, found)


def _commit(statement: Statement, expected: Expected) -> Refused | None:
    """Every mention of the repository has to agree: two commits would be two origins."""
    found = [source.commit for source in _named(statement, expected)]
    if str(expected.commit) in found and (expected.repository is None or len(set(found)) == 1):
        return None
    return _refused("5 commit", str(expected.commit), found)


def _branch(statement: Statement, expected: Expected) -> Refused | None:
    if expected.branch is None:
        return None
    found = [source.ref for source in _named(statement, expected) if source.ref]
    if found and set(found) <= {expected.branch, f"refs/heads/{expected.branch}"}:
        return None
    return _refused("6 branch", f"refs/heads/{expected.branch}", found)


CHECKS: tuple[Callable[[Statement, Expected], Refused | None], ...] = (
    _type, _subject, _builder, _repository, _commit, _branch,
)  # fmt: skip


def _named(statement: Statement, expected: Expected) -> list[_Source]:
    """The sources that are the expected repository; all of them where none is expected."""
    found = list(_sources(statement))
    if expected.repository is None:
        return found
    wanted = repository_of(expected.repository)
    return [source for source in found if source.repository == wanted]


def _sources(statement: Statement) -> Iterator[_Source]:
    """What the provenance names with a commit: its dependencies, and v0.2's `configSource`."""
    document = statement.predicate
    if statement.predicate_type == SLSA_PROVENANCE_V02:
        entries = [_at(document, "invocation", "configSource"), *_list(document.get("materials"))]
    else:
        entries = _list(_at(document, "buildDefinition", "resolvedDependencies"))
    for entry in entries:
        fields = _mapping(entry)
        digests = _mapping(fields.get("digest"))
        commits = [digests[name] for name in _COMMIT if isinstance(digests.get(name), str)]
        if commits:
            uri = fields.get("uri")
            yield _source(uri if isinstance(uri, str) else "", commits[0])


def _source(uri: str, commit: str) -> _Source:
    repository, _, ref = _split(uri)
    return _Source(repository_of(repository), ref if ref and ref != commit else None, commit)


def _split(uri: str) -> tuple[str, str, str]:
    """`URL@ref` (SLSA's own) or `URL#ref` (BuildKit's); an `@` before the host is a user's."""
    path = _SCHEME.sub(lambda found: "\0" * len(found[0]), uri)
    path = _SCP_LIKE.sub(lambda found: "\0" * len(found[0]), path)
    for mark in ("#", "@"):
        at = path.find(mark)
        if at >= 0:
            return uri[:at], mark, uri[at + 1 :].partition("?")[0].partition(":")[0]
    return uri, "", ""


def repository_of(uri: str) -> str:
    """One spelling of a repository's address: `host/path`, however it is fetched."""
    scp = _SCP_LIKE.match(uri)
    rest = f"{scp[1]}/{uri[scp.end() :]}" if scp else _SCHEME.sub("", uri)
    host, slash, path = rest.partition("/")
    if not slash:
        return rest
    host = host.lower() if scp or rest != uri else host
    return f"{host}/{path.strip('/').removesuffix('.git')}"


def _refused(check: str, expected: str, found: list[str]) -> Refused:
    return Refused(check, expected, ", ".join(shown(each) for each in found[:5]) or "nothing")


def _at(value: object, *names: str) -> object:
    for name in names:
        value = _mapping(value).get(name)
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
