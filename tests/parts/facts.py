"""Facts for property tests: any that the types allow, and ledgers' entries made of them."""

import typing
from collections.abc import Sequence

from hypothesis import strategies as st

from immutag.core.facts import Entry, Fact, Stream
from immutag.core.frozen import fields
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository
from immutag.ledger.chain import START, seal

KINDS: tuple[type[Fact], ...] = typing.get_args(Fact)
LARGEST = 2**53 - 1
_HEX = "0123456789abcdef"

SHAS = st.text(_HEX, min_size=40, max_size=40).map(GitSha)
DIGESTS = st.text(_HEX, min_size=64, max_size=64).map(lambda text: Digest(f"sha256:{text}")) | st.text(
    _HEX, min_size=128, max_size=128
).map(lambda text: Digest(f"sha512:{text}"))
REPOSITORIES = st.builds(
    lambda host, path: Repository(host, "/".join(path)),
    st.sampled_from(["ghcr.io", "localhost", "127.0.0.1:5000", "[::1]:5000", "registry.example"]),
    st.lists(
        st.from_regex(r"[a-z0-9]{1,9}((\.|_|__|-)[a-z0-9]{1,9})?", fullmatch=True), min_size=1, max_size=4
    ),
)
ENVIRONMENTS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?", fullmatch=True).map(EnvironmentName)
INTEGERS = st.integers(0, LARGEST)

_BY_TYPE: dict[object, st.SearchStrategy[object]] = {
    GitSha: SHAS,
    Digest: DIGESTS,
    Repository: REPOSITORIES,
    EnvironmentName: ENVIRONMENTS,
    ImageRef: st.builds(ImageRef, REPOSITORIES, DIGESTS),
    int: INTEGERS,
    int | None: st.none() | INTEGERS,
}
for _kind in (GitSha, Digest, Repository, EnvironmentName, ImageRef):
    st.register_type_strategy(_kind, _BY_TYPE[_kind])


def facts_of(kind: type[Fact], **fixed: st.SearchStrategy[object]) -> st.SearchStrategy[Fact]:
    """Any fact of this kind, some of its fields given."""
    hints = typing.get_type_hints(kind)
    free = {
        field.name: _BY_TYPE.get(hints[field.name], st.from_type(hints[field.name])) for field in fields(kind)
    }
    return st.builds(kind, **{**free, **fixed})


FACTS = st.one_of([facts_of(kind) for kind in KINDS])
STREAMS = st.sampled_from([Stream("release:a"), Stream("release:b"), Stream("environment:c")])


def chained(pairs: Sequence[tuple[Stream, Fact]]) -> list[tuple[Entry, str]]:
    """The entries, and their texts, of a ledger to which these were appended."""
    made: list[tuple[Entry, str]] = []
    versions: dict[Stream, int] = {}
    for number, (stream, fact) in enumerate(pairs, 1):
        versions[stream] = versions.get(stream, 0) + 1
        made.append(
            seal(
                sequence=number,
                stream=stream,
                version=versions[stream],
                time=f"2026-01-02T03:04:{number % 60:02}.678Z" if number < 60 else "2026-01-02T03:05:00.000Z",
                actor="tester@here",
                previous=made[-1][0].hash if made else START.hash,
                fact=fact,
            )
        )
    return made
