"""`immutag ledger`: is it what it was, its lines for other programs, its head, and proofs for others."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from immutag.cli import DONE, UsageError
from immutag.cli.output import clean, show, write_json, write_result
from immutag.cli.parser import nested, nested_command
from immutag.cli.session import directory, open_project
from immutag.core.values import GitSha

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from immutag.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = nested(parser, "action")
    verify = nested_command(actions, "verify", "check every entry, and the chain")
    verify.add_argument(
        "--against",
        metavar="WHAT",
        help="a head that was kept, to see a cut tail, an old copy, another history: FILE (by `ledger head`, "
        "a checkpoint, a bundle), `repository` (what `ledger anchor` left), oci:REPOSITORY@DIGEST",
    )
    verify.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="the checkpoint that the bundle of --against is over, where neither the ledger nor the "
        "registry has it any more",
    )
    nested_command(actions, "export", "print every entry, one JSON object a line")
    nested_command(actions, "head", "print size, last hash and Merkle root; keep it outside the ledger")
    nested_command(actions, "anchor", "sign the head, and leave it in the registry, and in Rekor if so set")
    prove = nested_command(actions, "prove", "print a proof that needs no ledger")
    prove.add_argument("sha", nargs="?", metavar="SHA", help="that the ledger holds this release")
    prove.add_argument("--consistency", metavar="FILE", help="that it goes on from this older checkpoint")
    check = nested_command(actions, "check-proof", "check a proof with public keys alone")
    check.add_argument("file", metavar="FILE", help="what `ledger prove` printed")
    check.add_argument(
        "--key", action="append", required=True, metavar="PUB", help="a public key that counts; PEM"
    )


def run(options: argparse.Namespace) -> int:
    if options.action == "check-proof":
        _check_proof(options)
        return DONE
    with open_project(options) as project:
        _ACTIONS[options.action](options, project)
    return DONE


def _verify(options: argparse.Namespace, project: "Project") -> None:
    if options.checkpoint and not options.against:
        raise UsageError(
            "--checkpoint says what the bundle of --against is over",
            usage="immutag ledger verify --against BUNDLE --checkpoint FILE",
            command="immutag ledger",
        )
    if not options.against:
        from immutag.ledger.against import verify

        head = verify(project.ledger)
        show(options, {**head.as_document(), "against": []}, lambda: _unbroken(head.as_document()))
        return
    head, known = project.anchors.verify(options.against, directory(options), options.checkpoint)
    sources = [{"size": each.size, "source": each.source} for each in known]
    lines = [f"it holds the {each.size} entries of {clean(each.source)}" for each in known]
    show(
        options,
        {**head.as_document(), "against": sources},
        lambda: "\n".join([_unbroken(head.as_document()), *lines]),
    )


def _export(_: argparse.Namespace, project: "Project") -> None:
    from immutag.ledger.export import export

    for line in export(project.ledger):
        write_result(line)


def _head(_: argparse.Namespace, project: "Project") -> None:
    from immutag.ledger.export import head_text
    from immutag.ledger.head import head_of

    write_result(head_text(head_of(project.ledger)))


def _anchor(options: argparse.Namespace, project: "Project") -> None:
    fact = project.anchors.anchor()
    document = {
        "repository": str(fact.repository),
        "size": fact.size,
        "root": fact.root,
        "checkpoint": fact.note,
        "manifest": str(fact.manifest),
        "bundle": str(fact.bundle) if fact.bundle else None,
    }
    logged = f", and its log entry {fact.bundle}" if fact.bundle else ""
    show(options, document, lambda: f"{fact.size} entries, signed; the checkpoint is {fact.manifest}{logged}")


def _prove(options: argparse.Namespace, project: "Project") -> None:
    if bool(options.sha) == bool(options.consistency):
        raise UsageError(
            "a SHA, or --consistency FILE: one of them",
            usage="immutag ledger prove (SHA | --consistency FILE)",
            command="immutag ledger",
        )
    if options.sha:
        write_result(
            write_json(project.anchors.prove(GitSha(str(project.show([options.sha])[0]["image_sha"]))))
        )
    else:
        write_result(write_json(project.anchors.prove_consistency(directory(options) / options.consistency)))


def _check_proof(options: argparse.Namespace) -> None:
    from immutag.composition.anchors import check_proof

    found = check_proof(directory(options) / options.file, [Path(key) for key in options.key])
    show(options, found, lambda: _shown(found))


def _unbroken(head: "Mapping[str, Any]") -> str:
    return f"{head['size']} entries, unbroken to {head['hash']}"


def _shown(found: "Mapping[str, Any]") -> str:
    log = f"the ledger {clean(found['origin'])}, {found['size']} entries signed by {found['signer']}"
    if "begins_with" in found:
        return f"{log}, begins with the {found['begins_with']} entries of the older checkpoint"
    lines = [f"{each['time']}  {each['type']}  by {clean(each['actor'])}" for each in found["entries"]]
    return "\n".join([f"{log}, holds {clean(found['stream'])}", *lines])


_ACTIONS = {"verify": _verify, "export": _export, "head": _head, "anchor": _anchor, "prove": _prove}
