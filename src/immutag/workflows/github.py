"""What a result says to GitHub: outputs, annotations, a summary. No text in it can say anything else.

Formats: docs.github.com, "Workflow commands for GitHub Actions".
"""

from collections.abc import Mapping

from immutag.core.values import shown

Document = Mapping[str, object]

_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_CARD = {
    "commit": "image_sha",
    "image": "image",
    "tag": "tag",
    "repository": "repository_type",
    "environment": "environment",
    "outcome": "outcome",
    "before": "previous_sha",
    "digests": "digest_verification",
    "signature": "signature_status",
    "why unverified": "signature_reason",
    "SBOM": "sbom_ref",
    "reason": "reason",
}


def outputs(record: Document) -> str:
    """Lines for `$GITHUB_OUTPUT`. A value is one line, so none of them can begin another output. The list of
    what clean-up must spare is in its tool's own form already."""
    form = record.get("form")
    if isinstance(form, Mapping):
        return f"{form['value']}\n"
    values = {
        "image": image(record),
        "digest": record.get("image_digest"),
        "sha": record.get("image_sha"),
        "repository-type": record.get("repository_type"),
        "signature-status": record.get("signature_status"),
    }
    return "".join(f"{name}={_line(value)}\n" for name, value in values.items() if value is not None)


def annotation(error: Document) -> str:
    """The failure as a workflow command."""
    text = "\n".join(
        f"{label}{error[name]}"
        for label, name in (
            ("", "message"),
            ("expected: ", "expected"),
            ("found: ", "found"),
            ("next: ", "next"),
        )
        if error.get(name)
    )
    return f"::error title={_property(str(error.get('code', '')))}::{_data(text)}"


def summary(record: Document) -> str:
    """The identity card in Markdown, for `$GITHUB_STEP_SUMMARY`."""
    known = {**record, "image": image(record)}
    if known.get("signature_reason") == "n/a":
        del known["signature_reason"]
    fields = {label: known[name] for label, name in _CARD.items() if known.get(name) not in (None, "")}
    if not fields:
        return ""
    return _table(_TITLES.get(str(record.get("phase")), "immutag"), fields)


def failure_summary(error: Document) -> str:
    """The failure in Markdown: what was expected, what was found, what to do next."""
    fields = {name: error[name] for name in ("message", "expected", "found", "next") if error.get(name)}
    return _table(str(error.get("code", "failed")), fields)


def image(record: Document) -> object:
    """`repository@digest`; None where the record has no digest."""
    if record.get("image"):
        return record["image"]
    if record.get("repository") and record.get("image_digest"):
        return f"{record['repository']}@{record['image_digest']}"
    return None


def _table(title: str, fields: Document) -> str:
    rows = "".join(f"| {_markdown(name)} | {_markdown(str(value))} |\n" for name, value in fields.items())
    return f"### {_markdown(title)}\n\n| | |\n|---|---|\n{rows}\n"


def _line(value: object) -> str:
    return shown(str(value))


def _data(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _markdown(text: str) -> str:
    """Letters, digits and spaces as they are; of everything else the number, which is never markup."""
    return "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in _bounded(text))


def _bounded(text: str) -> str:
    clean = "".join(c if c.isprintable() else " " for c in text[:1000])
    return clean + "…" if len(text) > 1000 else clean


_TITLES = {"build": "Released", "deploy": "Deployed", "rollback": "Rolled back"}
