"""The ledger's heads in signed statements: who signed is checked before a word is believed (DR-017)."""

from collections.abc import Callable, Sequence

from immutag.core.known_head import KnownHead, heads_in
from immutag.core.provenance import LEDGER_HEAD
from immutag.core.values import Repository
from immutag.trust.checks import Authority, Case, attested_by, check_bundle_form
from immutag.trust.rule import TrustRule


def heads_in_bundle(
    content: bytes, *, rule: TrustRule, authority: Callable[[], Authority], repository: Repository, name: str
) -> Sequence[KnownHead]:
    """The heads in a bundle's statement; none where it holds none. `name` is what people call the bundle.

    Raises Refused for one that nobody whom the rule trusts has signed.
    """
    _, _, said = check_bundle_form(content)
    case = Case(said.subjects[0].digest, repository, rule, authority)
    signer, statement = attested_by(content, case)
    return list(heads_in(statement.predicate, LEDGER_HEAD, f"{name}, signed by {signer}"))
