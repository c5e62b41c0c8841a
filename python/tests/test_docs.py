"""What the documentation shows happens."""

import doctest
import pathlib
import shutil
import warnings

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "python.md"


def test_the_session_in_the_documentation(rods, tmp_path, monkeypatch):
    shutil.copytree(rods, tmp_path / "rods", ignore=shutil.ignore_patterns("*.zip*"))
    monkeypatch.chdir(tmp_path / "rods")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        failed, tried = doctest.testfile(
            str(DOCS), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
        )
    assert (failed, tried > 20) == (0, True)
