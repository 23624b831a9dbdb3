"""`immutag workflows`: writes the workflows of a CI service, checks them, and is what their jobs run."""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from immutag.cli import DONE, UsageError
from immutag.cli.output import clean, show
from immutag.cli.parser import Once, Parser, nested, nested_command
from immutag.cli.session import coloured, directory
from immutag.cli.table import card
from immutag.core.errors import ConfigInvalid, ImmutagError
from immutag.core.values import EnvironmentName, shown
from immutag.workflows.drift import Drift, drift
from immutag.workflows.template import CI, GITHUB, GITLAB, Workflows, written_by

if TYPE_CHECKING:
    from immutag.settings import Settings

_PLACES = (".github/workflows/*.yml", ".gitlab/*.yml")
_LIMIT_BYTES = 1 << 20
_NEXT = {
    GITHUB: "git add and commit them; immutag's docs/how-to/github-ghcr.md says what GitHub has to be told",
    GITLAB: "include it in .gitlab-ci.yml, git add and commit both; immutag's docs/how-to/gitlab.md says "
    "what GitLab has to be told",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = nested(parser, "action")
    _parameters(nested_command(actions, "init", "write the workflows, or write them again"))
    nested_command(actions, "check", "say where they differ from the template; exit status 22 if they do")
    nested_command(actions, "run", "what the action runs: its inputs are IMMUTAG_INPUT_… in the environment")


def run(options: argparse.Namespace) -> int:
    if options.action == "run":
        from immutag.cli.action import run_action

        return run_action(os.environ)
    if options.action == "check":
        _check(options)
    else:
        _init(options)
    return DONE


def _parameters(parser: argparse.ArgumentParser) -> None:
    """All that the templates depend on. What is not given is found out, and written down in the files."""
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    add("--ci", choices=CI, help="default: gitlab if there is a .gitlab-ci.yml, else github")
    add("--service", action=Once, metavar="NAME", help="the workflows are NAME-build, … (default: api)")
    add(
        "--source", action=Once, metavar="OWNER/REPOSITORY@SHA",
        help="immutag itself at a full commit; HOST/… for gitlab (default: where this was installed from)",
    )  # fmt: skip
    add(
        "--environment", "--env", action="append", metavar="NAME",
        help="where they deploy, repeatable; main's commits go to the first (default: immutag.toml's)",
    )  # fmt: skip
    add("--main", action=Once, metavar="BRANCH", help="default: immutag.toml's")
    add(
        "--directory",
        dest="within",
        action=Once,
        metavar="DIR",
        help="of immutag.toml in the repository (default: its own)",
    )
    add("--deploy-on", action=Once, metavar="LABEL", help="runner that deploys (default: the service's own)")
    add("--git-ledger", action=switch, help="jobs push the ledger's branch (default: by [ledger] url)")
    add(
        "--clean-up",
        action=switch,
        help="also one that cleans ghcr.io up, sparing what is needed (default: no)",
    )
    add(
        "--package", action="append", metavar="NAME",
        help="of the owner, to be cleaned up, repeatable (default: immutag.toml's two repositories)",
    )  # fmt: skip
    add("--keyless", action=switch, help="builds get an identity to sign with (default: by [trust] keyless)")


def _init(options: argparse.Namespace) -> None:
    from immutag.git.commit import GitRepository
    from immutag.settings import load
    from immutag.usecases.artifacts import write_whole

    settings = load(directory(options), Path(options.config) if options.config else None, os.environ)
    root = GitRepository.find(directory(options)).root
    wanted = _wanted(options, root, settings)
    files = wanted.files()
    for path in files:
        _refuse_anothers(root / path)
    written = [path for path, text in files.items() if _read(root / path) != text]
    for path in written:
        write_whole(root / path, files[path].encode())
    document = {"written": written, "unchanged": [path for path in files if path not in written]}
    fields = {
        "wrote": ", ".join(written),
        "as they were": ", ".join(document["unchanged"]),
        "next": _NEXT[wanted.ci],
    }
    show(options, document, lambda: card(fields, coloured=coloured(options)))


def _wanted(options: argparse.Namespace, root: Path, settings: "Settings") -> Workflows:
    """The parameters: given, or by the configuration."""
    ci = options.ci or (GITLAB if (root / ".gitlab-ci.yml").exists() else CI[0])
    folder = settings.root
    within = str(folder.relative_to(root)) if folder.is_relative_to(root) else "."
    production_first = sorted(settings.environments.values(), key=lambda each: not each.production)
    git_ledger, keyless = options.git_ledger, options.keyless
    return Workflows(
        ci=ci,
        service=options.service or "api",
        source=options.source or _source(ci),
        main=options.main or settings.image.main,
        environments=tuple(map(EnvironmentName, options.environment or []))
        or tuple(each.name for each in production_first),
        directory=options.within or within,
        deploy_on=options.deploy_on,
        git_ledger=settings.ledger.url.startswith("git+") if git_ledger is None else git_ledger,
        keyless=settings.trust.keyless if keyless is None else keyless,
        packages=(tuple(options.package or ()) or _packages(settings)) if options.clean_up else (),
    )


def _packages(settings: "Settings") -> tuple[str, ...]:
    """The repositories as packages of their owner on ghcr.io. Raises ConfigInvalid for another registry."""
    image = settings.image
    if image.repository.host != "ghcr.io" or image.staging.host != "ghcr.io":
        raise ConfigInvalid(
            "there is a clean-up for ghcr.io only",
            expected="repositories on ghcr.io",
            found=str(image.repository),
            remedy="docs/how-to/clean-up.md says how others are told what to spare",
        )
    return tuple(each.path.partition("/")[2] for each in (image.repository, image.staging))


def _source(ci: str) -> str:
    from immutag.cli.own_source import own_source

    found = own_source() or ""
    return found.partition("/")[2] if ci != GITLAB and found.startswith("github.com/") else found


def _check(options: argparse.Namespace) -> None:
    """Every set of workflows that `init` wrote here. Raises ConfigInvalid for what differs, immutag's own
    commit first: what writes the files again is not to name the old one again."""
    from immutag.cli.own_source import own_source
    from immutag.git.commit import GitRepository

    root = GitRepository.find(directory(options)).root
    sets = list(_sets(root))
    if not sets:
        raise ConfigInvalid(
            "there are no workflows of immutag here",
            expected=" or ".join(_PLACES),
            found="none that `immutag workflows init` wrote",
            remedy="immutag workflows init",
        )
    texts = {path: text for each in sets for path, text in each.files().items()}
    found = [each for path, text in texts.items() if (each := drift(path, text, _read(root / path)))]
    own = own_source(certain=True)
    others = [each for each in sets if own and each.commit() != own.rpartition("@")[2]]
    if own and others:
        raise _of_another(own, others, found)
    if found:
        raise _drifted(found, sets)
    document = {"checked": sorted(texts), "drifted": [], "compared_with": own}
    known = "they install this immutag" if own else "whether they install this immutag is not known"
    show(options, document, lambda: f"{len(texts)} files are as their template; {known}")


def _of_another(own: str, others: Sequence[Workflows], found: Sequence[Drift]) -> ConfigInvalid:
    """A commit is the same in every copy of a repository, so which copy is named does not matter."""
    sha = own.rpartition("@")[2]
    drifted = "".join(f"; {each.path} differs from its template, line {each.line}" for each in found)
    return ConfigInvalid(
        "the workflows install another immutag than the one that checks them",
        expected=f"the commit of this one: {shown(own)}",
        found="--source " + ", ".join(dict.fromkeys(each.source for each in others)) + drifted,
        remedy=" and ".join(" ".join(each.with_commit(sha).command()) for each in others)
        + ", or install the immutag that they name, where this one is the older",
    )


def _drifted(found: Sequence[Drift], sets: Sequence[Workflows]) -> ConfigInvalid:
    first = found[0]
    others = "".join(f"; {each.path}, line {each.line}" for each in found[1:])
    return ConfigInvalid(
        f"{first.path} differs from its template in line {first.line}",
        expected=_line(first.expected, "nothing: the template ends here"),
        found=_line(first.found, "nothing") + others,
        remedy=" or ".join(dict.fromkeys(" ".join(each.command()) for each in sets)) + ", or keep the change",
    )


def _line(text: str | None, absent: str) -> str:
    return absent if text is None else shown(text.strip()) or "an empty line"


def _sets(root: Path) -> Iterator[Workflows]:
    """The parameters that files here say of themselves, each set once."""
    seen: list[Workflows] = []
    for file in sorted(path for place in _PLACES for path in root.glob(place)):
        arguments = written_by(_read(file) or "")
        if arguments is None:
            continue
        wanted = _said(file.relative_to(root), arguments)
        if wanted not in seen:
            seen.append(wanted)
            yield wanted


def _said(file: Path, arguments: Sequence[str]) -> Workflows:
    """The parameters in a file's first line: all of them, and nothing else. Raises ConfigInvalid."""
    parser = Parser(prog="immutag workflows init")
    _parameters(parser)
    try:
        said = parser.parse_args(list(arguments))
        return Workflows(
            ci=said.ci,
            service=said.service or "",
            source=said.source or "",
            main=said.main or "",
            environments=tuple(map(EnvironmentName, said.environment or [])),
            directory=said.within or "",
            deploy_on=said.deploy_on,
            git_ledger=bool(said.git_ledger),
            keyless=bool(said.keyless),
            packages=tuple(said.package or ()),
        )
    except (UsageError, ImmutagError) as error:
        raise ConfigInvalid(
            f"{file} does not say what it was written from",
            expected="in its first line the command that writes it",
            found=clean(str(error)),
            remedy="immutag workflows init",
        ) from None


def _refuse_anothers(file: Path) -> None:
    text = _read(file)
    if text is not None and written_by(text) is None:
        raise ConfigInvalid(
            "a workflow of that name is there, and immutag did not write it",
            expected="no such file, or one that `immutag workflows init` wrote",
            found=shown(str(file)),
            remedy="move it away, or choose another --service",
        )


def _read(file: Path) -> str | None:
    """The file as it is, to its limit; None if there is none. Raises ConfigInvalid."""
    try:
        with file.open("rb") as opened:
            return opened.read(_LIMIT_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigInvalid(
            "a workflow cannot be read",
            expected=f"{shown(str(file))} to be a file",
            found=error.strerror or type(error).__name__,
            remedy=f"ls -l {shown(str(file))}",
        ) from error
