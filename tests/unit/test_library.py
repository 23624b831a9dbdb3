"""The package as a library: its names are there, and cost nothing until they are used."""

import subprocess
import sys

import pytest

import immutag


def test_every_public_name_is_there() -> None:
    for name in immutag.__all__:
        assert getattr(immutag, name) is not None


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError):
        _ = immutag.Nothing


def test_importing_the_package_imports_no_project() -> None:
    code = "import sys, immutag; print('immutag.project' in sys.modules, immutag.Project.__name__)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "Project"]
