"""Sign a release that exists: what its release would have done, had there been a key."""

from collections.abc import Callable, Sequence

from immutag.core.errors import MissingTag
from immutag.core.facts import Claimed, Fact, SignatureChecked, Stream
from immutag.core.policy import Repositories
from immutag.core.release import fold
from immutag.core.report import Report
from immutag.core.values import Digest, GitSha, Repository, ShaTag
from immutag.core.verification import Verification, signature_of
from immutag.ledger import Ledger
from immutag.usecases.record import append_while


def sign_release(
    sha: GitSha,
    *,
    sign: Callable[[Claimed], Sequence[Fact]],
    verify: Callable[[Repository, Digest], Verification],
    repositories: Repositories,
    ledger: Ledger,
    report: Report,
) -> Stream:
    """Sign the claimed digest and look at its signatures again; gives the release's stream.

    Raises MissingTag for a SHA without a claim, and what signing and verifying raise.
    """
    claim = _claim(sha, repositories, ledger)
    stream = Stream.release(claim.repository, sha)
    report.step(f"sign {claim.repository}@{claim.digest}")
    known = [entry.fact for entry in ledger.stream(stream)]
    news = [fact for fact in sign(claim) if fact not in known]
    for fact in news:
        append_while(ledger, stream, fact)
    finding = signature_of(verify(claim.repository, claim.digest))
    checked = SignatureChecked(sha, claim.repository, claim.digest, *finding)
    last = next((fact for fact in reversed(known) if isinstance(fact, SignatureChecked)), None)
    if news or last != checked:
        append_while(ledger, stream, checked)
    return stream


def _claim(sha: GitSha, repositories: Repositories, ledger: Ledger) -> Claimed:
    for repository in (repositories.canonical, repositories.staging):
        release = fold(ShaTag(repository, sha), ledger.stream(Stream.release(repository, sha)))
        if release.claim:
            return release.claim
    raise MissingTag(
        "the ledger knows no release of this SHA",
        expected=f"a release of {sha} in {repositories.canonical}",
        found="no such release",
        remedy=f"immutag release --sha {sha}; or immutag adopt {sha}, if other tools wrote its tag",
    )
