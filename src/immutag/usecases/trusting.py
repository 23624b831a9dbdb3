"""Whose word counts for a ledger's head that was kept outside (DR-017)."""

from collections.abc import Callable

from immutag.core.frozen import frozen
from immutag.core.values import Repository
from immutag.trust.checks import Authority
from immutag.trust.rule import TrustRule


@frozen()
class Trusting:
    """`rule` for attestations, and for checkpoints under the name `origin`. `logged`: whether a log holds
    these is asked too."""

    rule: TrustRule
    authority: Callable[[], Authority]
    repository: Repository
    origin: str
    logged: bool = False
