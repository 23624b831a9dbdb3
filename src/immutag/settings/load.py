"""immutag.toml and the environment → Settings: the one place that knows keys and defaults.

A key's variable, `IMMUTAG_<SECTION>_<KEY>`, wins over the file, and the file over the default. What cannot
be used is refused with the key's path; nothing is ignored.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from immutag.core.errors import ConfigInvalid
from immutag.core.values import EnvironmentName, shown
from immutag.settings.environments import read_environment
from immutag.settings.model import Settings
from immutag.settings.section import Source, read_tables, refuse_unknown_variables
from immutag.settings.sections import (
    read_build,
    read_image,
    read_ledger,
    read_metrics,
    read_provenance,
    read_registries,
    read_sbom,
    read_trust,
)

FILE_NAME = "immutag.toml"
SECTIONS = ("image", "build", "registry", "ledger", "trust", "sbom", "provenance", "metrics", "environments")

_VARIABLES = tuple(f"IMMUTAG_{name.upper()}_" for name in SECTIONS)
_RESERVED = frozenset({"IMMUTAG_REGISTRY_USERNAME", "IMMUTAG_REGISTRY_PASSWORD", "IMMUTAG_IMAGE_SHA"})
"""Credentials, and what a `command` target gives its programs: no settings."""


def load(directory: Path, config: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings that hold in this folder. Raises ConfigInvalid, or PolicyViolation for a cache."""
    file = find(directory, config, environ)
    source = Source(file, environ)
    tables = read_tables(source, (), _read(file), SECTIONS)
    image = read_image(source, tables["image"])
    settings = Settings(
        file=file,
        image=image,
        build=read_build(source, tables["build"]),
        registries=read_registries(source, tables["registry"], image),
        ledger=read_ledger(source, tables["ledger"]),
        trust=read_trust(source, tables["trust"]),
        sbom=read_sbom(source, tables["sbom"]),
        provenance=read_provenance(source, tables["provenance"]),
        metrics=read_metrics(source, tables["metrics"]),
        environments={
            EnvironmentName(name): read_environment(source, name, table)
            for name, table in read_tables(source, ("environments",), tables["environments"]).items()
        },
        origins=tuple(source.origins),
    )
    refuse_unknown_variables(source, _VARIABLES, _RESERVED)
    return settings


def find(directory: Path, config: Path | None, environ: Mapping[str, str]) -> Path:
    """The file that `--config` or IMMUTAG_CONFIG names, or the nearest immutag.toml upwards."""
    named = config or (Path(environ["IMMUTAG_CONFIG"]) if environ.get("IMMUTAG_CONFIG") else None)
    start = directory.resolve()
    if named:
        file = start / named
        return Path(os.path.realpath(file.parent)) / file.name  # git says where its folders really are, too
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    is_there = start.is_dir()
    raise ConfigInvalid(
        "there is no configuration",
        expected=f"{FILE_NAME} in this folder or above it",
        found=f"none from {start} upwards" if is_there else f"no folder {shown(str(start))}",
        remedy="immutag init" if is_there else "immutag -C DIR COMMAND, with a folder that is there",
    )


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))  # editors on Windows mark UTF-8 so
    except FileNotFoundError:
        found, remedy = "no such file", f"name another, or make it: immutag --config {shown(str(file))} init"
    except (OSError, ValueError, RecursionError) as error:  # tomllib: no TOML, a huge number, deep lists
        found, remedy = shown(str(error)), f"correct {file}"
    raise ConfigInvalid(f"{file} cannot be read", expected="a TOML file in UTF-8", found=found, remedy=remedy)
