"""What is allowed, as pure functions that raise PolicyViolation (DR-003, DR-005, DR-006, DR-014)."""

from collections.abc import Sequence
from enum import Enum
from fnmatch import fnmatchcase

from immutag.core.deployment import Environment, EnvironmentState
from immutag.core.errors import PolicyViolation
from immutag.core.facts import Outcome
from immutag.core.frozen import frozen
from immutag.core.values import EnvironmentName, GitSha, Repository, RepositoryType
from immutag.core.verification import Unverified, Verification


class Enforcement(Enum):
    """What an unverified signature means for a deployment (DR-003)."""

    SOFT = "soft"
    MANDATORY = "mandatory"
    AUTO = "auto"


@frozen()
class Repositories:
    """The two repositories of a service, and the branch whose commits are canonical."""

    canonical: Repository
    staging: Repository
    main: str

    def for_commit(self, *, on_main: bool) -> tuple[Repository, RepositoryType]:
        if on_main:
            return self.canonical, RepositoryType.CANONICAL
        return self.staging, RepositoryType.STAGING


def ensure_repo_allowed(
    repository: Repository,
    environment: Environment | None,
    branch: str | None,
    *,
    of: Repositories,
) -> RepositoryType:
    """The one gate for both directions (DR-005): with a `branch`, what a build of that branch may push
    to; with an `environment`, what a deployment may pull from."""
    if repository not in (of.canonical, of.staging):
        raise PolicyViolation(
            "a foreign repository",
            expected=f"{of.canonical} or {of.staging}",
            found=str(repository),
            remedy="correct [image] repository in immutag.toml",
        )
    canonical = repository == of.canonical
    if environment and environment.production and not canonical:
        raise PolicyViolation(
            "a staging image never reaches production",
            expected=f"a release in {of.canonical}",
            found=f"a release in {repository}",
            remedy=f"merge the commit to {of.main}, and release it there",
        )
    if branch is not None and canonical != (branch == of.main):
        raise PolicyViolation(
            f"a commit of {branch} does not go to {repository}",
            expected=str(of.for_commit(on_main=branch == of.main)[0]),
            found=str(repository),
            remedy="immutag release, which chooses the repository by the commit",
        )
    return RepositoryType.CANONICAL if canonical else RepositoryType.STAGING


def ensure_clean(dirty: Sequence[str], *, canonical: bool) -> None:
    """A canonical release is of what is committed, so the work tree may not say otherwise."""
    if canonical and dirty:
        more = f" and {len(dirty) - 5} more" if len(dirty) > 5 else ""
        raise PolicyViolation(
            "tracked files differ from the commit",
            expected="a work tree without changes to tracked files",
            found=", ".join(dirty[:5]) + more,
            remedy="git commit or git stash, then immutag release",
        )


def ensure_not_held(state: EnvironmentState, sha: GitSha, name: EnvironmentName, *, automatic: bool) -> None:
    """Automatic deployments stay away from a held environment; nothing that is no rollback goes back to
    a quarantined SHA while it is held, and no automatic deployment ever does."""
    if state.hold is not None and automatic:
        raise PolicyViolation(
            f"{name} is held",
            expected="an environment that nobody holds",
            found=f"held: {state.hold}",
            remedy=f'immutag hold lift --environment {name} --reason "…"',
        )
    if sha in state.quarantined and (automatic or state.held):
        raise PolicyViolation(
            f"{sha} is quarantined: a rollback left it",
            expected="a SHA that no rollback has left",
            found=str(sha),
            remedy=f'immutag hold lift --environment {name} --reason "…", then deploy it by hand',
        )


def ensure_forward(
    state: EnvironmentState, sha: GitSha, name: EnvironmentName, distance: tuple[int, int] | None
) -> None:
    """The ancestry guard: a deployment goes to a descendant of what runs. `distance` is how many commits
    the SHA is ahead and behind of it; None if this clone cannot tell."""
    current = state.current
    if current is None or current.sha == sha or current.outcome is Outcome.FAILED:
        return
    if distance is None:
        raise PolicyViolation(
            "this clone cannot tell whether the SHA comes after what runs",
            expected=f"the history from {current.sha} to {sha}",
            found="an unknown commit or a shallow clone",
            remedy="git fetch --unshallow, or git fetch",
        )
    ahead, behind = distance
    if behind:
        raise PolicyViolation(
            "a deployment does not go back or sideways",
            expected=f"a descendant of {current.sha}, which runs",
            found=f"{sha}: {ahead} ahead, {behind} behind",
            remedy=f"immutag rollback --environment {name} --sha {sha}",
        )


def ensure_reversible(changed: Sequence[str] | None, environment: Environment, *, acknowledged: bool) -> None:
    """A rollback over paths that the team calls irreversible (migrations) waits for a person's word."""
    if acknowledged or not environment.irreversible:
        return
    if changed is None:
        raise PolicyViolation(
            "this clone cannot tell what the rollback undoes",
            expected="the commits between what runs and the SHA",
            found="an unknown commit or a shallow clone",
            remedy="git fetch --unshallow, or --acknowledge-irreversible",
        )
    touched = [path for path in changed if any(fnmatchcase(path, glob) for glob in environment.irreversible)]
    if touched:
        raise PolicyViolation(
            "the rollback goes over changes that cannot be undone",
            expected=f"no change to {', '.join(environment.irreversible)}",
            found=", ".join(touched[:5]) + (f" and {len(touched) - 5} more" if len(touched) > 5 else ""),
            remedy="look at them, then add --acknowledge-irreversible",
        )


def in_force(enforcement: Enforcement, state: EnvironmentState) -> Enforcement:
    """What the setting means here and now: `auto` is soft until the ledger says that it is mandatory."""
    if enforcement is not Enforcement.AUTO:
        return enforcement
    return Enforcement.MANDATORY if state.mandatory else Enforcement.SOFT


def ensure_verified(verification: Verification, enforcement: Enforcement, *, remedy: str) -> None:
    """In soft mode an unverified signature is recorded and nothing more (law 7). `enforcement` is what is
    `in_force`; anything but soft is taken for mandatory. `remedy`: what to do where it is refused."""
    if enforcement is not Enforcement.SOFT and isinstance(verification, Unverified):
        raise PolicyViolation(
            "verification is mandatory",
            expected=f"a signature on {verification.subject} by somebody we trust",
            found=verification.reason.value,
            remedy=remedy,
        )
