"""The write order as a model: every interleaving of racing, crashing releases over the real `decide`.

Two processes release one commit with builds that differ. Each reads the ledger, then the registry, decides,
acts, and appends with compare-and-set; it may be killed between any two of these, and is then started
again with or without its finished layout. The registry overwrites tags without asking.
"""

import gc
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest

from immutag.core.errors import DigestMismatch, LedgerConflict
from immutag.core.facts import (
    Built,
    Claimed,
    Entry,
    Evidence,
    Fact,
    Pushed,
    Requested,
    SignatureChecked,
    SignatureReason,
    SignatureStatus,
    Signed,
    Stream,
    Tagged,
    WriteOnce,
)
from immutag.core.release import Release, Seen, Step, decide, fold, owed
from immutag.core.values import Digest, GitSha, Repository, RepositoryType, ShaTag

TAG = ShaTag(Repository("registry.example", "owner/api"), GitSha("a" * 40))
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
SIGHTS = [Seen()]
"""Numbers stand for them: there are few, and a world of plain tuples is told from millions at once."""
Told = tuple[str, int]
"""A fact of the model: its type, and the number of the build that it is about."""


@cache
def digest(build: int) -> Digest:
    return Digest(f"sha256:{build:064x}")


@cache
def release_of(ledger: tuple[Told, ...]) -> Release:
    entries = [
        Entry(
            at,
            Stream.release(TAG.repository, TAG.sha),
            at,
            "2026-01-01T00:00:00.000Z",
            "x",
            "",
            "",
            fact(told),
        )
        for at, told in enumerate(ledger, 1)
    ]
    return fold(TAG, entries)


def fact(told: Told) -> Fact:
    kind, build = told
    sha, repository, content = TAG.sha, TAG.repository, digest(build)
    facts: dict[str, Fact] = {
        "requested": Requested(sha, repository, RepositoryType.CANONICAL, "main", None),
        "built": Built(sha, repository, content, MEDIA_TYPE, 1, "linux/amd64", "buildah", 1),
        "pushed": Pushed(sha, repository, content, 1),
        "claimed": Claimed(sha, repository, content, MEDIA_TYPE, 1),
        "signed": Signed(sha, repository, content, "key", (content,)),
        "checked": SignatureChecked(
            sha, repository, content, SignatureStatus.UNVERIFIED, SignatureReason.MISSING, None
        ),
        "tagged": Tagged(sha, repository, content, False, WriteOnce.CONVENTION),
    }
    return facts[kind]


class Process(NamedTuple):
    """`known`: how much of the ledger it read. `seen`: what of the registry, as a number in `SIGHTS`. `disk`:
    its finished layout, which a crash may keep."""

    phase: str = "read ledger"
    known: int = 0
    seen: int = 0
    layout: int | None = None
    disk: int | None = None
    telling: Told | None = None


class World(NamedTuple):
    ledger: tuple[Told, ...] = ()
    content: frozenset[int] = frozenset()
    tag: int | None = None
    builds: int = 0
    crashes: int = 0
    processes: tuple[Process, ...] = (Process(), Process())


def moves(world: World, *, crashes: int) -> Iterator[World]:
    for at, process in enumerate(world.processes):
        if process.phase == "done":
            continue
        yield step(world, at, process)
        if world.crashes < crashes:
            killed = world._replace(crashes=world.crashes + 1)
            yield put(killed, at, Process(disk=process.disk))
            if process.disk is not None:
                yield put(killed, at, Process())


def put(world: World, at: int, process: Process) -> World:
    """The world with this process, in the one form that all equivalent worlds share: what a process has
    forgotten is gone, an append that must fail has failed, and the two processes have no names."""
    processes = (process if n == at else other for n, other in enumerate(world.processes))
    plain = (forget(each, len(world.ledger)) for each in processes)
    return world._replace(processes=tuple(sorted(plain, key=text)))


@cache
def text(process: Process) -> str:
    return repr(process)


def forget(process: Process, length: int) -> Process:
    if process.phase == "done":
        return Process("done")
    lost = process.phase == "append" and process.known != length
    if lost or process.phase == "read ledger":
        return Process("read ledger", layout=process.layout, disk=process.disk)
    return process


def step(world: World, at: int, process: Process) -> World:
    match process.phase:
        case "read ledger":
            return put(world, at, process._replace(phase="read registry", known=len(world.ledger)))
        case "read registry":
            return put(world, at, process._replace(phase="act", seen=look(world, process)))
        case "act":
            return act(world, at, process)
        case "put tag":
            assert ("signed", claim_of(world, process)) in world.ledger, "tagged before it is signed"
            # a registry overwrites: nothing but the order of writes protects the tag
            claim = claim_of(world, process)
            return put(
                world._replace(tag=claim), at, process._replace(phase="append", telling=("tagged", claim))
            )
        case "append":
            return append(world, at, process)
    raise AssertionError(process.phase)


def look(world: World, process: Process) -> int:
    return seen_by(world.ledger[: process.known], world.tag, process.layout, world.content)


@cache
def seen_by(ledger: tuple[Told, ...], tag: int | None, layout: int | None, content: frozenset[int]) -> int:
    release = release_of(ledger)
    claim = release.claim
    seen = Seen(
        owed=owed(release, frozenset({Evidence.SIGNATURE}), signs=True),
        tag=None if tag is None else digest(tag),
        layout=None if layout is None else digest(layout),
        content=bool(claim and tag is None and claim.digest in map(digest, content)),
    )
    if seen not in SIGHTS:
        SIGHTS.append(seen)
    return SIGHTS.index(seen)


@cache
def decided(ledger: tuple[Told, ...], seen: int) -> Step | DigestMismatch | LedgerConflict:
    """What the real function says, or what it refuses with."""
    try:
        return decide(release_of(ledger), SIGHTS[seen])
    except (DigestMismatch, LedgerConflict) as refusal:
        return refusal


def act(world: World, at: int, process: Process) -> World:
    chosen = decided(world.ledger[: process.known], process.seen)
    if isinstance(chosen, Step):
        return perform(chosen, world, at, process)
    if len(world.ledger) == process.known:
        raise AssertionError(f"{chosen}: {world}") from chosen
    return put(world, at, process._replace(phase="read ledger"))


def perform(chosen: Step, world: World, at: int, process: Process) -> World:
    def then(told: Told, now: World = world, **changes: int) -> World:
        return put(now, at, process._replace(phase="append", telling=told, **changes))

    match chosen:
        case Step.REQUEST:
            return then(("requested", 0))
        case Step.BUILD if process.disk is not None:
            return then(("built", process.disk), layout=process.disk)
        case Step.BUILD:
            build = world.builds + 1
            return then(("built", build), world._replace(builds=build), layout=build, disk=build)
        case Step.PUSH:
            assert process.layout is not None
            return then(("pushed", process.layout), world._replace(content=world.content | {process.layout}))
        case Step.CLAIM:
            assert process.layout in world.content, "claimed before the content is there"
            return then(("claimed", process.layout))
        case Step.ATTEST:
            return then(("signed", claim_of(world, process)))
        case Step.CHECK_SIGNATURE:
            return then(("checked", claim_of(world, process)))
        case Step.TAG if SIGHTS[process.seen].tag is not None:
            return then(("tagged", claim_of(world, process)))
        case Step.TAG:
            return put(world, at, process._replace(phase="put tag"))
        case Step.DONE:
            return put(world, at, process._replace(phase="done"))
    raise AssertionError(chosen)


def claim_of(world: World, process: Process) -> int:
    claim = release_of(world.ledger[: process.known]).claim
    assert claim, "acts on a claim that nobody made"
    return int(claim.digest.hex, 16)


def append(world: World, at: int, process: Process) -> World:
    assert process.telling
    again = process._replace(phase="read ledger", telling=None)
    if len(world.ledger) != process.known:  # compare-and-set: somebody else was faster
        return put(world, at, again)
    told = (*world.ledger, process.telling)
    return put(world._replace(ledger=told), at, again)


def check(world: World) -> None:
    claims = [build for kind, build in world.ledger if kind == "claimed"]
    assert len(claims) <= 1
    assert world.tag is None or claims == [world.tag]
    assert [kind for kind, _ in world.ledger].count("tagged") <= 1


def check_end(world: World) -> None:
    kinds = [kind for kind, _ in world.ledger]
    assert all(process.phase == "done" for process in world.processes), world
    assert world.tag is not None
    once = ("requested", "claimed", "signed", "checked", "tagged")
    assert [kinds.count(kind) for kind in once] == [1] * len(once)
    assert ("built", world.tag) in world.ledger
    assert ("pushed", world.tag) in world.ledger
    assert ("tagged", world.tag) in world.ledger


@pytest.fixture(autouse=True)
def no_search_for_garbage() -> Iterator[None]:
    """There is none among the millions of worlds, and looking takes as long as making them."""
    gc.disable()
    yield
    gc.enable()


def explore(crashes: int, *, processes: int) -> int:
    start = World(processes=(Process(),) * processes)
    seen, todo = {start}, deque([start])
    while todo:
        world = todo.popleft()
        check(world)
        following = list(moves(world, crashes=crashes))
        if not following:
            check_end(world)
        for each in following:
            before, after = world.tag, each.tag
            assert before is None or before == after, "a tag was moved"
            if each not in seen:
                seen.add(each)
                todo.append(each)
    return len(seen)


@pytest.mark.parametrize(("processes", "crashes"), [(1, 3), pytest.param(2, 1, marks=pytest.mark.slow)])
def test_every_interleaving_ends_with_one_claim_and_its_tag(processes: int, crashes: int) -> None:
    assert explore(crashes, processes=processes) > 20


@pytest.mark.slow
def test_two_crashes_anywhere_in_a_race_lose_nothing() -> None:
    assert explore(2, processes=2) > 1_000_000
