"""Writes docs/reference/registries.md from what `oci/profiles.py` knows.

Run as `python scripts/registries_page.py`, after a statement was added or changed.
"""

from pathlib import Path

from immutag.oci.profiles import PROFILES, Profile

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "registries.md"
_INTRODUCTION = """\
# Registries

What registries do differently, as far as it bears on tags that are written once, on signatures and on
clean-up. Each statement has its source; what has none is not here. immutag decides nothing by it: it asks
the registry each time, and `immutag doctor --probe` measures how write-once it is. `immutag doctor` shows
which of these yours is, by its name, or by how it greets.

Whatever the registry: a SHA tag is pushed with `If-None-Match: *`, a refusal because the tag is there is
followed by reading it back, and the ledger's claim decides who was first. Referrers are looked for in the
API and behind the tag `sha256-…`, and written to the tag where the API does not list them. Where tags cannot
be changed at all, set `[trust] signature_repository` to a repository where they can. What clean-up must
spare, [retention](../how-to/clean-up.md) lists.

This page is written by `scripts/registries_page.py`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *(section(profile) for profile in PROFILES)])


def section(profile: Profile) -> str:
    """What is known of one kind of registry."""
    known = [f"`{host}`" for host in profile.hosts]
    if profile.greeting:
        name, text = profile.greeting
        known.append(
            f"a header `{name}`" + (f" with `{text}`" if text else "") + " in the answer to `GET /v2/`"
        )
    by = (
        f"Known by {', '.join(known)}." if known else "Not known by its name or greeting: others greet alike."
    )
    rows = [
        f"| {claim.topic.value} | {_cell(claim.text)} | [source]({claim.source}) |"
        for claim in profile.claims
    ]
    return "\n".join(
        [f"## {profile.title}", "", by, "", "| about | what is known | |", "|---|---|---|", *rows, ""]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page())
