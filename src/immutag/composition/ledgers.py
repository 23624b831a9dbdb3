"""Settings → the ledger: a file of this machine, or a branch that everybody shares."""

from pathlib import Path

from immutag.ledger import Ledger
from immutag.ledger.sqlite import SqliteLedger
from immutag.settings import LedgerSettings


def open_ledger(settings: LedgerSettings, directory: Path, *, actor: str) -> Ledger:
    """The ledger that the configuration names. Nothing is opened, made or asked before its first use."""
    if settings.branch is None:
        return SqliteLedger(settings.path, actor=actor)
    from immutag.git.remote_branch import RemoteBranch
    from immutag.ledger.git import GitLedger

    branch = RemoteBranch(
        settings.path / "repository.git", settings.branch.url, settings.branch.name, clone=directory
    )
    return GitLedger(settings.path, branch, actor=actor)
