"""`immutag completion`: the completion script of a shell, made from the grammar itself."""

import argparse

from immutag.cli import DONE
from immutag.cli.output import show


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh"))
    parser.epilog = (
        'bash: eval "$(immutag completion bash)" · zsh: immutag completion zsh > a folder of $fpath/_immutag'
    )


def run(options: argparse.Namespace) -> int:
    import shtab

    from immutag.cli.parser import grammar

    script = shtab.complete(grammar(), shell=options.shell)
    show(options, {"shell": options.shell, "script": script}, lambda: script)
    return DONE
