"""Which release a commit is: its repository, and whether it may be made here (DR-005)."""

from immutag.core.errors import ConfigInvalid
from immutag.core.facts import Probed, Stream, WriteOnce
from immutag.core.policy import Repositories, ensure_clean, ensure_repo_allowed
from immutag.core.values import GitSha, Repository, RepositoryType, ShaTag
from immutag.git.commit import Commit, GitRepository
from immutag.git.remote import https_url
from immutag.ledger import Ledger
from immutag.usecases.release import Order


def order(
    sha: GitSha | None,
    *,
    git: GitRepository,
    repositories: Repositories,
    ledger: Ledger,
    given: bool,
    short_tag: bool,
    unshared_is_accepted: bool,
) -> tuple[Order, Commit]:
    """The order for a commit, `None` being HEAD, after every check that needs no registry.

    `unshared_is_accepted`: outside CI, or where the configuration accepts it in words.
    Raises MissingSha, PolicyViolation, ConfigInvalid.
    """
    head = git.commit(None)
    commit = git.commit(sha) if sha else head
    on_main = git.is_on(commit.sha, repositories.main)
    repository, kind = repositories.for_commit(on_main=on_main)
    is_head = commit.sha == head.sha
    branch = repositories.main if on_main else git.branch() if is_head else None
    ensure_repo_allowed(repository, None, branch, of=repositories)
    if is_head:
        ensure_clean(git.is_dirty(), canonical=kind is RepositoryType.CANONICAL)
    if kind is RepositoryType.CANONICAL and not (ledger.shared or unshared_is_accepted):
        raise _unshared()
    return Order(
        tag=ShaTag(repository, commit.sha),
        repository_type=kind,
        branch=branch,
        source=_source(git),
        given=given,
        short_tag=short_tag,
        write_once=_write_once(ledger, repository),
    ), commit


def _source(git: GitRepository) -> str | None:
    """Where the sources are, as an address for people where the remote has one."""
    remote = git.remote_url()
    return (https_url(remote) or remote) if remote else None


def _write_once(ledger: Ledger, repository: Repository) -> WriteOnce:
    """What `doctor --probe` measured last, or else what the ledger alone gives."""
    newest = ledger.stream(Stream.registry(repository), last=1)
    if newest and isinstance(newest[-1].fact, Probed):
        return newest[-1].fact.write_once
    return WriteOnce.SHARED_LEDGER if ledger.shared else WriteOnce.CONVENTION


def _unshared() -> ConfigInvalid:
    return ConfigInvalid(
        "in CI a ledger that nobody else sees cannot say who was first",
        expected="a ledger that every job sees",
        found="CI is set, and the ledger is a file of this machine",
        remedy="set [ledger] url to a branch, git+https://HOST/PATH#immutag-ledger; or, to accept write-once "
        "by convention only, accept_unshared = true",
    )
