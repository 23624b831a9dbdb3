"""The sources compiled once, as an installation has them: no run pays for what only the first one does."""

import compileall
from pathlib import Path


def compile_sources() -> None:
    """Write the bytecode beside the sources, also where the environment tells Python not to."""
    compileall.compile_dir(Path(__file__).parents[1] / "src", quiet=2)
