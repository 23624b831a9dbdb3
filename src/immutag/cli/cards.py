"""Short identity cards: what a phase did, from its own record, for a person."""

from collections.abc import Mapping

from immutag.cli.table import Styled, card

Record = Mapping[str, object]


def release_card(record: Record, *, did: str = "released", coloured: bool) -> str:
    """Of a `build` record; `did` is what made the release what it is now."""
    return card(
        {
            did: Styled.of(f"{record['repository']}:{record['image_sha']}", "strong"),
            "digest": record["image_digest"],
            "repository": record["repository_type"],
            "platform": record["arch"],
            "verified": _digests(record),
            "signature": _signature(record),
            "build": _seconds(record["build_duration_sec"]),
            "sbom": record["sbom_ref"],
        },
        coloured=coloured,
    )


def failure_card(label: str, name: str, error: Record, *, coloured: bool) -> str:
    """Of one of several things that failed: the error's own words."""
    return card(
        {
            label: name,
            "error": Styled.of(str(error["code"]), "bad"),
            "why": f"{error['message']}: {error['found']}",
            "next": error["next"],
        },
        coloured=coloured,
    )


def deploy_card(record: Record, *, coloured: bool) -> str:
    """Of a `deploy` record."""
    return card(
        {
            "deployed": Styled.of(str(record["tag"]), "strong"),
            **_runs(record),
            "ahead": record["commits_ahead"],
            "took": _seconds(record["deploy_duration_sec"]),
        },
        coloured=coloured,
    )


def rollback_card(record: Record, *, coloured: bool) -> str:
    """Of a `rollback` record."""
    environment = record["environment"]
    return card(
        {
            "rolled back to": Styled.of(str(record["tag"]), "strong"),
            "from": record["previous_sha"],
            **_runs(record),
            "reason": record["reason"],
            "took": _seconds(record["rollback_duration_sec"]),
            "held": f"until: immutag hold lift --environment {environment} --reason TEXT",
        },
        coloured=coloured,
    )


def plan_card(plan: Record, *, coloured: bool) -> str:
    """Of what `--dry-run` found: every field, in its order."""
    return card({name: _plain(value) for name, value in plan.items()}, coloured=coloured)


def outcome(word: object) -> Styled | None:
    """An outcome, in its colour."""
    if word is None:
        return None
    return Styled.of(
        str(word), {"ok": "good", "unchanged": "good", "unobserved": "warn"}.get(str(word), "bad")
    )


def _runs(record: Record) -> Record:
    return {
        "image": record["image"],
        "environment": f"{record['environment']} ({record['target']})",
        "outcome": outcome(record["outcome"]),
        "running": record["running_digest"],
        "signature": _signature(record),
    }


def _digests(record: Record) -> Styled | None:
    """Whether the digest before the push is the one read back after it."""
    word = record["digest_verification"]
    return None if word is None else Styled.of(f"digest {word}", "good" if word == "ok" else "bad")


def _signature(record: Record) -> Styled | None:
    status, reason = record["signature_status"], record["signature_reason"]
    if status is None:
        return None
    if status == "verified":
        return Styled.of("verified", "good")
    return Styled.of(f"{status} ({reason})", "warn")


def _seconds(value: object) -> str | None:
    return f"{value:.1f} s" if isinstance(value, int | float) else None


def _plain(value: object) -> object:
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return value
