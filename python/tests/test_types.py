"""The package's types hold, and its stubs are what the extension module has."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def only_with_mypy():
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")


def mypy(*arguments, cwd):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_the_package_is_typed():
    ran = mypy("mypy", "--config-file", "pyproject.toml", "model_bundle", cwd=PACKAGE)
    assert ran.returncode == 0, ran.stdout


def test_the_stubs_are_those_of_the_module(tmp_path):
    allowed = tmp_path / "allowed"
    # Only there for the checker.
    allowed.write_text("model_bundle._core.(BuildOptions|How)\n")
    ran = mypy("mypy.stubtest", "model_bundle._core", "--allowlist", str(allowed), cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout


def test_users_see_the_types(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\n"
        "import model_bundle\n"
        "bundle = model_bundle.load('rods.zip')\n"
        "model = bundle['bf_focus']\n"
        "assert isinstance(model, model_bundle.ImageModel)\n"
        "reveal_type(model.predict(np.zeros((2, 2))))\n"
        "reveal_type(model_bundle.build('bundle.toml').archive)\n"
        "model_bundle.verify('rods.zip', anchor='x')\n"
    )
    ran = mypy("mypy", "--strict", str(script), cwd=tmp_path)
    assert "_32Bit" in ran.stdout and "_results.Archive" in ran.stdout, ran.stdout
    assert 'Unexpected keyword argument "anchor"' in ran.stdout
