"""What is known of commits where there is no clone: nothing. Deployments run there, too."""

from immutag.core.values import GitSha


class NoRepository:
    """Answers as a clone does that knows neither commit."""

    def distance(self, old: GitSha, new: GitSha) -> tuple[int, int] | None:
        return (0, 0) if old == new else None

    def changed_paths(self, old: GitSha, new: GitSha) -> list[str] | None:
        return [] if old == new else None

    def subject(self, sha: GitSha) -> str | None:  # noqa: ARG002 - no commit is known
        return None
