"""`immutag schema`: the JSON Schemas of everything that programs read, and the contract that ties an SBOM to
its release. Works without a configuration."""

import argparse
from pathlib import Path

import immutag
from immutag.cli import DONE
from immutag.cli.output import show, write_result

_FOLDER = Path(immutag.__file__).parent / "schemas"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", choices=names(), metavar="NAME", help=" · ".join(names()))


def run(options: argparse.Namespace) -> int:
    if options.name is None:
        show(options, names(), lambda: "\n".join(names()))
    else:
        (file,) = _FOLDER.glob(f"{options.name}.*")
        text = file.read_text("utf-8").rstrip()
        if file.suffix == ".json":
            write_result(text)
        else:
            show(options, {"name": options.name, "text": text}, lambda: text)
    return DONE


def names() -> list[str]:
    """What is shipped: JSON, and YAML for what has comments."""
    return sorted(file.stem for file in _FOLDER.iterdir() if file.suffix in (".json", ".yaml"))
