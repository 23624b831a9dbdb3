"""Sign what was verified at a deployment or rollback: a SLSA verification summary, kept in the ledger.

Before: the act's end is in the ledger. After: so is its signed summary, and it is attached to the image where
the credential can write there. An act has one summary: a second call finds it.
"""

from collections.abc import Callable, Sequence

from immutag.core.errors import PushFailure, RegistryError
from immutag.core.facts import Entry, Stream, Summarised
from immutag.core.frozen import frozen
from immutag.core.report import Report
from immutag.core.statement import VERIFICATION_SUMMARY, Statement
from immutag.core.summary import Act, Policy, last_act, summary
from immutag.core.values import Digest
from immutag.ledger import Ledger
from immutag.oci.attach import attach
from immutag.oci.registry import Registry
from immutag.trust import Signer
from immutag.usecases.attest import artifact
from immutag.usecases.record import append_while


@frozen()
class Summarising:
    """How this project summarises. `policy` is the rule of this environment, `verifier` where this runs
    (core/builder.py), `registry` the one that the image is in, `attestations` where attestations lie."""

    signer: Signer
    policy: Policy
    verifier: str
    registry: Registry
    attestations: Registry
    checkpoint: Callable[[], str | None]


def summarise(
    *,
    stream: Stream,
    ledger: Ledger,
    inputs: Sequence[Digest],
    proved: bool,
    by: Summarising,
    report: Report,
) -> Entry | None:
    """The entry with the summary of the stream's last act; None where no act has ended well.

    `inputs`: the manifests of what vouched for the digest. `proved`: a trusted provenance was checked.
    Raises SoftVerifyToolError if it cannot be signed, LedgerConflict.
    """
    entries = ledger.stream(stream)
    act = last_act(entries)
    if act is None:
        return None
    done = _summarised(entries, act)
    if done:
        return done
    statement = summary(
        act,
        policy=by.policy,
        verifier=by.verifier,
        inputs=inputs,
        proved=proved,
        checkpoint=by.checkpoint(),
    )
    report.step(f"summary of {act.fact.digest} in {act.fact.environment}")
    bundle = by.signer.bundle(statement.encode())
    fact = Summarised(
        sha=act.fact.sha,
        repository=act.fact.repository,
        digest=act.fact.digest,
        environment=act.fact.environment,
        predicate_type=VERIFICATION_SUMMARY,
        signer=by.signer.name,
        bundle=bundle.decode(),
        manifest=_push(statement, act, bundle, by, report),
    )
    return append_while(ledger, stream, fact)


def _summarised(entries: Sequence[Entry], act: Act) -> Entry | None:
    """The summary that follows the act: nobody summarises another than the last."""
    for entry in entries:
        if entry.version > act.ended.version and isinstance(entry.fact, Summarised):
            return entry
    return None


def _push(statement: Statement, act: Act, bundle: bytes, by: Summarising, report: Report) -> Digest | None:
    """Who deploys may read the registry and no more, so a refused push is no failure: the ledger has it."""
    try:
        subject = by.registry.describe(act.fact.digest)
        if subject is None:
            return None
        made = artifact(bundle, statement.predicate_type, act.ended.time)
        return attach(by.attestations, subject, made).digest
    except (PushFailure, RegistryError) as error:
        report.step(f"the summary stays in the ledger alone: {error.message}: {error.found}")
        return None
