"""`immutag policy`: how far from mandatory, what a rule would have refused, and the rule for others."""

import argparse
from collections.abc import Mapping, Sequence

from immutag.cli import DONE, UsageError
from immutag.cli.output import show
from immutag.cli.parser import nested, nested_command
from immutag.cli.session import coloured, directory, open_project
from immutag.cli.table import Styled, card, table
from immutag.core.errors import ConfigInvalid, SoftVerifyToolError
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import EnvironmentName

_HEADERS = ("environment", "time", "sha", "command", "verdict", "reason", "who or why")
_STYLES = {"allowed": "good", "refused": "bad", "undetermined": "warn"}


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = nested(parser, "action")
    status = nested_command(actions, "status", "how far each environment is from mandatory verification")
    _environment_option(status)
    simulate = nested_command(
        actions,
        "simulate",
        "verify the last deployments again, and list what mandatory verification would refuse",
    )
    _environment_option(simulate)
    simulate.add_argument("--last", type=_count, default=30, metavar="N", help="of each (default: 30)")
    rule = simulate.add_argument_group("another rule than the configuration's, any of which will do")
    rule.add_argument("--key", action="append", default=[], metavar="FILE", help="trust this public key")
    rule.add_argument(
        "--identity", action="append", default=[], metavar="SUBJECT", help="trust this certificate identity"
    )
    rule.add_argument("--issuer", metavar="ISSUER", help="who vouches for the identities")
    rule.add_argument(
        "--regexp", action="store_true", help="identities and issuer are regular expressions for all of it"
    )
    render = nested_command(
        actions, "render", "print the trust rule of the configuration for other enforcers"
    )
    render.add_argument("enforcer", choices=("kyverno", "policy-controller", "cosign", "gh"))


def run(options: argparse.Namespace) -> int:
    return {"status": _status, "simulate": _simulate, "render": _render}[options.action](options)


def _status(options: argparse.Namespace) -> int:
    with open_project(options) as project:
        found = project.policies.status(_environments(options))
    show(
        options,
        found,
        lambda: (
            "\n\n".join(_status_card(each, coloured=coloured(options)) for each in found)
            or "there is no environment in the configuration"
        ),
    )
    return DONE


def _status_card(each: Mapping[str, object], *, coloured: bool) -> str:
    figures, decided, lacking = each["figures"], each["decided_by"], each["lacking"]
    assert isinstance(figures, dict) and isinstance(lacking, list)  # noqa: S101 - our own document
    setting = str(each["verification"])
    fields: dict[str, object] = {
        "environment": Styled.of(str(each["environment"]), "strong"),
        "verification": f"{setting}, which means {each['in_force']} now" if setting == "auto" else setting,
        "mandatory since": each["since"],
        "by": _figures(decided) if isinstance(decided, dict) else None,
        "now": _figures(figures),
        "missing": "; ".join(lacking) or Styled.of("nothing", "good"),
    }
    if setting == "soft" and not each["since"]:
        fields["becomes mandatory"] = 'never by itself: that needs [trust] verification = "auto"'
    return card(fields, coloured=coloured)


def _figures(numbers: Mapping[str, object]) -> str:
    return (
        f"{numbers['deployed']} distinct SHAs deployed, {numbers['signed']} of them signed; "
        f"{numbers['failures']} of {numbers['checks']} verifications of signed images failed"
    )


def _simulate(options: argparse.Namespace) -> int:
    """With the exit status of what could not be determined, if there was any: the list is not all then."""
    identities = _identities(options)
    keys = [directory(options) / key for key in options.key]
    with open_project(options) as project:
        found = project.policies.simulate(_environments(options), options.last, keys, identities)
    count = {verdict: sum(each["verdict"] == verdict for each in found) for verdict in _STYLES}
    show(
        options,
        {"deployments": len(found), **count, "replayed": found},
        lambda: _replayed(found, count, coloured=coloured(options)),
    )
    return SoftVerifyToolError.exit_status if count["undetermined"] else DONE


def _replayed(found: Sequence[Mapping[str, object]], count: Mapping[str, int], *, coloured: bool) -> str:
    if not found:
        return "nothing has been deployed yet"
    total = ", ".join(f"{number} {verdict}" for verdict, number in count.items())
    return f"{table(_HEADERS, [_row(each) for each in found], coloured=coloured)}\n\n{total}"


def _row(each: Mapping[str, object]) -> tuple[object, ...]:
    verdict = str(each["verdict"])
    return (
        each["environment"],
        each["time"],
        str(each["image_sha"])[:12],
        each["command"],
        Styled.of(verdict, _STYLES[verdict]),
        each["signature_reason"],
        each["signer"] or each["why"],
    )


def _identities(options: argparse.Namespace) -> list[IdentityRule]:
    if bool(options.identity) != bool(options.issuer):
        usage = "immutag policy simulate --identity SUBJECT --issuer ISSUER"
        raise UsageError(
            "--identity and --issuer go together", usage=usage, command="immutag policy simulate"
        )
    return [
        IdentityRule(Pattern(options.issuer, options.regexp), Pattern(subject, options.regexp))
        for subject in options.identity
    ]


def _render(options: argparse.Namespace) -> int:
    from immutag.trust.enforcers.render import cosign_verify, gh_verify, script
    from immutag.trust.enforcers.yaml import write_yaml

    with open_project(options) as project:
        if options.enforcer in ("kyverno", "policy-controller"):
            documents = project.policies.admission(options.enforcer)
            show(options, documents, lambda: write_yaml(*documents).rstrip("\n"))
            return DONE
        rule = project.policies.rule()
    commands = (cosign_verify if options.enforcer == "cosign" else gh_verify)(rule)
    if not commands:
        raise ConfigInvalid(
            f"{options.enforcer} has no way to say this trust rule",
            expected="an identity of a GitHub workflow, with its subject and GitHub's issuer as texts",
            found=", ".join(map(str, rule.identities)) or "keys only",
            remedy="immutag policy render cosign",
        )
    show(options, {"commands": commands}, lambda: script(commands, rule))
    return DONE


def _environment_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--environment", "--env", metavar="NAME", help="only this one (default: all)")


def _environments(options: argparse.Namespace) -> list[EnvironmentName]:
    return [EnvironmentName(options.environment)] if options.environment else []


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError("a number from 1 to 1000")
    return int(text)
