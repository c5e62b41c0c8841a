"""Locking, building, verifying, checking and comparing."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

import model_bundle


@pytest.fixture
def project(tmp_path, rods):
    """A project of one model, of its own."""
    for name in ("models/bf_focus_v3.pth", "metadata/bf_focus_v3.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(rods / name, tmp_path / name)
    config = tmp_path / "bundle.toml"
    config.write_text(
        '[bundle]\nname = "one"\ncreated = "2025-12-18 09:30:00"\n\n[bf_focus]\n'
        'model_path = "models/bf_focus_v3.pth"\nmodel_metadata = "metadata/bf_focus_v3.json"\n'
        "inferer_args = { patch_size = 64, overlap_ratio = 0.25 }\n"
    )
    return config


def test_a_project_from_config_to_verified_bundle(project):
    folder = project.parent
    first = model_bundle.lock(project)
    assert (first.written, first.up_to_date, first.models) == (True, True, 1)
    assert first.path == folder / "bundle.lock"
    assert model_bundle.lock(project, check=True).up_to_date

    built = model_bundle.build(project)
    assert (built.outcome, built.path) == ("built", folder / "one_20251218.zip")
    assert hashlib.sha256(built.path.read_bytes()).hexdigest() == built.archive.sha256
    assert model_bundle.build(project).outcome == "up_to_date"
    assert model_bundle.build(project, dry_run=True).outcome == "planned"

    proven = model_bundle.verify(built.path, lock=built.lock)
    assert proven and (proven.anchor, proven.layout, proven.differences) == (
        "lock",
        "canonical",
        (),
    )
    checked = model_bundle.check(built.path)
    assert checked and checked.models[0].architecture == "NAFNet"
    assert not model_bundle.diff(built.path, built.lock)


def test_what_changed_is_said(project):
    first = model_bundle.build(project, auto_date=False)
    kept = first.path.with_name("before.zip")
    shutil.copy(first.path, kept)
    project.write_text(project.read_text().replace("0.25", "0.5"))
    stale = model_bundle.lock(project, check=True)
    assert not (stale.written or stale.up_to_date)
    with pytest.raises(model_bundle.StaleError, match="is not up to date"):
        model_bundle.build(project, auto_date=False, locked=True)
    model_bundle.build(project, auto_date=False)
    found = model_bundle.diff(kept, first.path)
    assert found and any("overlap_ratio" in change for change in found.changes)

    damaged = bytearray(first.path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    first.path.write_bytes(damaged)
    answer = model_bundle.verify(first.path)
    assert not answer and answer.differences
    assert answer.anchor == "none"


def test_what_is_wrong_is_said_as_the_command_says_it(project, tmp_path):
    project.write_text(project.read_text().replace("patch_size = 64", "patch_sise = 64"))
    with pytest.raises(model_bundle.ConfigError) as raised:
        model_bundle.build(project)
    ran = subprocess.run(
        [sys.executable, "-m", "model_bundle", "build", "-c", str(project)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert (ran.returncode, ran.stderr) == (2, raised.value.report)
    first, *below = str(raised.value).splitlines()
    assert first == raised.value.message == f"`{project}` has an error"
    assert "did you mean `patch_size`?" in "\n".join(below)

    answer = model_bundle.check(project)
    assert not answer
    assert (answer.problems[0].severity, answer.problems[0].line) == ("error", 8)


def test_files_that_are_not_there_are_errors_of_files(project, tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        model_bundle.load(tmp_path / "none.zip")
    assert isinstance(raised.value, model_bundle.MissingFileError)
    (project.parent / "models/bf_focus_v3.pth").unlink()
    for act in (model_bundle.lock, model_bundle.build):
        with pytest.raises(model_bundle.MissingFileError, match="no such file"):
            act(project)
    with pytest.raises(model_bundle.ConfigError, match="is no bundle but a config"):
        project.write_text("")
        model_bundle.load(project)


def test_a_dangerous_pickle_is_refused(project):
    weights = project.parent / "models/bf_focus_v3.pth"
    weights.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(model_bundle.RefusedError, match="system"):
        model_bundle.build(project)
    with pytest.raises(model_bundle.RefusedError, match="system"):
        model_bundle.build(project, check_architecture=False)
    found = model_bundle.check(project)
    assert not found and any("system" in problem.message for problem in found.problems)


def test_an_error_keeps_its_words_in_a_pickle():
    import pickle

    for kind in (
        model_bundle.RefusedError,
        model_bundle.MissingFileError,
        model_bundle.NoModelError,
    ):
        error = pickle.loads(pickle.dumps(kind("what", "  × what\n  help: next\n")))
        assert (type(error), error.message, str(error)) == (kind, "what", "what\n  help: next")


def test_the_command_is_installed(zip_path, tmp_path):
    def run(*command):
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    here = os.path.dirname(sys.executable)
    for name in ("bundle", "model-bundle"):
        script = shutil.which(name, path=here)
        assert script, f"{name} is not beside {sys.executable}"
        assert run(script, "--version").stdout.startswith("bundle ")
    ran = run(sys.executable, "-m", "model_bundle", "verify", str(zip_path), "--json")
    assert (ran.returncode, json.loads(ran.stdout)["differences"]) == (0, [])
    assert run(sys.executable, "-m", "model_bundle", "verify", "none.zip").returncode == 2
    assert run(sys.executable, "-m", "model_bundle", "verify").returncode == 2
